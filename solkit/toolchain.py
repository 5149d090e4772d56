"""From C text to machine code: which compiler, which flags.

`$CC` (or `sol.config["compiler::name"]`) wins; otherwise gcc, clang, and last the compiler in the `ziglang` wheel,
which is always there after `pip install` and is also the cross compiler for arm64 and the Vector Engine.
"""

import contextlib
import functools
import importlib.resources
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from solkit import cache
from solkit.config import config, log
from solkit.errors import ToolchainError
from solkit.progress import update
from solkit.target import Target, host

# -ffp-contract lets a*b+c be one instruction. Nothing here relaxes IEEE: NaN and infinity go through as in PyTorch;
# the two -fno flags only drop errno and the order in which exceptions are raised, neither of which anyone reads.
FLAGS = ("-std=gnu11", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wall")
TIMEOUT = 600  # seconds for one compiler call


def kernels() -> Path:
    """Folder of the C headers and sources that generated code is built on (kernels/compute)."""
    return Path(str(importlib.resources.files("aurora_kernels"))) / "compute"


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the command that starts it, its family (gcc | clang | zig), and its own word on its version."""

    command: tuple[str, ...]
    family: str
    description: str

    def flags(self, target: Target) -> tuple[str, ...]:
        """Flags that make code for `target`."""
        if target.triple is None:
            # gcc would carry numbers of the input from one step of a convolution to the next, in registers that the
            # sums need: a third slower for a large window.
            loops = ("-fno-predictive-commoning",) if self.family == "gcc" else ()
            if self.family == "zig":
                defined = (flag for flag in target.flags if flag.startswith("-D"))
                return (f"-mcpu={target.cpu or 'native'}", *defined)
            return (*(target.flags or ("-march=native",)), *loops)
        return ("-target", target.triple, *target.flags)

    def run(self, *arguments: str | Path) -> None:
        """One call of the compiler.

        Raises:
            ToolchainError: it failed; the text has the command and the first lines it printed.
        """
        command = [*self.command, *map(str, arguments)]
        log.log(5, "%s", shlex.join(command))
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT,
                env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": _zig_cache()} if self.family == "zig" else None,
            )
        except OSError as error:
            raise ToolchainError(f"cannot start the C compiler {command[0]!r}: {error.strerror}. {_MEND}") from error
        except subprocess.TimeoutExpired as error:
            raise ToolchainError(f"the C compiler took over {TIMEOUT} s: {shlex.join(command)}") from error
        if done.returncode:
            told = "\n".join((done.stderr or done.stdout).splitlines()[:12])
            raise ToolchainError(f"{self.description} failed ({shlex.join(command)}):\n{told}\n{_MEND}")


_MEND = "Set $CC to a working C compiler, or run: pip install --force-reinstall ziglang"


def find_compiler() -> Compiler:
    """The C compiler that code for this machine is made with.

    Raises:
        ToolchainError: the compiler asked for does not start, or there is none at all.
    """
    return next(iter(_candidates(config["compiler::name"] or os.environ.get("CC"), os.environ.get("PATH"))))


def cross_compiler() -> Compiler:
    """The compiler in the `ziglang` wheel, which makes code for every target.

    Raises:
        ToolchainError: the wheel is not installed.
    """
    zig = _zig()
    if zig is None:
        raise ToolchainError("code for another machine needs the ziglang wheel: pip install ziglang")
    return zig


@functools.cache
def _candidates(asked_for: str | None, _path: str | None) -> tuple[Compiler, ...]:
    """Usable compilers, best first. Cached by $CC and $PATH, which decide the answer."""
    if asked_for and asked_for.strip():
        try:
            found = _identify(tuple(shlex.split(asked_for)))
        except ValueError as error:
            raise ToolchainError(f"the C compiler {asked_for!r} is no command line: {error}") from error
        if found is None:
            raise ToolchainError(
                f"the C compiler {asked_for!r} (from $CC or sol.config['compiler::name']) does not start; "
                "correct it, or unset it to let solkit choose"
            )
        return (found,)
    found = tuple(filter(None, (*(_identify((name,)) for name in ("gcc", "clang")), _zig())))
    if not found:
        raise ToolchainError("there is no C compiler: install gcc or clang, or run: pip install ziglang")
    return found


def _zig() -> Compiler | None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        return None
    binary = Path(spec.submodule_search_locations[0]) / "zig"
    if not binary.exists():
        return None
    # The version is part of the wheel's name, and asking the binary for it costs a process start.
    from importlib.metadata import version

    return Compiler((str(binary), "cc"), "zig", f"zig cc {version('ziglang')}")


@functools.cache
def _zig_cache() -> str:
    """Where zig keeps what it compiled of the C library: its own place, or where that cannot be written, ours."""
    folder = Path(os.environ.get("ZIG_GLOBAL_CACHE_DIR") or platformdirs.user_cache_path("zig"))
    try:
        cache.try_writing(folder)
    except OSError:
        folder = cache.directory() / "zig"
    return str(folder)


def _identify(command: tuple[str, ...]) -> Compiler | None:
    path = shutil.which(command[0]) if command else None
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *command[1:], "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode:
        return None
    first = (done.stdout.splitlines() or [path])[0]
    family = "zig" if Path(path).name == "zig" else "clang" if "clang" in first else "gcc"
    return Compiler((path, *command[1:]), family, first)


def build_library(sources: dict[str, str], library: Path, target: Target | None = None) -> Compiler:
    """Compile C sources and link them into one shared library, several files at a time.

    Args:
        sources: file name to C text; written beside the library.
        library: path of the shared library to make.
        target: the machine to make it for; this one by default.
    Returns:
        The compiler that did it. Where nobody asked for one and the first found cannot even build an empty library
        (a gcc without its C library's headers, say), the next is taken.
    Raises:
        ToolchainError: no compiler could.
    """
    target = target or host()
    if target.triple is not None:
        candidates = (cross_compiler(),)
    else:
        find_compiler()
        candidates = _candidates(config["compiler::name"] or os.environ.get("CC"), os.environ.get("PATH"))
    for compiler, following in zip(candidates, (*candidates[1:], None), strict=True):
        try:
            _build(compiler, sources, library, target)
        except ToolchainError:
            if following is None or _works(compiler):
                raise
            log.warning("%s cannot build a library; taking %s", compiler.description, following.description)
        else:
            return compiler
    raise AssertionError("unreachable: there is at least one candidate")


_kept: Path | None = None  # folder of objects that may be linked again


@contextlib.contextmanager
def keeping_objects() -> Iterator[None]:
    """In here, a source that was compiled once is only linked when it comes again: candidates and the final program
    have most of their kernels in common."""
    global _kept
    with tempfile.TemporaryDirectory(prefix="solkit-") as folder:
        _kept = Path(folder)
        try:
            yield
        finally:
            _kept = None


def _object(compiler: Compiler, arguments: tuple[str, ...], source: Path) -> Path:
    """The compiled form of a source."""
    made = source.with_suffix(".o")
    text = source.read_text()
    # What a comment says makes no difference, and clusters have other numbers in other programs.
    code = text[text.index("*/") :] if text.startswith("/*") else text
    kept = _kept and _kept / f"{cache.key_of(*compiler.command, *arguments, code)}.o"
    if kept and kept.exists():
        return kept
    compiler.run(*arguments, "-c", source, "-o", made)
    if kept and made.exists():
        made.replace(kept)
        return kept
    return made


def _build(compiler: Compiler, sources: dict[str, str], library: Path, target: Target) -> None:
    folder = library.parent
    for name, text in sources.items():
        (folder / name).write_text(text)
    common = (*FLAGS, *compiler.flags(target), "-fPIC", f"-I{kernels()}")
    with ThreadPoolExecutor(min(len(sources), os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(_object, compiler, common, folder / name) for name in sources]
        try:
            objects = []
            for number, job in enumerate(jobs, 1):
                objects.append(job.result())
                update(f"compiling {number} of {len(jobs)} files")
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure, or an interrupt, the rest is not started
    compiler.run(*compiler.flags(target), "-shared", "-o", library, *objects, "-lpthread", "-lm")
    if not library.exists():
        raise ToolchainError(f"{compiler.command[0]} ({compiler.description}) says nothing and makes nothing. {_MEND}")
    for made in objects:
        if made.parent == folder:
            made.unlink(missing_ok=True)


@functools.cache
def _works(compiler: Compiler) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            _build(compiler, {"probe.c": "#include <pthread.h>\nint probe;\n"}, Path(folder) / "probe.so", host())
        except ToolchainError:
            return False
    return True


def emit_assembly(source: str, target: Target) -> str:
    """The assembly `target`'s compiler makes of one C source.

    Raises:
        ToolchainError: the compiler is missing or failed.
    """
    compiler = cross_compiler() if target.triple else find_compiler()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.c"
        path.write_text(source)
        made = path.with_suffix(".s")
        compiler.run(*FLAGS, *compiler.flags(target), f"-I{kernels()}", "-S", path, "-o", made)
        return made.read_text()
