"""The repository as a whole: notebooks are what their sources make, the code is formatted, the wheel is complete."""

import importlib.resources
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import frovedis_lite
import labs
from labs import build, exercises

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted([*ROOT.glob("labs/*.ipynb"), *ROOT.glob("labs/solutions/*.ipynb")])


def test_notebooks_are_what_their_sources_make():
    assert build.check() == [], "make them anew: make labs"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_notebook_carries_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.parent.name == "solutions"], ids=lambda path: path.name
)
def test_solutions_have_no_blanks_and_check_exercises_that_exist(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert re.findall(r"(?m)^.*=\s*\.\.\.\s*$", code) == []
    assert set(re.findall(r"""(?:check|hint|solution)\(["']([^"']+)""", code)) <= set(exercises.ids())


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["rules", "format"])
def test_ruff(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_version():
    assert labs.__version__ == frovedis_lite.__version__ == PROJECT["version"]


def test_every_direct_requirement_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines[1:] if not re.fullmatch(r"[\w.-]+==[0-9][0-9A-Za-z.]*", line)] == []
    pinned = {line.partition("==")[0].lower() for line in lines[1:]}
    wanted = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    assert {re.match(r"[\w.-]+", name).group().lower() for name in wanted} <= pinned


def test_installed_kernels_are_those_of_the_repository():
    files = importlib.resources.files("aurora_kernels")
    assert (files / "jupyter" / "aurora-labs" / "kernel.json").is_file()


def test_wheel_is_complete(tmp_path):
    copy = tmp_path / "copy"  # an old build/ beside the sources would leave its files in the wheel
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(copy),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("aurora_labs-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("solkit", "frovedis_lite", "labs"):
        present = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert present - names == set()
    for folder, pattern in (
        ("labs", "*.ipynb"),
        ("labs", "solutions/*.ipynb"),
        ("kernels", "compute/**/*.[hc]"),
        ("kernels", "jupyter/*.py"),
        ("kernels", "jupyter/*/kernel.json"),
    ):
        installed = folder.replace("kernels", "aurora_kernels")
        present = {f"{installed}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).glob(pattern)}
        assert present - names == set()
    data = f"{wheel.name.rpartition('-py3')[0]}.data/data/share/"
    shared = ["aurora-labs/constraints.txt", "aurora-labs/site.conf", "jupyter/labextensions/aurora-slurm/package.json"]
    shared += ["jupyter/labextensions/aurora-slurm/static/notices.js"]
    shared += [f"jupyter/kernels/{name}/kernel.json" for name in ("aurora-labs", "aurora-labs-slurm")]
    assert {f"{data}{name}" for name in shared} <= names
    assert not [name for name in names if name.startswith(("tests", "build", "benchmarks"))]
