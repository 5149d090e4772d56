"""`sol.deploy` on this machine: libraries, programs that call them, and sources that build."""

import json
import os
import shutil
import subprocess
import sys
import threading

import networks
import numpy as np
import pytest
import torch
from torch import nn

import solkit as sol
from solkit import deployment

STRICT = ("-Wall", "-Wextra", "-Werror", "-O1")


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_library_gives_what_optimize_gives(name, deployed):
    model, inputs = networks.make(name)
    network = networks.load(deployed(name))()
    networks.same(network(*networks.arrays(inputs)), networks.optimized(model, inputs))


@pytest.mark.parametrize("instructions", ["x86-64-v3", "x86-64"])
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_with_fewer_instructions(name, instructions, deployed):
    model, inputs = networks.make(name)
    network = networks.load(deployed(name))(instructions=instructions)
    assert network.instructions == instructions
    networks.same(network(*networks.arrays(inputs)), networks.expected(model, inputs), 1e-5)


@pytest.mark.parametrize("weights", ["embedded", "file"])
@pytest.mark.parametrize("compiler", ["gcc", "g++"])
@pytest.mark.parametrize("name", ["picture", "odd"])
def test_the_c_example_is_c_and_cpp(name, compiler, weights, deployed, require_tool, tmp_path):
    folder = deployed(name, weights=weights)
    language = ["-x", "c++"] if compiler == "g++" else ["-std=c11", "-pedantic", "-D_POSIX_C_SOURCE=200809L"]
    library = [folder / f"lib{name}.so", f"-Wl,-rpath,{folder}"]
    command = [require_tool(compiler), *STRICT, *language, folder / "example.c", "-x", "none", *library]
    subprocess.run([*command, "-o", tmp_path / "example"], check=True)
    model, inputs = networks.make(name)
    wanted = networks.optimized(model, inputs)
    networks.same(networks.run_example([tmp_path / "example"], tmp_path, inputs, wanted), wanted)
    done = subprocess.run([tmp_path / "example"], capture_output=True, text=True, check=True)
    assert "the median of 20" in done.stdout


def test_the_python_example_runs(deployed):
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=deployed("text"), capture_output=True, text=True, check=True)
    assert "output_pooled float32 (2, 24)" in done.stdout


def test_a_static_library_and_its_makefile(deployed, require_tool, tmp_path):
    folder = deployed("picture", target=deployment.static_lib, weights="file")
    for file in folder.iterdir():
        os.symlink(file, tmp_path / file.name)
    subprocess.run(["make", f"CC={require_tool('gcc')}"], cwd=tmp_path, check=True, capture_output=True)
    model, inputs = networks.make("picture")
    wanted = networks.optimized(model, inputs)
    networks.same(networks.run_example([tmp_path / "example"], tmp_path, inputs, wanted), wanted)


def test_two_networks_in_one_program(deployed, require_tool, tmp_path):
    folders = [deployed(name, target=deployment.static_lib) for name in ("picture", "sequence")]
    (tmp_path / "both.c").write_text(
        '#include "picture.h"\n#include "sequence.h"\n'
        "int main(void) {\n"
        "    static float image[2 * 3 * 17 * 19], x[3 * 4 * 6], y[14], z[60];\n"
        "    run_picture_context *first = run_picture_init(0);\n"
        "    run_sequence_context *second = run_sequence_init(0);\n"
        "    int wrong = run_picture(first, image, y) || run_sequence(second, x, z);\n"
        "    run_picture_free(first);\n"
        "    run_sequence_free(second);\n"
        "    return wrong;\n}\n"
    )
    libraries = [path for folder in folders for path in (f"-I{folder}", *folder.glob("*.a"))]
    command = [require_tool("gcc"), *STRICT, "both.c", *libraries, "-lpthread", "-lm", "-ldl", "-o", "both"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "both"], check=True)


@pytest.mark.parametrize("builder", ["make", "cmake"])
def test_sources_build(builder, deployed, require_tool, tmp_path):
    folder = deployed("picture", target=deployment.source)
    if builder == "make":
        steps = [["make", "-C", folder, "-j2", f"CC={require_tool('gcc')} -Werror"]]
        where = folder
    else:
        tool = require_tool("cmake")
        steps = [[tool, "-S", folder, "-B", tmp_path], [tool, "--build", tmp_path, "-j2"]]
        where = tmp_path
    for step in steps:
        subprocess.run(step, check=True, capture_output=True)
    model, inputs = networks.make("picture")
    wanted = networks.optimized(model, inputs)
    networks.same(networks.run_example([where / "example"], tmp_path, inputs, wanted), wanted)


def test_sources_read_well(deployed):
    folder = deployed("picture", target=deployment.source)
    (kernel,) = folder.glob("kernels/down_0_conv2d*avx512.c")
    text = kernel.read_text()
    for part in ("cluster 4:", "conv2d (down.0)", "[N=32, C=21, H=3, W=3] weights in panels"):
        assert part in text
    assert "void down_0_conv2d(" in text


@pytest.mark.parametrize("name", ["picture", "text", "odd"])
def test_clean_under_sanitizers(name, deployed, require_tool, tmp_path):
    folder = shutil.copytree(deployed(name, target=deployment.source), tmp_path / "sources")
    shutil.rmtree(folder / "build", ignore_errors=True)
    checked = f"CC={require_tool('gcc')} -fsanitize=address,undefined -fno-sanitize-recover=all"
    flags = "FLAGS=-std=gnu11 -O1 -g -fPIC -fvisibility=hidden -I. -Iruntime"
    subprocess.run(["make", "-C", folder, "-j2", checked, flags, "example"], check=True, capture_output=True)
    model, inputs = networks.make(name)
    wanted = networks.optimized(model, inputs)
    networks.same(networks.run_example([folder / "example"], tmp_path, inputs, wanted), wanted, 1e-5)


@pytest.mark.parametrize("name", ["picture", "odd"])
def test_clean_under_valgrind(name, deployed, require_tool, tmp_path):
    folder = deployed(name, weights="file")
    library = [folder / f"lib{name}.so", f"-Wl,-rpath,{folder}"]
    subprocess.run([require_tool("gcc"), "-g", folder / "example.c", *library, "-o", tmp_path / "example"], check=True)
    model, inputs = networks.make(name)
    wanted = networks.optimized(model, inputs)
    watched = [require_tool("valgrind"), "-q", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]
    networks.same(networks.run_example([*watched, tmp_path / "example"], tmp_path, inputs, wanted), wanted, 1e-5)


def test_four_threads_get_the_bits_of_one(deployed):
    _, inputs = networks.make("picture")
    given = [networks.arrays([torch.randn_like(inputs[0])]) for _ in range(4)]
    kind = networks.load(deployed("picture"))
    shared = kind(threads=2)
    alone = [shared(*item)[0] for item in given]
    for several in (False, True):
        made = [[] for _ in given]

        def work(i, made=made, several=several):
            network = kind(threads=2) if several else shared
            for _ in range(50):
                made[i].append(network(*given[i])[0])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(one, alone[i]) for i in range(4) for one in made[i])


C_THREADS = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "picture.h"

enum { IN = 2 * 3 * 17 * 19, OUT = 14 };
static float image[4][IN], alone[4][OUT];
static run_picture_context *shared;

static void *work(void *which) {
    const long i = (long)which;
    run_picture_context *own = run_picture_init(0);
    long wrong = 0;
    for (int turn = 0; turn < 50; turn++) {
        float y[OUT];
        wrong |= run_picture(turn % 2 ? own : shared, image[i], y) || memcmp(y, alone[i], sizeof y);
    }
    run_picture_free(own);
    return (void *)wrong;
}

int main(void) {
    pthread_t thread[4];
    long wrong = 0;
    shared = run_picture_init(0);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < IN; k++) image[i][k] = (float)((k * 7919 + i) % 1000) / 500 - 1;
        wrong |= run_picture(shared, image[i], alone[i]);
    }
    for (long i = 0; i < 4; i++) pthread_create(&thread[i], NULL, work, (void *)i);
    for (int i = 0; i < 4; i++) {
        void *found;
        pthread_join(thread[i], &found);
        wrong |= (long)found;
    }
    run_picture_free(shared);
    return wrong != 0;
}
"""


@pytest.mark.parametrize("weights", ["embedded", "file"])
def test_four_threads_of_c(weights, deployed, require_tool, tmp_path):
    folder = deployed("picture", weights=weights)
    (tmp_path / "threads.c").write_text(C_THREADS)
    library = [f"-I{folder}", folder / "libpicture.so", f"-Wl,-rpath,{folder}", "-lpthread"]
    command = [require_tool("gcc"), *STRICT, tmp_path / "threads.c", *library, "-o", tmp_path / "threads"]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "threads"], check=True)


def test_a_batch_that_varies(tmp_path):
    model, (x,) = networks.make("picture")
    folder = sol.deploy(model, [x], lib_name="many", path=tmp_path / "many", vdims=[True], batch_size=4)
    network = networks.load(folder)()
    for batch in (1, 3, 4, 11):
        image = torch.randn(batch, *x.shape[1:])
        networks.same(network(image.numpy()), networks.expected(model, [image]), 1e-5)
    with pytest.raises(RuntimeError, match="one sample at least"):
        network(np.zeros((0, 3, 17, 19), np.float32))
    assert "int64_t batch" in (folder / "many.h").read_text()


def test_an_optimized_model_and_an_onnx_file(tmp_path):
    model, (x,) = networks.make("picture")
    folder = sol.deploy(sol.optimize(model, x), x, lib_name="one", path=tmp_path / "one")
    networks.same(networks.load(folder)()(x.numpy()), networks.expected(model, [x]), 1e-5)
    torch.onnx.export(model, (x,), tmp_path / "model.onnx", input_names=["my image"], output_names=["9classes"])
    folder = sol.deploy(tmp_path / "model.onnx", [x], lib_name="two", path=tmp_path / "two")
    networks.same(networks.load(folder)()(x.numpy()), networks.expected(model, [x]), 1e-5)
    said = json.loads((folder / "manifest.json").read_text())
    assert [tensor["name"] for tensor in said["inputs"] + said["outputs"]] == ["my_image", "tensor_9classes"]


def test_weights_are_mapped_and_not_copied(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1000, 4000), nn.ReLU(), nn.Linear(4000, 1000)).eval()
    folder = sol.deploy(model, [torch.randn(1, 1000)], lib_name="big", path=tmp_path / "big", weights="file")
    bytes_of_weights = (folder / "big.weights").stat().st_size
    assert bytes_of_weights > 32e6
    code = (
        "import sys, re\nsys.argv = ['']\n"
        f"scope = {{'__name__': 'x', '__file__': {str(folder / 'example.py')!r}}}\n"
        f"exec(open({str(folder / 'example.py')!r}).read(), scope)\n"
        "def own():\n"
        "    text = open('/proc/self/smaps_rollup').read()\n"
        "    return int(re.search(r'Anonymous: +(\\d+)', text).group(1)) * 1024\n"
        "before = own(); network = scope['Network'](); made = own() - before\n"
        "assert 'big.weights' in open('/proc/self/maps').read()\n"
        f"assert made < {bytes_of_weights // 8}, made\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_deployed_mobilenet_is_its_weights_and_little_more(tmp_path):
    from labs.zoo.mobilenet import mobilenet_v2

    model = mobilenet_v2().eval()
    folder = sol.deploy(model, [torch.randn(1, 3, 224, 224)], lib_name="mobile", path=tmp_path / "mobile")
    parameters = 4 * sum(p.numel() for p in model.parameters())
    assert (folder / "libmobile.so").stat().st_size < parameters + 1e6
