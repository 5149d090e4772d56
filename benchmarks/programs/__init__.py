"""Programs beside this file that call a network, how the one for a deployed network is built, and how all are started.

Each says "ready" once its first result is written to a file, and ends when its standard input does.
"""

import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from benchmarks import measure
from benchmarks.engines import largest_error
from solkit.toolchain import find_compiler

SOURCES = Path(__file__).resolve().parent
WEIGHTS = ("embedded", "file")
TOLERANCE = 1e-3  # of the largest output, by which results may differ

Case = tuple[Any, tuple[torch.Tensor, ...]]  # a module or an ONNX file, and what it is called with


def deployed(case: Case, weights: str, threads: int, folder: Path) -> Path:
    """A folder with the library, made once, and with driver.c built against it."""
    import solkit as sol

    made = folder / weights
    if made.exists():
        return made
    model, inputs = case
    torch.set_num_threads(threads)
    fixed = [False] * len(inputs)
    sol.deploy(model, list(inputs), lib_name="deployed", func_name="predict", path=made, vdims=fixed, weights=weights)
    options = ("-O2", f"-I{made}", "-Wl,-rpath,$ORIGIN")
    find_compiler().run(*options, SOURCES / "driver.c", made / "libdeployed.so", "-o", made / "driver")
    for number, x in enumerate(inputs):
        (folder / f"input{number}").write_bytes(x.numpy().tobytes())
    return made


class Program:
    """A process that had its first result. It is started in its own folder, with nothing else on its path.

    Attributes:
        seconds: from its start to its first result.
        output: that result, float32, flat; None if it has none.
    Raises:
        RuntimeError: it ended without a result; the text has what it said.
    """

    def __init__(self, command: list[str | Path], output: Path | None = None) -> None:
        folder = Path(command[0]).parent
        start = time.perf_counter()
        self._process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={"PATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        self.seconds = time.perf_counter() - start
        if not line.startswith("ready"):
            said = self._process.communicate()[1].strip()
            raise RuntimeError(f"{Path(command[0]).name} ended with {self._process.returncode}: {said[:300]}")
        self.output = None if output is None else np.fromfile(output, np.float32)

    def block(self) -> list[float]:
        """Seconds of the calls of a block; see measure.py."""
        time.sleep(measure.PAUSE)
        self._process.stdin.write(f"{measure.BLOCK} {measure.WARM_UP}\n")
        self._process.stdin.flush()
        times = [float(word) for word in self._process.stdout.readline().split()]
        if not times:
            raise RuntimeError(f"the program ended in a call: {self._process.communicate()[1].strip()[:300]}")
        return times

    def peak(self) -> int:
        """Bytes of memory it had at most. Not by wait4, where those of this process count that it was forked from."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()


def flat(result: Any) -> np.ndarray:
    """All float32 outputs behind one another."""
    return np.concatenate([np.asarray(leaf).reshape(-1) for leaf in pytree.tree_leaves(result)])


def checked(title: str, mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, of the largest output.

    Raises:
        ValueError: it is more than `TOLERANCE`.
    """
    error = largest_error(mine, theirs)
    if not error <= TOLERANCE:  # so also for NaN
        raise ValueError(f"{title}: wrong result, by {error:.1e} of the largest output")
    return error
