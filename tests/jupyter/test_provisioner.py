"""The provisioner and the site's settings where there is no Slurm."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from aurora_kernels.jupyter import files, gate, node, site, slurm
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

ROOT = Path(__file__).resolve().parent.parent.parent
SPECS = ROOT / "kernels" / "jupyter"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start the shipped kernel with a config of its own; there is no sbatch."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "bash").symlink_to("/bin/bash")
    monkeypatch.setenv("PATH", str(tmp_path))

    def launch(**config):
        spec = json.loads((SPECS / "aurora-labs-slurm" / "kernel.json").read_text())
        spec["metadata"]["kernel_provisioner"]["config"] = config
        place = tmp_path / "kernels" / "node"
        place.mkdir(parents=True)
        (place / "kernel.json").write_text(json.dumps(spec))
        specs = KernelSpecManager(kernel_dirs=[str(place.parent)])
        KernelManager(kernel_name="node", kernel_spec_manager=specs).start_kernel()

    return launch


def test_no_slurm_is_said(start, tmp_path):
    with pytest.raises(RuntimeError, match="there is no sbatch here: log in to a cluster"):
        start()
    assert list((tmp_path / "runtime").glob("aurora-*")) == []


def test_a_wrong_setting_in_kernel_json_is_named(start):
    with pytest.raises(site.SiteError, match="there is no setting partitoin in config; there are account,"):
        start(partitoin="ve")


def test_a_wrong_file_of_settings_is_named(start):
    with pytest.raises(site.SiteError, match=r"/no where/site\.conf"):
        start(site="/no where/site.conf")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PARTITON=ve", "there is no setting PARTITON; there are ACCOUNT"),
        ("PARTITION = ve", "cannot be read as shell"),
        ('ACCOUNT="', "cannot be read as shell"),
        ("exit 3", "cannot be read as shell"),
    ],
)
def test_mistakes_in_the_settings_are_named(tmp_path, text, words):
    path = tmp_path / "my site.conf"
    path.write_text(text)
    with pytest.raises(site.SiteError, match=words) as raised:
        site.read(path)
    assert str(path) in str(raised.value)


def test_settings_and_flags(tmp_path, monkeypatch):
    path = tmp_path / "site.conf"
    path.write_text('RESOURCE=\'--gpus=ve1:2 --comment="two engines"\'\nTIME=2:00\nSCRATCH="$HOME/a b"\necho hello\n')
    monkeypatch.setenv("ACCOUNT", "of the shell's environment")
    settings = site.read(path)
    assert settings["ACCOUNT"] == ""
    assert settings["SCRATCH"] == f"{os.environ['HOME']}/a b"
    assert site.flags(settings) == ["--time=2:00", "--gpus=ve1:2", "--comment=two engines"]
    with pytest.raises(site.SiteError, match="RESOURCE"):
        site.flags({"RESOURCE": "--gres='ve"})


def test_the_templates_and_the_kernel_read_the_same_settings():
    names = re.search(r'settings="(.*)"', (ROOT / "slurm" / "common.sh").read_text())[1].split()
    assert tuple(names) == site.SETTINGS
    assert tuple(re.findall(r"(?m)^(\w+)=", (ROOT / "slurm" / "site.conf").read_text())) == site.SETTINGS


def test_where_the_settings_are(monkeypatch):
    monkeypatch.delenv("AURORA_SITE", raising=False)
    assert site.find() == ROOT / "slurm" / "site.conf"
    monkeypatch.setenv("AURORA_SITE", "~/mine.conf")
    assert site.find() == Path.home() / "mine.conf"


def test_the_batch_script_quotes_what_it_is_given():
    settings = {"modules": "gcc/12 necmpi", "setup": "/opt/my setup.sh", "python": "/my env/bin/python"}
    text = gate.script(settings, Path("/a folder"))
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "module load gcc/12 necmpi || {" in text
    assert "source '/opt/my setup.sh' ||" in text
    assert text.endswith("exec '/my env/bin/python' -P -m aurora_kernels.jupyter.node '/a folder'\n")
    assert gate.script({**settings, "modules": "", "setup": ""}, Path("/a")).count("\n") == 2


def test_a_job_within_a_job_does_not_inherit_what_is_of_the_first(monkeypatch):
    for name in ("SLURM_CPUS_ON_NODE", "PMI_RANK", "SLURM_CONF", *slurm.OF_A_JOB):
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert slurm.outside()["SLURM_CONF"] == "3"
    assert not {"SLURM_JOB_ID", "SLURM_CPUS_ON_NODE", "PMI_RANK", *slurm.OF_A_JOB} & set(slurm.outside())
    monkeypatch.delenv("SLURM_JOB_ID")
    assert slurm.outside()["HYDRA_LAUNCHER"] == "3", "outside of a job it is the user's own"


@pytest.mark.parametrize(
    ("known", "resolved", "address"),
    [("10.0.0.5", "10.0.0.5", "10.0.0.5"), ("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("node3", "127.0.1.1", "10.0.0.9")],
)
def test_the_address_of_a_node(monkeypatch, tmp_path, known, resolved, address):
    monkeypatch.setattr(slurm, "call", lambda *command: f"NodeName=node3 NodeAddr={known} NodeHostName=node3")
    monkeypatch.setattr(node.socket, "gethostbyname", {known: resolved}.get)
    (tmp_path / "hostname").write_text("#!/bin/sh\necho 10.0.0.9 172.17.0.1\n")
    (tmp_path / "hostname").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.address() == address


def test_private_files_are_whole_and_private(tmp_path):
    path = tmp_path / "keys.json"
    files.write_private(path, {"key": "secret"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"key": "secret"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", ["aurora-labs", "aurora-labs-slurm"])
def test_kernelspecs(folder):
    spec = json.loads((SPECS / folder / "kernel.json").read_text())
    assert spec["argv"] == ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert spec["display_name"].startswith("Aurora labs (")
