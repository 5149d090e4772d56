"""ONNX's own backend tests against solkit: how many pass, and how many of these in solkit's own code alone.

python -m benchmarks.onnx_backend
python -m benchmarks.onnx_backend --groups node --only test_conv
"""

import json
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

GROUPS = ("node", "simple", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Outcome:
    """What became of one test: `own` if it passed and nothing of it ran outside of solkit's compiled code."""

    group: str
    name: str
    passed: bool
    own: bool
    reason: str = ""  # why it failed, or what did not run in solkit's own code


def run_test(group: str, index: int) -> Outcome:
    """The test number `index` of a group, in this process."""
    import numpy as np
    import onnx
    from onnx.backend.test.runner import Runner

    import solkit as sol
    from solkit import backend

    warnings.simplefilter("ignore")
    sol.config["autotuning"] = "off"
    case = cases(group)[index]
    try:
        model = case.model or onnx.load(os.path.join(case.model_dir, "model.onnx"))
        prepared, own, reason = backend.prepare(model), True, ""
        for inputs, outputs in _data(case, model):
            with np.errstate(all="ignore"):
                made = prepared.run(inputs)
            wanted, got = _flat(outputs), _flat(made)  # the runner cannot compare numbers in a sequence
            Runner.assert_similar_outputs(wanted, got, rtol=case.rtol, atol=case.atol)
            if prepared.compiled is None:
                own, reason = False, prepared.reason
            else:
                left = sorted({op for op, _ in prepared.compiled.explain().in_pytorch})
                own, reason = own and not left, ", ".join(left) or reason
        return Outcome(group, case.name, True, own, reason)
    except (Exception, SystemExit) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(group, case.name, False, False, text[:300])


def _run_job(job: tuple[str, int]) -> Outcome:
    return run_test(*job)


_KNOWN: dict[str, list[Any]] = {}


def cases(group: str) -> list[Any]:
    """The tests of a group, as onnx describes them."""
    if group not in _KNOWN:
        from onnx.backend.test.loader import load_model_tests

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _KNOWN[group] = load_model_tests(kind=group)
    return _KNOWN[group]


def _data(case: Any, model: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Inputs and expected outputs, of a test in memory or in a folder."""
    if case.data_sets:
        for inputs, outputs in case.data_sets:
            yield [_array(item) for item in inputs], [_array(item) for item in outputs]
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        loaded: dict[str, list[Any]] = {}
        for kind, items in (("input", model.graph.input), ("output", model.graph.output)):
            loaded[kind] = []
            for index in range(len(list(folder.glob(f"{kind}_*.pb")))):
                loaded[kind].append(_read((folder / f"{kind}_{index}.pb").read_bytes(), items[index].type))
        yield loaded["input"], loaded["output"]


def _flat(values: Any) -> list[Any]:
    """Outputs with their sequences, each preceded by its length, in one list."""
    import numpy as np

    flat: list[Any] = []
    for value in values:
        flat += [np.array(len(value)), *_flat(value)] if isinstance(value, (list, tuple)) else [value]
    return flat


def _array(item: Any) -> Any:
    """A value of a test in memory, where tensors of types that NumPy lacks are messages."""
    import onnx

    return onnx.numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item


def _read(data: bytes, kind: Any) -> Any:
    """A value of a test, from a file of it."""
    import onnx

    if kind.HasField("sequence_type"):
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind.HasField("optional_type"):
        return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(data))


def main(
    groups: Annotated[str, typer.Option(help="with commas between")] = ",".join(GROUPS),
    only: Annotated[str, typer.Option(help="tests whose name has this in it")] = "",
    processes: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="write every outcome there")] = None,
    failures: Annotated[bool, typer.Option(help="list what fails, with why")] = True,
) -> None:
    """Run the tests and print how many pass, by group."""
    chosen = groups.split(",")
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown:
        raise typer.BadParameter(f"no group is called {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    progress, began = Console(stderr=True), time.perf_counter()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="onnx-backend-") as folder:
        os.environ["SOL_CACHE_DIR"] = folder
        jobs = [(g, i) for g in chosen for i, case in enumerate(cases(g)) if only in case.name]
        # Not ProcessPoolExecutor, which may hang when a worker that had its share of tasks is replaced (gh-115634).
        with get_context("spawn").Pool(processes, maxtasksperchild=25) as pool:  # of 8 tests each
            for outcome in pool.imap(_run_job, jobs, chunksize=8):
                outcomes.append(outcome)
                if len(outcomes) % 100 == 0:
                    progress.print(f"{len(outcomes)} of {len(jobs)} tests")
    table = Table("group", "tests", "passed", "in solkit's own code")
    for group in chosen:
        mine = [o for o in outcomes if o.group == group]
        passed, own = sum(o.passed for o in mine), sum(o.own for o in mine)
        share = f"{passed} ({100 * passed / len(mine):.1f} %)" if mine else "0"
        table.add_row(group, str(len(mine)), share, str(own))
    Console().print(table)
    if failures:
        for outcome in outcomes:
            if not outcome.passed:
                print(f"failed: {outcome.group} {outcome.name}: {outcome.reason}")
        left = Counter(o.reason for o in outcomes if o.passed and not o.own)
        for reason, count in left.most_common():
            print(f"{count} passed, but not in solkit's own code alone: {reason}")
    print(f"{time.perf_counter() - began:.0f} s")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
