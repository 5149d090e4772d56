"""The cache on disk: whole entries or none, whatever happens to its folder."""

import json
import os
import time
import warnings

import pytest

import solkit as sol
from solkit import cache

KEY = cache.key_of("an entry")


def fill(folder):
    (folder / "one").write_bytes(b"1" * 1000)
    (folder / "two").write_text("text")


def left_over(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(cache._TEMPORARY)]


def test_borders_between_parts_count():
    keys = [cache.key_of(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), (b"ab", "c"))]
    assert keys[0] == keys[4]
    assert len(set(keys)) == 4


def test_an_entry_is_filled_once(cache_folder):
    calls = []
    entries = [cache.make(KEY, lambda folder: (calls.append(folder), fill(folder))) for _ in range(3)]
    assert entries == [cache_folder / KEY] * 3
    assert len(calls) == 1
    assert cache.find(KEY) == entries[0]
    assert (entries[0] / "two").read_text() == "text"
    assert left_over(cache_folder) == []


def test_forgetting(cache_folder):
    cache.make(KEY, fill)
    (cache_folder / "somebody's file").touch()
    cache.drop(KEY)
    assert cache.find(KEY) is None
    cache.make(KEY, fill)
    (cache_folder / f"{cache._TEMPORARY}x").mkdir()
    cache.clear()
    assert [path.name for path in cache_folder.iterdir()] == ["somebody's file"]


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


DAMAGE = {
    "a file cut short": lambda entry: replace(entry / "one", b"1" * 999),
    "an empty file": lambda entry: replace(entry / "one", b""),
    "a file changed": lambda entry: replace(entry / "two", b"texT"),
    "a file gone": lambda entry: (entry / "two").unlink(),
    "a file is a folder": lambda entry: ((entry / "two").unlink(), (entry / "two").mkdir()),
    "no manifest": lambda entry: (entry / cache.MANIFEST).unlink(),
    "an empty manifest": lambda entry: replace(entry / cache.MANIFEST, b""),
    "a manifest of nothing": lambda entry: replace(entry / cache.MANIFEST, b"{}"),
    "a manifest of another kind": lambda entry: replace(entry / cache.MANIFEST, b'["one"]'),
    "a manifest that is no text": lambda entry: replace(entry / cache.MANIFEST, b"\xff\xfe\x00"),
    "the entry is a file": lambda entry: (cache._remove(entry), entry.write_text("")),
    "the entry leads nowhere": lambda entry: (cache._remove(entry), entry.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_made_anew(cache_folder, damage):
    entry = cache.make(KEY, fill)
    damage(entry)
    assert cache.find(KEY) is None
    assert not os.path.lexists(entry)
    damage(cache.make(KEY, fill))
    assert (cache.make(KEY, fill) / "one").read_bytes() == b"1" * 1000


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, sol.ToolchainError])
def test_what_was_not_finished_leaves_nothing(cache_folder, failure):
    def interrupted(folder):
        fill(folder)
        raise failure("half way")

    with pytest.raises(failure, match="half way"):
        cache.make(KEY, interrupted)
    assert list(cache_folder.iterdir()) == []


def test_the_first_of_two_processes_wins(cache_folder):
    def slow(folder):
        fill(folder)
        cache.make(KEY, lambda other: (fill(other), (other / "first").touch()))

    assert (cache.make(KEY, slow) / "first").exists()
    assert left_over(cache_folder) == []


def test_the_first_of_two_processes_has_left_something_broken(cache_folder):
    def slow(folder):
        fill(folder)
        (cache_folder / KEY).mkdir()
        (cache_folder / KEY / "one").touch()

    assert cache.find(cache.make(KEY, slow).name) == cache_folder / KEY


def test_a_damaged_entry_that_another_process_mends_is_kept(cache_folder, monkeypatch):
    """Between finding it damaged and removing it, somebody else has made it anew."""
    entry = cache.make(KEY, fill)
    answers, is_whole = iter([False]), cache._is_whole
    monkeypatch.setattr(cache, "_is_whole", lambda entry: next(answers, True) and is_whole(entry))
    assert cache.find(KEY) == entry


def test_temporary_folders_of_the_dead_are_removed_after_a_day(cache_folder):
    cache_folder.mkdir()
    for name, age in (("old", 25 * 3600), ("young", 3600)):
        made = cache_folder / f"{cache._TEMPORARY}{name}"
        made.mkdir()
        os.utime(made, (time.time() - age,) * 2)
    cache.directory()
    assert left_over(cache_folder) == [f"{cache._TEMPORARY}young"]


# -- the folder -------------------------------------------------------------------------------------------------------


def test_whose_word_counts(cache_folder, tmp_path, settings, monkeypatch):
    assert cache.directory() == cache_folder
    settings["cache::path"] = tmp_path / "mine"
    assert cache.directory() == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    settings["cache::path"] = "~/at home"
    assert cache.directory() == tmp_path / "at home"
    settings["cache::path"] = None
    monkeypatch.delenv("SOL_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "solkit"


def test_nobody_else_may_look_into_it(cache_folder):
    assert cache.directory().stat().st_mode & 0o077 == 0


def test_a_folder_that_was_removed_is_made_again(cache_folder):
    cache.make(KEY, fill)
    cache._remove(cache_folder)
    assert cache.find(KEY) is None
    assert cache.make(KEY, fill).parent == cache_folder


@pytest.mark.parametrize("where", ["file", "/proc/solkit", "/dev/null/solkit"])
def test_a_folder_that_cannot_be_written_is_replaced_with_a_warning(cache_folder, tmp_path, settings, where):
    if where == "file":
        where = tmp_path / "file"
        where.touch()
    settings["cache::path"] = where
    with pytest.warns(RuntimeWarning, match=r"cannot write its cache folder .* set SOL_CACHE_DIR"):
        replacement = cache.directory()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.make(KEY, fill) == replacement / KEY
        assert cache.find(KEY) == replacement / KEY
    assert json.loads((replacement / KEY / cache.MANIFEST).read_text()).keys() == {"one", "two"}


def test_no_folder_at_all_is_an_error_that_says_what_to_do(cache_folder, settings, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    settings["cache::path"] = "/proc/solkit"
    monkeypatch.setattr(cache.tempfile, "mkdtemp", full)
    with pytest.raises(sol.CacheError, match=r"No space left.*SOL_CACHE_DIR"):
        cache.directory()
    settings["cache::path"] = None
    with pytest.raises(sol.CacheError, match="cannot write the cache folder"):
        cache.make(KEY, fill)
