"""Every lab as a learner has it: JupyterLab in a real browser, all cells run from the menu, outputs looked at with axe,
widgets moved. Pictures of the pages are kept in the folder AURORA_SCREENSHOTS, if that is set."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from labs.notebooks import LABS
from tests.labs.jupyterlab import JupyterLab

NOTEBOOKS = sorted(path.name for path in LABS.glob("[0-9][0-9]_*.ipynb"))
SECONDS = 240  # for all cells of a notebook

ALL_RAN = r"""() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(e => e.textContent);
    return prompts.length > 0 && prompts.every(text => /^\[\d+\]:$/.test(text));
}"""
LOADED = "() => [...document.querySelectorAll('.jp-OutputArea img')].every(e => e.complete && e.naturalWidth)"
TOO_WIDE = """() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-RenderedMarkdown, .cm-scroller')]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 300))"""
NO_TEXT = "() => [...document.querySelectorAll('.jp-OutputArea img')].filter(e => !e.alt).map(e => e.src.slice(0, 80))"
HEIGHT = "() => document.querySelector('.jp-WindowedPanel-outer').scrollHeight"
TO_TOP = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)"
AXE = """async () => {
    const found = await axe.run({ include: [['.jp-OutputArea']] }, { resultTypes: ['violations'] });
    const grave = found.violations.filter(one => ['serious', 'critical'].includes(one.impact));
    const said = node => `${node.html.slice(0, 200)} ${node.failureSummary}`;
    return grave.map(one => [one.id, ...one.nodes.slice(0, 3).map(said)].join('\\n'));
}"""
PROBLEM = re.compile(rb'"msg_type": ?"error"|Traceback \(most recent call last\)')


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    # `aurora lab` copies the notebooks that are not there yet: these are, and time fewer calls.
    (folder / "aurora-labs").mkdir()
    for name in NOTEBOOKS:
        text = re.sub(r'"runs = \d+', '"runs = 2', (LABS / name).read_text(encoding="utf-8"))
        (folder / "aurora-labs" / name).write_text(text, encoding="utf-8")
    started = JupyterLab(folder)
    yield started
    started.stop()


class Opened:
    """A notebook in a page, run to its end."""

    def __init__(self, page, url, token, name):
        self.page, self.name, self.asked, self.problems = page, name, [], []
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))
        # A workspace of its own: in the usual one JupyterLab would open the notebook before this one, too.
        page.goto(f"{url}lab/workspaces/{name[:2]}/tree/{name}?token={token}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        self.wait()  # before that, JupyterLab would ask which kernel to take
        page.locator(".lm-MenuBar-item", has_text="Run").click()
        page.locator("li.lm-Menu-item[data-command='runmenu:run-all']").click()
        page.wait_for_function(ALL_RAN, timeout=1000 * SECONDS)
        self.wait()
        page.wait_for_function(LOADED)

    def _received(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        if PROBLEM.search(data):
            self.problems.append(data[-2000:].decode(errors="replace"))

    def wait(self):
        """Wait until the kernel has nothing to do."""
        self.page.locator(".jp-StatusBar-Widget").get_by_text(re.compile(r"Python 3.*\| Idle")).wait_for()

    def outputs(self, kind):
        """The texts of the error or stderr outputs."""
        return self.page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']").all_text_contents()


# Lab 01 is looked at in each run of the tests, the others with the slow ones.
PARAMETERS = [name if name.startswith("01") else pytest.param(name, marks=pytest.mark.slow) for name in NOTEBOOKS]


@pytest.fixture(scope="module", params=PARAMETERS, ids=lambda name: name.removesuffix(".ipynb"))
def opened(request, browser, server):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        yield Opened(page, server.url, server.token, request.param)
    finally:
        page.close()
        server.end_kernels()


@pytest.mark.timeout(2 * SECONDS)
def test_a_lab_runs_in_a_browser(opened, server, tmp_path):
    page, url = opened.page, server.url
    assert opened.outputs("error") == opened.outputs("stderr") == opened.problems == []
    assert "without encryption" not in server.log, "others on this machine cannot listen"
    assert page.evaluate(NO_TEXT) == [], "an image has a text for who cannot see it"
    assert page.locator(".jp-RenderedMarkdown h1").count() == 1
    assert [one for one in opened.asked if not one.startswith((url, "data:", "blob:"))] == [], "all comes from here"

    page.set_viewport_size({"width": 1280, "height": min(16_000, page.evaluate(HEIGHT) + 120)})
    page.evaluate(TO_TOP)
    folder = Path(os.environ.get("AURORA_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"{Path(opened.name).stem}.png"
    page.screenshot(path=picture)
    page.set_viewport_size({"width": 1280, "height": 900})
    assert picture.stat().st_size > 100_000
    assert page.evaluate(TOO_WIDE) == []


@pytest.mark.timeout(2 * SECONDS)
def test_outputs_are_accessible(opened):
    """axe finds nothing serious in what our outputs show."""
    package = find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-playwright-python is not installed, which brings axe; to install it: pip install it")
    opened.page.add_script_tag(path=Path(package.origin).with_name("axe.min.js"))
    assert opened.page.evaluate(AXE) == []


@pytest.mark.timeout(2 * SECONDS)
def test_widgets_can_be_moved(opened):
    """Each slider one step by keyboard, each menu to its next option, each button once."""
    area = opened.page.locator(".jp-OutputArea")
    for handle in area.locator(".noUi-handle").all():
        handle.focus()
        handle.press("ArrowRight")
        opened.wait()
    for menu in area.locator(".widget-dropdown select").all():
        count = menu.locator("option").count()
        menu.select_option(index=(menu.evaluate("e => e.selectedIndex") + 1) % count)
        opened.wait()
    for button in area.locator("button.jupyter-button:enabled").all():
        button.click()
        opened.wait()
    opened.page.wait_for_timeout(500)  # for what the kernel says last
    opened.wait()
    assert opened.outputs("error") == opened.outputs("stderr") == opened.problems == []
    assert area.get_by_text("Error displaying widget").count() == 0
