"""What the tests of solkit share: their helpers, and a cache of one's own."""

import sys
from pathlib import Path

import pytest

import solkit as sol

sys.path.insert(0, str(Path(__file__).parent))  # for `import compare` and the like


@pytest.fixture(autouse=True, scope="session")
def _no_measuring():
    """Which implementation is chosen must not depend on what else the machine does: test_autotune.py turns it on."""
    sol.config["autotuning"] = "off"
    yield
    del sol.config["autotuning"]


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """An empty cache for this test alone; its path."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SOL_CACHE_DIR", str(folder))
    sol.cache._usable.cache_clear()
    yield folder
    sol.cache._usable.cache_clear()


@pytest.fixture
def settings():
    """`sol.config`, back as it was afterwards."""
    before = dict(sol.config._values)
    yield sol.config
    sol.config._values.clear()
    sol.config._values.update(before)
