"""What all tests share: folders of their own, and tools that may be missing."""

import os

import pytest

from labs import tools


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory):
    """No test reads or fills the cache and the progress file of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOL_CACHE_DIR", str(tmp_path_factory.mktemp("sol-cache")))
        patch.setenv("AURORA_PROGRESS_DIR", str(tmp_path_factory.mktemp("progress")))
        yield


@pytest.fixture(scope="session")
def require_tool():
    """A function: require_tool("qemu") returns the path of the program, or skips the test with a sentence.

    A tool named in AURORA_REQUIRE (names with commas between, as in .ci/run) fails the test instead.
    """

    def require(name):
        path = tools.find(name)
        if path is None:
            text = f"{name} is not here ({tools.TOOLS[name].use}); to install it: {tools.TOOLS[name].fix}"
            (pytest.fail if name in os.environ.get("AURORA_REQUIRE", "").split(",") else pytest.skip)(text)
        return path

    return require


@pytest.fixture(scope="module")
def browser(require_tool):
    """Chromium without a window, for playwright."""
    from tests.labs.jupyterlab import CHROMIUM

    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = require_tool("chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=CHROMIUM)
        yield browser
        browser.close()
