"""Every kind of row of `aurora doctor`, on machines made up for it."""

import importlib.metadata
import io
import os
import sys
import types
from datetime import datetime
from pathlib import Path

import pytest
from aurora_kernels.jupyter import slurm
from rich.console import Console

from labs import doctor, doctor_checks, doctor_machine, doctor_slurm, tools
from labs.doctor import Row
from solkit.toolchain import find_compiler


@pytest.fixture
def fake(monkeypatch):
    """A function that puts a module in place of an imported one: fake("solkit.target", host=...)."""

    def put(name, **content):
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            monkeypatch.setattr(sys.modules[parent], child, module, raising=False)
        return module

    return put


@pytest.fixture(autouse=True)
def _fresh():
    doctor_machine._cache_directory.cache_clear()
    yield
    doctor_machine._cache_directory.cache_clear()


def versions(monkeypatch, have, requires=()):
    """Pretend that exactly these packages are installed."""

    def version(name):
        if name not in have:
            raise importlib.metadata.PackageNotFoundError(name)
        return have[name]

    def requirements(name):
        version(name)
        return list(requires)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", requirements)


# --- the table -------------------------------------------------------------------------------------------------------


def crash():
    raise ZeroDivisionError("no luck")


TABLE = (
    ("good", True, lambda: ("ok", "there", "")),
    ("luxury", False, lambda: ("missing", "not there", "get one")),
    ("crashes", True, crash),
)


def test_a_check_that_raises_is_a_wrong_row():
    assert doctor.run(TABLE)[2] == Row("crashes", "wrong", True, "ZeroDivisionError: no luck", "")


def test_only_what_is_needed_fails():
    rows = doctor.run(TABLE)
    assert [row.name for row in doctor.failed(rows)] == ["crashes"]
    assert doctor.failed(rows[:2]) == []


def test_report():
    report = doctor.report(doctor.run(TABLE))
    assert report["summary"] == {"ok": 1, "missing": 1, "wrong": 1, "failed": ["crashes"], "ready": False}
    assert report["rows"][1] == {
        "name": "luxury",
        "status": "missing",
        "needed": False,
        "detail": "not there",
        "fix": "get one",
    }


def test_printed_table():
    out = io.StringIO()
    rows = [*doctor.run(TABLE), Row("brackets", "missing", True, "[labs]", "pip install 'aurora-labs[labs]'")]
    doctor.show(rows, Console(file=out, width=100))
    text = out.getvalue()
    for words in ("missing, optional", "fix: get one", "aurora-labs[labs]", "Not ready: crashes, brackets."):
        assert words in text
    out.truncate(0)
    doctor.show(rows[:2], Console(file=out, width=100))
    assert "Ready. Start with: aurora lab" in out.getvalue()


def test_the_real_table_answers_on_this_machine():
    rows = {row.name: row for row in doctor.run()}
    assert list(rows) == [name for name, _, _ in doctor.CHECKS]
    assert all(row.status in ("ok", "missing", "wrong") and row.detail for row in rows.values())
    assert rows["Python"].status == rows["JupyterLab"].status == "ok"


# --- the software ----------------------------------------------------------------------------------------------------


def test_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert doctor_checks.python()[0] == "wrong"


REQUIRES = ("torch>=2.13", "numpy", 'jupyterlab; extra == "labs"', 'onnx; extra == "bench"')


@pytest.mark.parametrize(
    ("have", "status", "words"),
    [
        ({"torch": "2.13.0+cpu", "numpy": "2.4.6", "jupyterlab": "4.6.6"}, "ok", "aurora-labs 0.1.0"),
        ({"torch": "2.13.0", "numpy": "2.4.6"}, "missing", "jupyterlab"),
        ({"torch": "2.5.1", "numpy": "2.4.6", "jupyterlab": "4.6.6"}, "wrong", "torch 2.5.1 is not >=2.13"),
    ],
)
def test_packages(monkeypatch, have, status, words):
    versions(monkeypatch, {"aurora-labs": "0.1.0", **have}, REQUIRES)
    found = doctor_checks.packages()
    assert found[0] == status
    assert words in found[1]
    assert ("pip install" in found[2]) == (status != "ok")


def test_the_project_itself_is_not_installed(monkeypatch):
    versions(monkeypatch, {})
    assert doctor_checks.packages()[:2] == ("missing", "aurora-labs itself is not installed")


def test_pinned_versions(monkeypatch, tmp_path):
    (tmp_path / "constraints.txt").write_text("# how\ntorch==2.13.0\nnumpy==2.4.6\nabsent==1.0\n")
    monkeypatch.setattr(doctor_checks, "ROOT", tmp_path)
    versions(monkeypatch, {"torch": "2.13.0+cpu", "numpy": "2.4.6"})
    assert doctor_checks.pinned_versions()[:2] == ("ok", "2 packages as in constraints.txt")
    versions(monkeypatch, {"torch": "2.12.0", "numpy": "2.4.6"})
    assert doctor_checks.pinned_versions()[:2] == ("wrong", "torch 2.12.0, not 2.13.0")


def test_constraints_of_a_wheel(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_checks, "ROOT", tmp_path / "site-packages")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert doctor_checks.pinned_versions()[0] == "missing"
    assert doctor_checks._install().endswith("-m pip install 'aurora-labs[labs,mpi]'")
    (tmp_path / "share/aurora-labs").mkdir(parents=True)
    (tmp_path / "share/aurora-labs/constraints.txt").touch()
    assert doctor_checks.constraints() == tmp_path / "share/aurora-labs/constraints.txt"


def test_jupyter(monkeypatch):
    from jupyter_client import kernelspec

    def finds(program):
        spec = types.SimpleNamespace(argv=[program])
        monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
        return doctor_checks.jupyter()

    assert finds(sys.executable)[0] == finds("python")[0] == "ok"
    assert finds("/elsewhere/bin/python")[0] == "wrong"

    def none(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", none)
    assert doctor_checks.jupyter()[0] == "missing"
    versions(monkeypatch, {})
    assert doctor_checks.jupyter()[:2] == ("missing", "JupyterLab is not installed")


@pytest.mark.parametrize("check", [doctor_slurm.slurm, doctor_checks.qemu, doctor_checks.chromium, doctor_checks.mpi])
def test_optional_tools(monkeypatch, check):
    monkeypatch.setattr(tools, "find", lambda name: None)
    status, detail, fix = check()
    assert (status, bool(detail), bool(fix)) == ("missing", True, True)
    monkeypatch.setattr(tools, "find", lambda name: Path("/usr/bin/thing"))
    monkeypatch.setattr(slurm, "call", lambda *words, **more: "ve\nshort*\n")
    versions(monkeypatch, {"mpi4py": "4.1.2"})
    assert check()[0] == "ok"


@pytest.fixture
def no_job(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM", "AURORA_SITE"))]:
        monkeypatch.delenv(name)


def test_slurm_on_a_login_node(monkeypatch, no_job, tmp_path):
    monkeypatch.setattr(tools, "find", lambda name: Path("/usr/bin/sbatch"))
    monkeypatch.setattr(slurm, "call", lambda *words, **more: "short*\nlong\n")
    site = tmp_path / "site.conf"
    monkeypatch.setenv("AURORA_SITE", str(site))
    for text, status, words, fix in (
        ('PARTITION="long"', "ok", "partitions short, long", ""),
        ("", "ok", "partitions short, long", ""),
        ('PARTITION="ve,short"', "wrong", "there is no partition ve", f"set PARTITION in {site}"),
        ("PARTITON=ve", "wrong", "there is no setting PARTITON", "aurora slurm submit --dry-run sol_lab"),
    ):
        site.write_text(f"{text}\n")
        found = doctor_slurm.slurm()
        assert (found[0], words in found[1], found[2]) == (status, True, fix)

    def none(*words, **more):
        raise slurm.NotThere("sinfo: Unable to contact slurm controller\nand more")

    monkeypatch.setattr(slurm, "call", none)
    status, detail, _ = doctor_slurm.slurm()
    assert (status, detail) == (
        "missing",
        "/usr/bin/sbatch, but no Slurm answers: sinfo: Unable to contact slurm controller",
    )


def test_slurm_in_a_job(monkeypatch, no_job):
    given = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "vm", "SLURM_JOB_PARTITION": "ve", "SLURM_NTASKS": "1"}
    given |= {"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "8192"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    asked = []
    end = datetime(2026, 11, 23, 17, 30)
    monkeypatch.setattr(slurm, "queued", lambda number: asked.append(number) or slurm.Job(number, end=end))
    words = "in job 12 on vm, partition ve, 1 task of 4 cores, 8.0 GiB of memory, until 17:30 on 23 Nov"
    assert doctor_slurm.slurm() == ("ok", words, "")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "16")
    assert "16 cores on this node" in doctor_slurm.slurm()[1]
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert doctor_slurm.slurm()[1].startswith("in job 8_3 on vm")
    assert asked == ["12", "12", "8_3"]

    def none(number):
        raise slurm.NotThere("squeue: Unable to contact slurm controller")

    monkeypatch.setattr(slurm, "queued", none)
    assert (doctor_slurm.slurm()[0], "Unable to contact" in doctor_slurm.slurm()[1]) == ("wrong", True)


def test_mpiexec_without_mpi4py(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda name: Path("/usr/bin/mpiexec"))
    versions(monkeypatch, {})
    assert doctor_checks.mpi()[2].endswith("pip install mpi4py")


def test_tools_are_found_beside_python_and_on_the_path(monkeypatch, tmp_path):
    for folder in ("own", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sbatch").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "own/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert tools.find("slurm") == tmp_path / "own/sbatch"
    (tmp_path / "own/sbatch").unlink()
    assert tools.find("slurm") == tmp_path / "path/sbatch"
    assert tools.find("qemu") is None


# --- the machine -----------------------------------------------------------------------------------------------------


class ToolchainError(Exception):
    pass


CC = find_compiler().command  # whichever there is: a bare machine has only the one in the ziglang wheel


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (CC, "ok", "compiles, and what it makes runs"),
        ((sys.executable, "-c", "import sys; sys.exit('out of ideas')"), "wrong", "out of ideas"),
        ((sys.executable, "-c", "import sys; sys.exit(3)"), "wrong", "exit status 3"),
        ((*CC, "-Danswer(x)=answer(void){return/**/1;}int/**/unused(x)"), "wrong", "does not work"),
        (None, "missing", "set CC"),
    ],
)
def test_compiler(fake, command, status, words):
    def find_compiler():
        if command is None:
            raise ToolchainError("no C compiler: set CC")
        return types.SimpleNamespace(command=command, description="a compiler")

    fake("solkit.errors", ToolchainError=ToolchainError)
    fake("solkit.toolchain", find_compiler=find_compiler)
    found = doctor_machine.compiler()
    assert found[0] == status
    assert words in found[1]


def test_simd(fake):
    fake("solkit.target", host=lambda: types.SimpleNamespace(name="x86-64 AVX-512", vector_length=16))
    assert doctor_machine.simd() == ("ok", "x86-64 AVX-512, 16 float32 at a time", "")


@pytest.mark.parametrize(("used", "status"), [(1, "ok"), (2, "ok"), (8, "wrong")])
def test_threads(monkeypatch, used, status):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: used)
    monkeypatch.setattr(doctor_machine, "usable_cores", lambda: 2.0)
    found = doctor_machine.threads()
    assert found[0] == status
    assert found[2] == ("export OMP_NUM_THREADS=2" if status == "wrong" else "")


def cgroup(monkeypatch, files):
    monkeypatch.setattr(doctor_machine, "_cgroup", lambda name: files.get(name, "").split())


def test_usable_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    for text, cores in (("max 100000", 4), ("150000 100000", 1.5), ("900000 100000", 4), ("", 4)):
        cgroup(monkeypatch, {"cpu.max": text})
        assert doctor_machine.usable_cores() == cores


def test_cgroup_files(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_machine, "CGROUP", tmp_path)
    assert doctor_machine._cgroup("cpu.max") == []
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert doctor_machine._cgroup("cpu.max") == ["max", "100000"]


@pytest.mark.parametrize(
    ("free", "files", "status"),
    [
        (8, {}, "ok"),
        (1, {}, "wrong"),
        (8, {"memory.max": "max"}, "ok"),
        (8, {"memory.max": str(3 * 2**30), "memory.current": str(2**31)}, "wrong"),
        (
            8,
            {
                "memory.max": str(3 * 2**30),
                "memory.current": str(2**31),
                "memory.stat": f"anon 5 inactive_file {2**31}",
            },
            "ok",
        ),
    ],
)
def test_memory(monkeypatch, free, files, status):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: (16 * 2**30, free * 2**30))
    cgroup(monkeypatch, files)
    assert doctor_machine.memory()[0] == status


@pytest.mark.parametrize(("free", "status"), [(5, "ok"), (0.5, "wrong")])
def test_disk(monkeypatch, fake, tmp_path, free, status):
    fake("solkit.cache", directory=lambda: tmp_path / "not" / "yet")
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free * 2**30))
    assert doctor_machine.disk()[0] == status


def test_cache(fake, tmp_path):
    fake("solkit.cache", directory=lambda: tmp_path)
    assert doctor_machine.cache() == ("ok", str(tmp_path), "")


def test_cache_that_cannot_be_written(fake, tmp_path):
    import warnings

    def directory():
        warnings.warn("cannot write its cache folder", RuntimeWarning, stacklevel=2)
        return tmp_path

    fake("solkit.cache", directory=directory)
    status, detail, fix = doctor_machine.cache()
    assert (status, detail) == ("wrong", "cannot write its cache folder")
    assert "SOL_CACHE_DIR" in fix


def test_vector_engine(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_machine, "CARDS", str(tmp_path / "veslot*"))
    assert doctor_machine.vector_engine()[0] == "missing"
    (tmp_path / "veslot0").touch()
    assert doctor_machine.vector_engine()[:2] == ("ok", "1 cards")
