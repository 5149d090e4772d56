"""Shared libraries from the cache, compiled when they are first needed. Nothing here needs PyTorch."""

import ctypes
from pathlib import Path

from solkit import __version__, cache
from solkit.config import log
from solkit.errors import ToolchainError
from solkit.target import host
from solkit.toolchain import FLAGS, build_library, find_compiler, kernels

_LIBRARY = "library.so"


def compiled(sources: dict[str, str]) -> Path:
    """Path of the shared library these sources make, from the cache or fresh. Everything that could change the machine
    code is part of the key."""
    compiler, target = find_compiler(), host()
    headers = sorted(kernels().glob("*.h"))
    key = cache.key_of(
        *("library", __version__, *compiler.command, compiler.description, *FLAGS, *compiler.flags(target)),
        *(target.name, *target.features),
        *(text for path in headers for text in (path.name, path.read_text())),
        *(text for item in sorted(sources.items()) for text in item),
    )

    def fill(folder: Path) -> None:
        log.info("compiling %d files with %s", len(sources), compiler.description)
        build_library(sources, folder / _LIBRARY)

    return cache.make(key, fill) / _LIBRARY


def load(path: Path, *symbols: str) -> ctypes.CDLL:
    """The library at `path`, which must have these symbols."""
    try:
        library = ctypes.CDLL(str(path))
        for symbol in symbols:
            getattr(library, symbol)
    except (OSError, AttributeError) as error:
        cache.drop(path.parent.name)  # to be compiled anew, when the compiler has been mended
        raise ToolchainError(
            f"the compiled library {path} cannot be loaded ({error}); if its folder forbids running code (noexec), "
            f"set SOL_CACHE_DIR to another; if {find_compiler().description} is at fault, set $CC to another"
        ) from error
    return library
