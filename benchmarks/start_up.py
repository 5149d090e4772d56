"""Deployed networks: how large are they, and how soon is the first result there? A part of benchmarks/deployment.py.

MobileNet v2 is started in new processes, beside ONNX Runtime and LibTorch as the installed packages have them.
"""

import json
import logging
import statistics
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import report
from benchmarks.programs import SOURCES, Case, Program, checked, deployed, flat
from labs import zoo
from solkit.toolchain import find_compiler

SMALL = "mobilenet_v2"  # whose size and start-up are measured
STARTS = 9  # of each program; the first does not count, as it brings the files into memory
MIB = 1 << 20


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


@torch.no_grad()
def time_starts(threads: int, folder: str, starts: int = STARTS) -> list[dict[str, Any]]:
    """Start each runtime several times, in turns.

    Returns:
        For each: title, and either `libraries`, `model` (bytes), `seconds` and `peak` (bytes), both medians; or a
        `reason`.
    """
    torch.manual_seed(0)
    case = (zoo.NETWORKS[SMALL].make(), zoo.NETWORKS[SMALL].inputs(1))
    here = Path(folder) / f"{SMALL}_{'x'.join(map(str, case[1][0].shape))}"
    makers = {
        "solkit, weights in the library": lambda: _solkit(case, "embedded", threads, here),
        "solkit, weights in a file": lambda: _solkit(case, "file", threads, here),
        "ONNX Runtime from C": lambda: _onnxruntime(case, here, python=False),
        "ONNX Runtime from Python": lambda: _onnxruntime(case, here, python=True),
        "Python and NumPy alone": lambda: Start([sys.executable, "-I", SOURCES / "python_start.py"], None, None, None),
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
            checked(title, program.output, reference)
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
        command = [sys.executable, "-I", SOURCES / "onnxruntime_start.py", model, output, folder / "input0"]
    else:
        program = folder / "onnxruntime"
        find_compiler().run("-O2", SOURCES / "onnxruntime.c", "-ldl", "-o", program)
        command = [program, library, model, output, folder / "input0"]
    return Start(command, library.stat().st_size, model.stat().st_size, output)


def _libtorch(case: Case, folder: Path) -> Start:
    model, output, program = folder / "model.pt", folder / "output", folder / "libtorch"
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        torch.jit.trace(*case).save(model)
    root = Path(torch.__file__).parent
    command = ["g++", "-std=c++20", "-O1", f"-I{root}/include", SOURCES / "libtorch.cpp", "-o", program]
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


# --- the table -------------------------------------------------------------------------------------------------------


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
