"""ResNet-18, MobileNet v2, PP-OCR's recognizer and MiniLM as libraries: their C examples, watched."""

import subprocess

import networks
import pytest

import solkit as sol
from solkit import deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", params=networks.REAL)
def real(request, tmp_path_factory):
    """A name, its model, its inputs, what `sol.optimize` makes of them, and a folder for libraries."""
    model, inputs = networks.real(request.param)
    fixed = [False] * len(inputs)
    wanted = networks.expected(sol.optimize(model, *inputs, vdims=fixed), inputs)
    return request.param, model, inputs, wanted, tmp_path_factory.mktemp(request.param)


def deploy(real, **options):
    name, model, inputs, _, folder = real
    where = folder / "_".join(map(str, options.values()))
    fixed = [False] * len(inputs)
    return sol.deploy(model, inputs, lib_name=name, path=where, vdims=fixed, force=True, **options)


@pytest.mark.parametrize("compiler", ["gcc", "g++"])
@pytest.mark.parametrize("weights", ["embedded", "file"])
def test_the_example(real, compiler, weights, require_tool, tmp_path):
    name, _, inputs, wanted, _ = real
    folder = deploy(real, weights=weights)
    language = ["-x", "c++"] if compiler == "g++" else []
    library = ["-x", "none", folder / f"lib{name}.so", f"-Wl,-rpath,{folder}"]
    strict = ["-Wall", "-Wextra", "-Werror"]
    command = [require_tool(compiler), *strict, *language, folder / "example.c", *library, "-o", tmp_path / "example"]
    subprocess.run(command, check=True)
    networks.same(networks.run_example([tmp_path / "example"], tmp_path, inputs, wanted), wanted)


def test_clean_under_sanitizers(real, require_tool, tmp_path):
    _, _, inputs, wanted, _ = real
    folder = deploy(real, target=deployment.source)
    checked = f"CC={require_tool('gcc')} -fsanitize=address,undefined -fno-sanitize-recover=all"
    flags = "FLAGS=-std=gnu11 -O1 -g -fPIC -fvisibility=hidden -I. -Iruntime"
    subprocess.run(["make", "-C", folder, "-j2", checked, flags, "example"], check=True, capture_output=True)
    networks.same(networks.run_example([folder / "example"], tmp_path, inputs, wanted), wanted, 1e-5)


def test_clean_under_valgrind(real, require_tool, tmp_path):
    name, _, inputs, wanted, _ = real
    folder = deploy(real, weights="file")
    library = [folder / f"lib{name}.so", f"-Wl,-rpath,{folder}"]
    subprocess.run([require_tool("gcc"), "-g", folder / "example.c", *library, "-o", tmp_path / "example"], check=True)
    watched = [require_tool("valgrind"), "-q", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]
    networks.same(networks.run_example([*watched, tmp_path / "example"], tmp_path, inputs, wanted), wanted, 1e-4)
