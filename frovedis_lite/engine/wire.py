"""Objects on their way between the program and its ranks.

Pickle's protocol 5 keeps the memory of arrays apart from the rest (PEP 574). What is large goes through files in the
cluster's own folder, which lies in memory where the system has /dev/shm: on the encrypted sockets it would take several
times as long. The receiver reads it into memory of its own, aligned and writable, and the sender removes the files.
"""

import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

LARGE = 1 << 18  # bytes: from here on, a file
_numbers = itertools.count()


class Packed:
    """An object taken apart.

    Attributes:
        frames: what to send: bytes, or the paths of files.
        files: to be removed when everybody has read them.
    """

    def __init__(self, item: Any, folder: Path) -> None:
        self.files: list[Path] = []
        buffers: list[pickle.PickleBuffer] = []
        head = cloudpickle.dumps(item, protocol=5, buffer_callback=buffers.append)
        try:
            self.frames: list[bytes | str] = [self._frame(part, folder) for part in (head, *buffers)]
        except BaseException:
            self.remove()
            raise

    def _frame(self, part: Any, folder: Path) -> bytes | str:
        memory = part.raw() if isinstance(part, pickle.PickleBuffer) else memoryview(part)
        if memory.nbytes < LARGE:
            return bytes(memory)
        path = folder / f"part-{os.getpid()}-{next(_numbers)}"
        try:
            with open(path, "xb", buffering=0) as file:
                self.files.append(path)
                done = 0
                while done < memory.nbytes:
                    done += file.write(memory[done:])
        except OSError:  # no room there: it goes with the message
            path.unlink(missing_ok=True)
            return bytes(memory)
        return str(path)

    def remove(self) -> None:
        """Remove the files."""
        for path in self.files:
            path.unlink(missing_ok=True)
        self.files.clear()


def unpack(frames: list[bytes | str], remove: bool = False) -> Any:
    """The object that `Packed` took apart.

    Args:
        remove: its files too, because nobody else reads them.
    """
    head, *buffers = (_memory(frame, remove) for frame in frames)
    return pickle.loads(head, buffers=buffers)


def _memory(frame: Any, remove: bool) -> np.ndarray:
    """Writable, and aligned as NumPy's own arrays are, which kernels in C rely on."""
    if not isinstance(frame, str):
        return np.frombuffer(frame, np.uint8).copy()
    with open(frame, "rb", buffering=0) as file:
        made = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        view, done = memoryview(made), 0
        while done < made.nbytes:
            done += file.readinto(view[done:])
    if remove:
        os.unlink(frame)
    return made
