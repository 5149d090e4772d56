"""From the sources of a deployed network to a library."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from solkit.deploy.devices import Level
from solkit.errors import ToolchainError
from solkit.progress import update
from solkit.toolchain import FLAGS, Compiler, cross_compiler, find_compiler

HIDDEN = ("-fPIC", "-fvisibility=hidden")


def compiler_for(level: Level) -> Compiler:
    """The compiler for a device.

    Raises:
        ToolchainError: there is none.
    """
    return cross_compiler() if level.target.triple else find_compiler()


def flags_of(level: Level, compiler: Compiler) -> tuple[str, ...]:
    """What a kernel is compiled with."""
    return (*FLAGS, *HIDDEN, *compiler.flags(level.target), f"-DSOL_LEVEL={level.mark}")


def compile_all(
    folder: Path, jobs: Sequence[tuple[str, Level | None]], levels: Sequence[Level], out: Path
) -> list[Path]:
    """Compile sources, several at a time.

    Args:
        folder: where sources and headers are.
        jobs: each a file, relative to the folder, and the level it is compiled for; None: for any processor.
        out: folder of the objects.
    Returns:
        The objects, in the same order.
    Raises:
        ToolchainError: the compiler fails.
    """
    compiler, plain = compiler_for(levels[0]), levels[-1]

    def one(job: tuple[str, Level | None]) -> Path:
        file, level = job
        made = out / f"{Path(file).stem}_{level.mark if level else 'plain'}.o"
        # The directive .incbin looks in the folder of the call and in those of -I.
        where = (f"-I{folder}", f"-I{folder / 'runtime'}")
        compiler.run(*flags_of(level or plain, compiler), *where, "-c", folder / file, "-o", made)
        return made

    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(one, job) for job in jobs]
        made = []
        try:
            for number, item in enumerate(waiting, 1):
                made.append(item.result())
                update(f"compiling {number} of {len(jobs)} files")
        finally:
            pool.shutdown(cancel_futures=True)
    return made


def link_shared(objects: Sequence[Path], library: Path, levels: Sequence[Level]) -> None:
    """Objects as a shared library that needs the C library alone."""
    compiler = compiler_for(levels[0])
    ends = ("-Wl,--as-needed", "-Wl,-z,noexecstack", "-s", f"-Wl,-soname,{library.name}")
    compiler.run(
        *compiler.flags(levels[-1].target), "-shared", *ends, "-o", library, *objects, "-lpthread", "-lm", "-ldl"
    )


def archive(objects: Sequence[Path], library: Path) -> None:
    """Objects as a static library.

    Raises:
        ToolchainError: there is no archiver, or it fails.
    """
    tool = _archiver()
    # Deterministic: no times, no owners.
    done = subprocess.run([*tool, "rcsD", str(library), *map(str, objects)], capture_output=True, text=True)
    if done.returncode:
        raise ToolchainError(f"{' '.join(tool)} failed: {(done.stderr or done.stdout).strip()}")


def _archiver() -> list[str]:
    found = shutil.which("ar")
    return [found] if found else [cross_compiler().command[0], "ar"]
