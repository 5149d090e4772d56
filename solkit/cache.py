"""The cache on disk: what was compiled once is found again by its content.

An entry is a folder named by a key. It is filled under a temporary name and then renamed, so a reader sees all of it
or nothing: two processes may make the same entry at once (the first to finish wins), and a compile that was
interrupted leaves only a temporary folder, which a later run removes. A manifest holds the SHA-256 of every file; an
entry that does not agree with it is dropped and made anew.
"""

import atexit
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from solkit.config import config, log
from solkit.errors import CacheError

MANIFEST = "manifest.json"
_TEMPORARY = ".making-"
_STALE_AFTER = 24 * 3600  # seconds; nothing compiles for a day


def key_of(*parts: str | bytes) -> str:
    """SHA-256 over the parts, each with its length so that their borders count too."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def directory() -> Path:
    """The cache folder, made if need be.

    `sol.config["cache::path"]`, else $SOL_CACHE_DIR, else the user's cache folder. One that cannot be written is
    replaced by a temporary folder for the life of this process, with a warning.

    Raises:
        CacheError: not even a temporary folder can be made.
    """
    wanted = config["cache::path"] or os.environ.get("SOL_CACHE_DIR") or platformdirs.user_cache_path("solkit")
    folder = Path(os.path.expanduser(wanted)).absolute()
    if not _usable(folder).is_dir():  # somebody removed it since
        _usable.cache_clear()
    return _usable(folder)


def try_writing(folder: Path) -> None:
    """Make a folder, if need be, and a file in it.

    Raises:
        OSError: it cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder):
        pass


@functools.cache
def _usable(folder: Path) -> Path:
    try:
        try_writing(folder)
    except OSError as error:
        try:
            replacement = Path(tempfile.mkdtemp(prefix="solkit-"))
        except OSError as second:
            raise CacheError(
                f"cannot write the cache folder {folder} ({error.strerror}), nor a temporary one ({second.strerror}); "
                "set SOL_CACHE_DIR to a folder you can write"
            ) from second
        atexit.register(shutil.rmtree, replacement, ignore_errors=True)
        warnings.warn(
            f"solkit cannot write its cache folder {folder} ({error.strerror}), so compiled models are kept only "
            "until this process ends; set SOL_CACHE_DIR to a folder you can write",
            RuntimeWarning,
            stacklevel=2,
        )
        return replacement
    _remove_stale(folder)
    return folder


def _remove_stale(folder: Path) -> None:
    for left in folder.glob(f"{_TEMPORARY}*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE_AFTER:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # another process removed it first


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(entry: Path) -> bool:
    try:
        listed = json.loads((entry / MANIFEST).read_text())
        return bool(listed) and all(_hash(entry / name) == digest for name, digest in listed.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def find(key: str) -> Path | None:
    """The folder of the entry `key` if it is there and whole, else None. A damaged one is removed."""
    entry = directory() / key
    if _is_whole(entry):
        return entry
    if not os.path.lexists(entry):
        return None
    with _alone(entry.parent):
        if _is_whole(entry):
            return entry  # another process mended it just now
        log.warning("the cache entry %s is damaged; making it anew", entry)
        _remove(entry)
    return None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """For as long as it lasts, no other process removes damaged entries of this cache folder."""
    with (folder / ".lock").open("a") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(key: str, fill: Callable[[Path], None]) -> Path:
    """Find the entry `key` or make it: `fill` writes its files into the folder it is given.

    Raises:
        CacheError: the entry could be neither written nor found.
    """
    entry = find(key)
    if entry is not None:
        return entry
    root = directory()
    try:
        making = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
    except OSError as error:
        raise CacheError(f"cannot write the cache folder {root}: {error.strerror}") from error
    try:
        fill(making)
        listed = {path.name: _hash(path) for path in sorted(making.iterdir())}
        (making / MANIFEST).write_text(json.dumps(listed, indent=1))
        try:
            making.rename(root / key)
        except OSError:
            # Another process was first: the same key means the same content, so take what it made.
            entry = find(key)
            if entry is not None:
                return entry
            making.rename(root / key)
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(f"cannot write the cache folder {root}: {error.strerror}") from error
    finally:
        _remove(making)
    return root / key


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def drop(key: str) -> None:
    """Forget the entry `key`."""
    _remove(directory() / key)


def clear() -> None:
    """Remove everything solkit has cached. Libraries that are loaded stay usable."""
    for entry in directory().iterdir():
        if entry.name.startswith(_TEMPORARY) or (len(entry.name) == 64 and set(entry.name) <= set("0123456789abcdef")):
            _remove(entry)
