"""Every engine computes what PyTorch does, and one that does not is not timed."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import child, peak, work
from benchmarks import engines as bench
from benchmarks.engines import ENGINES, Engine, largest_error
from labs.zoo.registry import Entry, images, tokens

TINY = Entry(
    "tiny",
    "test",
    "Tiny",
    lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)).eval(),
    images(3, 8, 8),
)
WORDS = Entry("words", "test", "Words", lambda: nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 50)), tokens(6, 50))


@pytest.fixture(autouse=True)
def _as_in_a_child():
    """One thread, no gradients, and no pauses that only a measurement needs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.measure.PAUSE", 0)
        patch.setattr("benchmarks.measure.BLOCK", 0.001)
        yield
    torch.set_num_threads(threads)


def _side_by_side(names, folder, entry=TINY, batch=2):
    return child.side_by_side(entry, batch, 1, names, 1, folder)


@pytest.mark.parametrize("name", ["eager", "onnxruntime", "openvino", "solkit"])
@pytest.mark.filterwarnings("ignore")  # of torch.export and OpenVINO's conversion
def test_engine_gives_the_same_numbers(name, tmp_path):
    for package in ("onnxruntime", "onnxscript") if name == "onnxruntime" else ("openvino",) * (name == "openvino"):
        pytest.importorskip(package)
    found = _side_by_side([name], tmp_path)
    figures = found["engines"][name]
    assert figures.get("reason") is None
    assert figures["error"] < 1e-6
    assert figures["median_ms"] > 0
    assert figures["calls"] >= 3
    assert (found["network"], found["batch"], found["threads"]) == ("Tiny", 2, 1)


@pytest.mark.slow
def test_torch_compile_gives_the_same_numbers_at_two_batch_sizes(tmp_path, monkeypatch):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    for batch in (1, 4):
        figures = _side_by_side(["compile"], tmp_path, batch=batch)["engines"]["compile"]
        assert figures.get("reason") is None
        assert figures["error"] < 1e-6


def test_wrong_engine_and_failing_engine_get_a_reason_and_the_others_a_time(tmp_path, monkeypatch):
    def fails(*_arguments):
        raise RuntimeError("no kernel\nand a long story")

    def is_not_there(*_arguments):
        raise ModuleNotFoundError("No module named 'x'", name="x")

    def wrong(model, inputs, _threads, _folder):
        return lambda: 1.01 * model(*inputs)

    starts = {"fails": fails, "absent": is_not_there, "wrong": wrong}
    monkeypatch.setattr(
        child, "ENGINES", {**ENGINES, **{name: Engine(name, (), start) for name, start in starts.items()}}
    )
    engines = _side_by_side(["fails", "wrong", "absent", "eager"], tmp_path)["engines"]
    assert engines["fails"] == {"reason": "RuntimeError: no kernel"}
    assert "1.0e-02 of the largest output" in engines["wrong"]["reason"]
    assert "pip install 'aurora-labs[bench]'" in engines["absent"]["reason"]
    assert list(engines) == ["fails", "wrong", "absent", "eager"]
    assert engines["eager"]["median_ms"] > 0
    assert not any("median_ms" in engines[name] for name in starts)


def test_largest_error():
    one = torch.tensor([1.0, -4.0])
    assert largest_error(one, one) == 0
    assert largest_error([one, one + 1], (one, one)) == 0.25
    assert largest_error({"result": np.array([1.0, -4.4])}, one) == pytest.approx(0.1)
    assert largest_error(one[:0].sum(), torch.tensor(0.0)) == 0
    assert not largest_error(one * torch.nan, one) <= bench.TOLERANCE
    with pytest.raises(ValueError, match="shapes"):
        largest_error(one, one[None])
    with pytest.raises(ValueError, match="shapes"):
        largest_error([one, one], one)


def test_work_of_known_layers():
    conv = TINY.make()
    _, found = work.count(conv, TINY.inputs(2))
    assert found.flops == 2 * 2 * (8 * 8) * 8 * 3 * 9
    assert found.weight_bytes == sum(p.nbytes for p in conv.parameters())
    result, found = work.count(WORDS.make(), WORDS.inputs(3))
    assert result.shape == (3, 6, 50)
    assert found == work.Work(2 * 3 * 6 * 8 * 50, 4 * (8 * 50 + 50))  # without the embedding table


def test_work_of_layers_that_are_one_operator():
    attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    _, found = work.count(attention, (torch.ones(1, 4, 16),))
    assert found.flops == 2 * 4 * 16 * (4 * 16 + 2 * 32) + 2 * 2 * 4 * 4 * 16
    _, found = work.count(nn.LSTM(8, 16), (torch.ones(5, 2, 8),))
    assert found.flops == 2 * 5 * 2 * (8 + 16) * 4 * 16


def test_peak_measures_something():
    found = peak.measure(2, array_bytes=1 << 20, seconds=0.005)
    assert found.threads == 2
    assert found.gflops > 0.1
    assert found.gbytes > 0.1
