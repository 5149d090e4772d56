"""Lab 01 as a learner has it: JupyterLab in a real browser, every cell run from the menu."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from labs import cli

NOTEBOOK = "01_sol_introduction.ipynb"
# As `aurora lab` of an installed package: it works on a copy of the notebooks, in a folder below the current one.
INSTALLED = "from labs import cli, doctor_checks; doctor_checks.in_checkout = lambda: False; cli.main()"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# All cells are in the page, also those out of sight, so that a test can look at them.
ALL_CELLS = {"windowingMode": "none"}

ALL_RAN = r"""() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(e => e.textContent);
    return prompts.length > 0 && prompts.every(text => /^\[\d+\]:$/.test(text));
}"""
LOADED = "() => [...document.querySelectorAll('.jp-OutputArea img')].every(e => e.complete && e.naturalWidth)"
TOO_WIDE = """() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-RenderedMarkdown, .cm-scroller')]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"""
HEIGHT = "() => document.querySelector('.jp-WindowedPanel-outer').scrollHeight"
TO_TOP = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address and token of a JupyterLab that `aurora lab` started, with settings and notebooks of its own."""
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / "config/lab/user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(ALL_CELLS))
    # `aurora lab` copies the notebooks that are not there yet: this one is, and times fewer calls.
    text = (cli.HERE / NOTEBOOK).read_text(encoding="utf-8")
    assert "runs = 20" in text
    (folder / "aurora-labs").mkdir()
    (folder / "aurora-labs" / NOTEBOOK).write_text(text.replace("runs = 20", "runs = 2"), encoding="utf-8")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-c", INSTALLED, "lab", "--no-browser", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **own, "IPYTHONDIR": str(folder)}, stdout=log, stderr=log
        )
    try:
        yield _answering(folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answering(folder, process):
    """Wait until the server has written where it is, and answers."""
    for _ in range(600):
        assert process.poll() is None, (folder / "log").read_text()
        for file in (folder / "runtime").glob("jpserver-*.json"):
            try:
                found = json.loads(file.read_text())
                with urllib.request.urlopen(f"{found['url']}api?token={found['token']}", timeout=5):
                    return found["url"], found["token"]
            except (OSError, ValueError):
                pass
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


@pytest.fixture
def page(require_tool):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = require_tool("chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_lab_01_runs_in_a_browser(page, server, tmp_path):
    url, token = server
    assert token
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}lab/tree/{NOTEBOOK}?token={token}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    idle = page.locator(".jp-StatusBar-Widget").get_by_text(re.compile(r"Python 3.*\| Idle"))
    idle.wait_for()  # before that, JupyterLab would ask which kernel to take

    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator("li.lm-Menu-item[data-command='runmenu:run-all']").click()
    page.wait_for_function(ALL_RAN, timeout=90_000)
    idle.wait_for()
    page.wait_for_function(LOADED)

    for kind in ("error", "stderr"):
        assert page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']").all_text_contents() == []
    images = page.locator(".jp-OutputArea img").all()
    assert len(images) == 3
    assert all(image.get_attribute("alt") for image in images)
    assert page.locator(".jp-RenderedMarkdown h1").count() == 1
    assert page.evaluate(TOO_WIDE) == []
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == [], "nothing comes from elsewhere"

    page.locator(".jp-OutputArea select").select_option(label="SX-Aurora Vector Engine")
    page.locator(".jupyter-widgets b", has_text="vfmad.s").first.wait_for()

    page.set_viewport_size({"width": 1280, "height": min(16_000, page.evaluate(HEIGHT) + 120)})
    page.evaluate(TO_TOP)
    page.screenshot(path=tmp_path / "lab01.png")
    assert (tmp_path / "lab01.png").stat().st_size > 100_000
