"""The templates in slurm/ without a Slurm: what they would submit, and what they say about mistakes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.slurm.repository import ROOT, Repository, without_slurm

TEMPLATES = ["sol_lab.sh", "frovedis_lab.sh", "jupyter.sh", "sweep.sh"]
LABS = {"sol_lab.sh": "01", "frovedis_lab.sh": "07"}


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path)
    for number in ("01", "02", "07"):
        made.lab(number)
    return made


@pytest.mark.parametrize("template", LABS)
def test_a_dry_run_says_what_would_be_submitted_and_run(repository, template):
    lab = LABS[template]
    done = repository.run(template, "--dry-run", lab, "-p", "runs=1", "--", "--time=5:00")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"This would submit, in {repository.root}:" in done.stdout
    (command,) = (row for row in done.stdout.splitlines() if row.startswith("  sbatch"))
    for word in ("--account=icm", "--partition=ve", "--gres=ve:1", "--mem=2G", "--cpus-per-task=1", "--time=10:00"):
        assert word in command
    assert command.endswith(f"--time=5:00 slurm/{template} {lab} -p runs=1"), "a later --time counts"
    assert "No Slurm answers on this machine" in done.stdout
    assert f"aurora check {lab} -p runs=1" in done.stdout


@pytest.mark.parametrize("template", LABS)
def test_every_lab_that_is_here_when_none_is_named(repository, template):
    done = repository.run(template, "--dry-run")
    found = re.findall(r"aurora check (\d\d)", done.stdout)
    assert found == {"sol_lab.sh": ["01", "02"], "frovedis_lab.sh": ["07"]}[template]


def test_a_dry_run_of_jupyterlab(repository):
    done = repository.run("jupyter.sh", "--dry-run", "--port=9000", "--", "--time=5:00")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--mem=2G --gres=ve:1 --time=5:00 slurm/jupyter.sh --port=9000\n" in done.stdout
    assert "No Slurm answers on this machine" in done.stdout
    assert "aurora check" not in done.stdout
    assert "aurora lab --no-browser --ip=ADDRESS-OF-THE-NODE --port=9000\n" in done.stdout
    assert "--port=0\n" in repository.run("jupyter.sh", "--dry-run").stdout


@pytest.mark.parametrize("arguments", [["01"], ["--prot=9000"], ["--port"], ["--port", "x"], ["--port=9000", "01"]])
def test_jupyterlab_has_one_option(repository, arguments):
    done = repository.run("jupyter.sh", "--dry-run", *arguments)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr
    assert "There is --port=NUMBER" in done.stderr


def test_a_parameter_goes_to_the_labs_that_have_it(repository):
    for path in repository.root.glob("labs/**/02_made.ipynb"):
        path.write_text(path.read_text().replace("runs = 3", "rows = 3"))
    done = repository.run("sol_lab.sh", "--dry-run", "-p", "rows=1", "--cell-seconds", "60")
    assert re.findall(r"aurora check (.*)", done.stdout) == ["01 --cell-seconds 60", "02 -p rows=1 --cell-seconds 60"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99"], "there is no lab 99"),
        (["01", "-p", "rusn=1"], "no chosen lab has a parameter rusn"),
        (["lab01"], "what is lab01?"),
        (["01"], "there is no sbatch here"),
    ],
)
def test_mistakes_are_named(repository, arguments, words):
    done = repository.run("sol_lab.sh", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("PARTITON=ve", "there is no setting PARTITON"),
        ("PARTITION = ve", "cannot be read as shell"),
        ('ACCOUNT="', "cannot be read as shell"),
    ],
)
def test_a_mistake_in_the_settings_is_named(repository, line, words):
    with repository.site.open("a") as file:
        file.write(f"{line}\n")
    done = repository.run("sol_lab.sh", "--dry-run")
    assert done.returncode == 2
    assert words in done.stderr
    assert str(repository.site) in done.stderr


def test_another_file_of_settings_and_empty_ones(repository, tmp_path):
    other = tmp_path / "site of mine.conf"
    other.write_text("RESOURCE='--gpus=ve1:2 --exclusive'\nPARTITION=\nENVIRONMENT=/opt/python\n")
    environment = {**without_slurm(tmp_path), "AURORA_SITE": str(other)}
    done = repository.run("sol_lab.sh", "--dry-run", "01", environment=environment)
    assert "\n  sbatch --gpus=ve1:2 --exclusive slurm/sol_lab.sh 01\n" in done.stdout
    environment["AURORA_SITE"] = "/nowhere/site.conf"
    done = repository.run("sol_lab.sh", "--dry-run", environment=environment)
    assert (done.returncode, "/nowhere/site.conf" in done.stderr) == (2, True)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_copy_that_slurm_runs_without_its_repository_says_so(tmp_path, template):
    copy = tmp_path / "slurm_script"
    shutil.copy(ROOT / "slurm" / template, copy)
    environment = {**without_slurm(tmp_path), "SLURM_JOB_ID": "1", "SLURM_SUBMIT_DIR": "/"}
    done = subprocess.run([copy], env=environment, text=True, capture_output=True)
    assert done.returncode == 2
    assert "the repository was not found" in done.stderr


@pytest.mark.parametrize("template", TEMPLATES)
def test_help_and_directives(repository, template):
    done = repository.run(template, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--dry-run" in done.stdout
    assert "#SBATCH" not in done.stdout
    text = (ROOT / "slurm" / template).read_text()
    assert len(text.splitlines()) < 120
    again = "--no-requeue" if template == "jupyter.sh" else "--requeue"
    log = "%x-%A_%a.log" if template == "sweep.sh" else "%x-%j.log"
    for flag in (f"--output={log}", "--signal=B:USR1@90", again, "--open-mode=append"):
        assert f"#SBATCH {flag}\n" in text
    assert "set -euo pipefail" in text


@pytest.mark.parametrize(
    ("node", "names", "address"),
    [
        ("NodeAddr=10.1.2.3", {}, "10.1.2.3"),
        ("NodeAddr=127.0.0.1", {"127.0.0.1": "127.0.0.1"}, "127.0.0.1"),  # a cluster of this machine alone
        ("NodeAddr=node7", {"node7": "10.1.2.7"}, "node7"),
        ("NodeAddr=node7", {"node7": "127.0.1.1"}, "10.9.9.9"),
        ("", {"here": "10.1.2.8"}, "here"),  # Slurm does not answer
    ],
)
def test_a_server_listens_where_the_login_node_reaches_it(repository, node, names, address):
    programs = without_slurm(repository.root.parent)
    answers = {
        "scontrol": f"echo ' {node} NodeHostName=x'" if node else "exit 1",
        "getent": "\n".join(f"[ $2 != {name} ] || echo '{found}  {name}'" for name, found in names.items()) or ":",
        "hostname": "[ $# = 0 ] && echo here || echo '10.9.9.9 fd00::1'",
    }
    for name, text in answers.items():
        program = Path(programs["PATH"], name)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    Path(programs["PATH"], "cut").symlink_to(shutil.which("cut"))
    programs |= {"root": str(repository.root), "template": "x.sh", "SLURMD_NODENAME": "n"}
    code = 'set -eu; source "$root/slurm/common.sh"; find_address; echo "$address"'
    done = subprocess.run(["bash", "-c", code], env=programs, text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{address}\n", "")


def test_a_program_of_ones_own(repository, tmp_path):
    (tmp_path / "my program.py").touch()
    environment = {**without_slurm(tmp_path), "PROGRAM": str(tmp_path / "my program.py")}
    done = repository.run("frovedis_lab.sh", "--dry-run", environment=environment)
    assert "srun --mpi=pmi2 python my program.py" in done.stdout
    done = repository.run("frovedis_lab.sh", "--dry-run", environment={**environment, "PROGRAM": "mine.py"})
    assert (done.returncode, "PROGRAM: there is no //mine.py" in done.stderr) == (2, True), "it runs in /"


def test_every_setting_is_in_the_shipped_file():
    names = re.search(r'settings="(.*)"', (ROOT / "slurm" / "common.sh").read_text())[1].split()
    assert re.findall(r"(?m)^(\w+)=", (ROOT / "slurm" / "site.conf").read_text()) == names


def test_shellcheck_has_nothing_to_say(require_tool):
    program = require_tool("shellcheck")
    files = sorted(str(path.relative_to(ROOT)) for path in Path(ROOT, "slurm").glob("*.sh"))
    done = subprocess.run([program, "-x", *files], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
