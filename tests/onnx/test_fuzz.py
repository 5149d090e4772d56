"""Thousands of damaged models: each gives a result or an error of ours; none takes the process with it."""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fuzz_worker
import pytest
import seeds

from solkit.frontend.onnx import OnnxModule

HERE = Path(__file__).parent
WORKERS = 2
FEW, MANY = 300, 5000


def _fuzz(first: int, last: int, folder: Path) -> tuple[list[str], Counter]:
    """Mutations `first` to `last`: what went wrong, each with the number of its mutation, and how often what."""
    wrong, counts = [], Counter()
    folder.mkdir(parents=True)
    while first < last:
        command = [sys.executable, str(HERE / "fuzz_worker.py"), str(first), str(last), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"MKL_NUM_THREADS": "1"})
        begun = first - 1
        for line in done.stdout.splitlines():
            said = json.loads(line)
            begun = said.get("begun", begun)
            if "outcome" in said:
                first = said["number"] + 1
                counts[said["outcome"].partition("\n")[0]] += 1
                if said["outcome"].startswith("wrong"):
                    wrong.append(f"mutation {said['number']}: {said['outcome']}")
        if first < last and begun >= first:
            wrong.append(f"mutation {begun} ended its process ({done.returncode}):\n{done.stderr[-3000:]}")
            counts["ended"] += 1
            first = begun + 1
        elif first < last and done.returncode not in (0, 1):
            raise AssertionError(f"a worker cannot begin ({done.returncode}):\n{done.stderr[-3000:]}")
    return wrong, counts


def _all(first: int, last: int, folder: Path) -> None:
    edges = [first + (last - first) * i // WORKERS for i in range(WORKERS + 1)]
    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(_fuzz, edges[:-1], edges[1:], [folder / str(i) for i in range(WORKERS)]))
    wrong = [text for part, _ in parts for text in part]
    counts = sum((count for _, count in parts), Counter())
    print(json.dumps(counts, indent=1))
    assert sum(counts.values()) == last - first
    assert not wrong, "\n\n".join([f"{len(wrong)} wrong", *wrong[:10]])
    # Damage that never gets past the first check would tell little.
    assert counts["ran"] + counts["optimized"] > (last - first) // 10


@pytest.mark.parametrize("make", seeds.SEEDS, ids=lambda make: make.__name__)
def test_undamaged_models(make, tmp_path):
    """They run, and weights of floating point get gradients."""
    (tmp_path / "weights.bin").write_bytes(seeds.EXTERNAL)
    (tmp_path / "model.onnx").write_bytes(make().SerializeToString())
    model = OnnxModule(tmp_path / "model.onnx")
    made = model(*fuzz_worker.inputs(model, 0))
    assert made.isfinite().all()
    if any(parameter.requires_grad for parameter in model.parameters()):
        made.sum().backward()


def test_damaged_models(tmp_path):
    _all(0, FEW, tmp_path / "fuzz")


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_many_damaged_models(tmp_path):
    _all(FEW, FEW + MANY, tmp_path / "fuzz")
