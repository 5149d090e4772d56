"""Networks deployed for other machines: arm64 under an emulator, and the Vector Engine, by what is in the archive."""

import io
import re
import subprocess
from pathlib import Path

import networks
import pytest
import torch

import solkit as sol
from labs.zoo import resnet
from solkit import deployment, device
from solkit.deploy.build import flags_of
from solkit.deploy.devices import LEVELS
from solkit.toolchain import cross_compiler

LIBRARIES = Path("/usr/aarch64-linux-gnu")
HEADER = r"^run_API .*?\b(run\w*)\(|^run_API .*?\*(run\w*)\("


@pytest.fixture
def on_arm64(require_tool, tmp_path):
    """A function: the outputs of a folder's example, run by an emulator, beside those of this machine."""
    emulator = [require_tool("qemu"), "-L", LIBRARIES]
    if not LIBRARIES.exists():
        require_tool("arm64 libraries")

    def run(folder, model, inputs):
        name = folder.name
        compiler = cross_compiler()
        library = [folder / f"lib{name}.so", f"-Wl,-rpath,{folder}"]
        compiler.run("-target", "aarch64-linux-gnu", "-O2", folder / "example.c", *library, "-o", tmp_path / "example")
        wanted = networks.optimized(model, inputs)
        return networks.run_example([*emulator, tmp_path / "example"], tmp_path, inputs, wanted), wanted

    return run


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_small_networks_on_arm64(name, deployed, on_arm64):
    model, inputs = networks.make(name)
    networks.same(*on_arm64(deployed(name, device=device.arm64, weights="file"), model, inputs), 1e-5)


@pytest.mark.parametrize("name", networks.REAL)
def test_real_networks_on_arm64(name, on_arm64, tmp_path):
    model, inputs = networks.real(name)
    folder = sol.deploy(
        model, inputs, device=device.arm64, lib_name=name, path=tmp_path / name, vdims=[False] * len(inputs)
    )
    networks.same(*on_arm64(folder, model, inputs), 1e-4)


# -- Vector Engine ----------------------------------------------------------------------------------------------------

C_LIBRARY = {
    *("calloc", "free", "malloc", "posix_memalign", "memcmp", "memcpy", "memset", "snprintf", "strcmp"),
    *("close", "lseek", "mmap", "munmap", "open", "pthread_create", "pthread_join", "sched_yield", "sysconf"),
}
OPENED_BY_LINKERS = {"_GLOBAL_OFFSET_TABLE_"}
VECTOR_FLOAT = r"^\s+p?vf(?:mad|add|sub|mul|div|max|min|cmp|sqrt|nmad|msb)\w*(?:\.\w+)?\s"
SCALAR_FLOAT = r"^\s+f(?:add|sub|mul|div|max|min|cmp)(?:\.[sd])?\s"


@pytest.fixture(scope="module")
def for_ve(tmp_path_factory):
    """ResNet-18 for the Vector Engine: the archive, and the sources."""
    folder = tmp_path_factory.mktemp("ve")
    model, inputs = resnet.resnet18().eval(), [torch.randn(1, 3, 224, 224)]
    made = []
    for target in (deployment.static_lib, deployment.source):
        options = {"device": device.ve, "func_name": "run", "lib_name": "resnet18", "target": target}
        made.append(sol.deploy(model, inputs, path=folder / target.name, **options))
    return made


def symbols(archive):
    """Names that an archive of ELF files defines for others, and those it needs."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    data, defined, needed, machines = archive.read_bytes(), set(), set(), set()
    assert data[:8] == b"!<arch>\n"
    at = 8
    while at < len(data):
        size = int(data[at + 48 : at + 58])
        member = data[at + 60 : at + 60 + size]
        if member[:4] == b"\x7fELF":
            elf = elffile.ELFFile(io.BytesIO(member))
            machines.add(elf["e_machine"])
            for symbol in elf.get_section_by_name(".symtab").iter_symbols():
                if symbol["st_info"]["bind"] == "STB_GLOBAL" and symbol.name:
                    (needed if symbol["st_shndx"] == "SHN_UNDEF" else defined).add(symbol.name)
        at += 60 + size + size % 2
    return defined, needed - defined, machines


def test_the_archive_for_the_vector_engine(for_ve):
    archive, _ = for_ve
    defined, needed, machines = symbols(archive / "libresnet18.a")
    assert machines == {251}  # EM_VE
    header = (archive / "resnet18.h").read_text()
    declared = {name for found in re.findall(HEADER, header, re.M) for name in found if name}
    assert len(declared) == 15
    assert declared <= defined
    assert needed <= C_LIBRARY | OPENED_BY_LINKERS
    assert {name for name in defined if not name.startswith("run")} == set()
    assert "/opt/nec/ve/bin/ncc" in (archive / "Makefile").read_text()


def test_heavy_functions_are_vector_code(for_ve, tmp_path):
    _, sources = for_ve
    (level,), compiler = LEVELS[device.ve], cross_compiler()
    heavy = [path for path in sorted(sources.glob("kernels/*.c")) if re.search("conv2d|linear", path.stem)]
    assert len(heavy) >= 12
    for path in heavy:
        made = tmp_path / f"{path.stem}.s"
        where = [f"-I{sources}", f"-I{sources / 'runtime'}"]
        compiler.run(*flags_of(level, compiler), *where, "-S", path, "-o", made)
        text = made.read_text()
        vector, scalar = (len(re.findall(kind, text, re.M)) for kind in (VECTOR_FLOAT, SCALAR_FLOAT))
        assert vector >= 4, f"{path.stem} has {vector} vector instructions on floats"
        assert scalar == 0, f"{path.stem} has {scalar} scalar ones"


def test_the_sources_for_the_vector_engine_compile(for_ve, tmp_path):
    _, sources = for_ve
    command = f"{cross_compiler().command[0]} cc -target ve-linux-gnu"
    done = subprocess.run(
        ["make", "-C", sources, "-j2", f"CC={command}", "AR=ar", "libresnet18.a"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
