"""Lines of a text file: each rank reads its share of the bytes."""

import os
from pathlib import Path

from frovedis_lite.core.collective import together
from frovedis_lite.core.vector import dvector
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import Session, current, share


def load_lines(path: "str | os.PathLike[str]", session: Session | None = None) -> dvector:
    """A vector of the lines of a UTF-8 text file that all ranks can read, without their ends.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    return dvector.of((session or current()).run_parts(_lines, Path(path).absolute()))


def _lines(comm: Communicator, path: Path) -> list[str]:
    def local() -> list[str]:
        lines = []
        with open(path, "rb") as file:
            begin, end = share(os.fstat(file.fileno()).st_size, comm.rank, comm.size)
            if begin > 0:  # a line belongs to the rank that has its first byte
                file.seek(begin - 1)
                file.readline()
            place = file.tell()
            while place < end:
                line = file.readline()
                place += len(line)
                lines.append(line.removesuffix(b"\n").removesuffix(b"\r").decode())
        return lines

    return together(comm, local)
