"""The kernel on a Slurm node as a learner has it: chosen in JupyterLab, in a real browser, on a real Slurm."""

import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.labs.jupyterlab import JupyterLab
from tests.slurm.kernels import SHIPPED, gates, install, soon

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]
NAME = "Aurora labs (VE node, Slurm)"
WHERE = "import os\nprint('job', os.environ['SLURM_JOB_ID'], 'engine', os.environ.get('VE_NODE_NUMBER'))"
LONG = "import time\nprint('begun', flush=True)\ntime.sleep(100)"


@pytest.fixture
def server(cluster, tmp_path):
    install(tmp_path / "jupyter")
    (tmp_path / "aurora-labs").mkdir()
    cells = [nbformat.v4.new_code_cell(code) for code in (WHERE, LONG, "6 * 7")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "aurora-labs" / "node.ipynb")
    # The extension as it is in the repository; what a newcomer has of it `make` puts into the environment.
    shutil.copytree(SHIPPED.parent.parent / "labextension", tmp_path / "jupyter" / "labextensions" / "aurora-slurm")
    started = JupyterLab(tmp_path, SLURM_CONF=str(cluster.conf), JUPYTER_PATH=str(tmp_path / "jupyter"))
    yield started
    started.stop()


class Notebook:
    """The notebook in a page."""

    def __init__(self, page, server):
        self.page = page
        page.set_default_timeout(60_000)
        page.goto(f"{server.url}lab/tree/node.ipynb?token={server.token}")
        self.idle("Python 3.*")
        page.locator(".jp-Toolbar-kernelName").click()
        page.locator(".jp-Dialog select").select_option(label=NAME)
        self.accept()
        self.idle(re.escape(NAME))

    def idle(self, name):
        """Wait until the kernel of this name is ready."""
        self.page.locator(".jp-StatusBar-Widget").get_by_text(re.compile(rf"{name} \| Idle")).wait_for()

    def accept(self):
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()

    def run(self, number):
        """Run a cell, and do not wait."""
        self.page.locator(".jp-CodeCell").nth(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def says(self, number, words, seconds=60):
        """Wait until there is a text under a cell, and return all that is there."""
        cell = self.page.locator(".jp-CodeCell").nth(number)
        found = cell.locator(".jp-OutputArea").filter(has_text=re.compile(words))
        found.wait_for(timeout=1000 * seconds)
        return found.text_content()

    def kernel(self, command):
        """Choose from the menu Kernel."""
        self.page.locator(".lm-MenuBar-item", has_text="Kernel").click()
        self.page.locator(f"li.lm-Menu-item[data-command='kernelmenu:{command}']").click()

    def restart(self):
        self.kernel("restart")
        self.accept()
        self.page.wait_for_timeout(1000)  # it is idle still
        self.idle(re.escape(NAME))

    def picture(self, name, folder):
        place = Path(os.environ.get("AURORA_SCREENSHOTS") or folder)
        place.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=place / f"kernel-{name}.png")


def test_the_kernel_in_jupyterlab(browser, server, cluster, tmp_path):
    busy = cluster.call("sbatch", "--parsable", "-p", "short", "--gres=ve:8", "-o", "/dev/null", "--wrap=sleep 300")
    cluster.wait_for(busy.strip(), "RUNNING")
    page = browser.new_page(viewport={"width": 1100, "height": 700})
    notebook = Notebook(page, server)

    # It waits, and says why; then it runs on the node.
    notebook.run(0)
    job = re.search(r"Job (\d+) waits in partition ve", notebook.says(0, "as soon as enough"))[1]
    notice = page.locator(".Toastify__toast").filter(has_text=f"node.ipynb: Job {job} waits in partition ve")
    notice.wait_for()
    page.wait_for_timeout(1000)  # it slides in
    notebook.picture("waits", tmp_path)
    cluster.call("scancel", busy.strip())
    said = notebook.says(0, "engine")
    assert re.fullmatch(rf"job {job} engine [0-7]\s*", said.partition(":")[2] or said)

    notice.wait_for(state="detached")

    # An interrupt ends the cell, and not the kernel.
    notebook.run(1)
    notebook.says(1, "begun")
    notebook.kernel("interrupt")
    notebook.says(1, "KeyboardInterrupt")
    notebook.picture("interrupted", tmp_path)
    notebook.run(2)
    notebook.says(2, "42")

    # A restart keeps the job.
    notebook.restart()
    notebook.run(2)
    page.locator(".jp-CodeCell").nth(2).locator(".jp-InputArea-prompt", has_text="[1]:").wait_for()
    notebook.run(0)
    page.locator(".jp-CodeCell").nth(0).locator(".jp-InputArea-prompt", has_text="[2]:").wait_for()
    assert f"job {job} engine" in notebook.says(0, "engine")
    assert cluster.job(job)["JobState"] == "RUNNING"

    # scancel from outside is told, and a restart gets another job.
    notebook.run(1)
    notebook.says(1, "begun")
    cluster.call("scancel", job)
    notebook.says(1, f"Job {job} has ended: it was cancelled")
    page.locator(".Toastify__toast").filter(has_text=f"node.ipynb: Job {job} has ended").wait_for()
    notebook.picture("cancelled", tmp_path)
    notebook.restart()
    notebook.run(0)
    second = re.search(r"job (\d+) engine", notebook.says(0, r"job \d+ engine (?!.*has ended)"))[1]
    assert second != job

    # The end of the kernel is the end of the job.
    notebook.kernel("shutdown")
    assert cluster.wait_for(second, "COMPLETED", "CANCELLED", seconds=30)
    page.close()
    assert soon(lambda: gates(cluster) == [])
    assert list((tmp_path / "runtime").glob("aurora-*")) == []
    assert server.token not in json.dumps(cluster.call("scontrol", "show", "job"))


def test_a_server_that_is_stopped_ends_the_job(browser, server, cluster):
    page = browser.new_page()
    notebook = Notebook(page, server)
    notebook.run(0)
    job = re.search(r"job (\d+) engine", notebook.says(0, r"job \d+ engine"))[1]
    server.stop()
    assert cluster.wait_for(job, "COMPLETED", "CANCELLED", seconds=30)
    assert soon(lambda: gates(cluster) == [])
    page.close()
