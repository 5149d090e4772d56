"""Small networks to deploy, among them all that a deployed library has to deal with; and how to call what was made."""

import subprocess
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

import solkit as sol
from labs import minilm, ocr
from labs.zoo import mobilenet, resnet


class Picture(nn.Module):
    """Winograd, strided, depthwise and grouped convolution, pools, a residual, odd sizes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 21, 3, padding=1), nn.BatchNorm2d(21), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(21, 21, 3, padding=1), nn.SiLU(), nn.Conv2d(21, 21, 3, padding=1))
        self.down = nn.Sequential(nn.Conv2d(21, 32, 3, stride=2), nn.Conv2d(32, 32, 3, groups=32), nn.Hardswish())
        self.head = nn.Linear(32, 7)

    def forward(self, image):
        x = self.stem(image)
        x = self.down(x + self.body(x))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)).softmax(1)


class Text(nn.Module):
    """Tables, attention with a mask, norms; ids of 64 bits."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50, 24), nn.Embedding(16, 24)
        self.layer = nn.TransformerEncoderLayer(24, 3, 48, batch_first=True, activation="gelu", dropout=0.0)

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        x = self.layer(x, src_key_padding_mask=attention_mask == 0)
        kept = attention_mask[..., None].to(x.dtype)
        return {"hidden": x, "pooled": (x * kept).sum(1) / kept.sum(1)}


class Sequence(nn.Module):
    """Recurrent kernels, which go in rounds."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(6, 10, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.rnn(x)[0].mean(1)


class Odd(nn.Module):
    """Every dtype, results that are inputs, weights, or results already, and indices that may be wrong."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(5))

    def forward(self, x, half, whole, flags, at):
        y = x * self.scale
        return [y, x, self.scale, y, half + 1, whole // 3, ~flags, y.to(torch.float64).cumsum(0), y.index_select(1, at)]


def odd_inputs():
    return [
        torch.randn(3, 5),
        torch.randn(4).bfloat16(),
        torch.arange(-6, 6, dtype=torch.int32),
        torch.tensor([True, False]),
        torch.tensor([4, 0]),
    ]


def text_inputs():
    return [torch.randint(0, 50, (2, 9)), torch.ones(2, 9, dtype=torch.int64)]


NETWORKS = {
    "picture": (Picture, lambda: [torch.randn(2, 3, 17, 19)]),
    "text": (Text, text_inputs),
    "sequence": (Sequence, lambda: [torch.randn(3, 4, 6)]),
    "odd": (Odd, odd_inputs),
}


def make(name):
    """A network in evaluation mode, and its inputs."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]
    return model().eval(), inputs()


# Small pictures, as an emulator is a hundred times slower than a processor.
REAL = {
    "resnet18": (resnet.resnet18, (1, 3, 64, 64)),
    "mobilenet_v2": (mobilenet.mobilenet_v2, (1, 3, 64, 64)),
    "recognizer": (lambda: ocr.model_file("recognize"), (1, 3, 48, 64)),
    "minilm": (minilm.load, None),
}


def real(name):
    """A network of REAL in evaluation mode, or its file, and its inputs."""
    make, shape = REAL[name]
    torch.manual_seed(0)
    model = make()
    tokens = [torch.randint(1000, 30000, (1, 8)), torch.ones(1, 8, dtype=torch.int64)]
    return model.eval() if isinstance(model, torch.nn.Module) else model, [torch.randn(shape)] if shape else tokens


def load(folder):
    """The class of example.py in the folder, on the library there."""
    scope = {"__name__": "example", "__file__": str(folder / "example.py")}
    exec(compile((folder / "example.py").read_text(), "example.py", "exec"), scope)
    return scope["Network"]


def arrays(tensors):
    return [(t.view(torch.uint16) if t.dtype is torch.bfloat16 else t).numpy() for t in tensors]


def expected(model, inputs):
    with torch.no_grad():
        return arrays([item.contiguous() for item in pytree.tree_leaves(model(*inputs))])


def optimized(model, inputs):
    return expected(sol.optimize(model, *inputs), inputs)


def same(made, wanted, rtol=1e-6):
    assert len(made) == len(wanted)
    for mine, yours in zip(made, wanted, strict=True):
        assert (mine.shape, mine.dtype) == (yours.shape, yours.dtype)
        largest = np.abs(yours.astype(np.float64)).max()
        np.testing.assert_allclose(mine, yours, rtol=rtol, atol=rtol * largest)


def run_example(command, folder, inputs, wanted):
    """Outputs of example.c for these inputs, run in a folder of its own."""
    for number, array in enumerate(arrays(inputs)):
        array.tofile(folder / f"{number}.bin")
    files = [f"{number}.bin" for number in range(len(inputs))]
    done = subprocess.run(
        [*map(str, command), *files], cwd=folder, capture_output=True, text=True, timeout=600, env={"PATH": "/nowhere"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.split(":")[0] for line in done.stdout.splitlines()[1:]]
    return [
        np.fromfile(Path(folder) / f"{name}.out", array.dtype).reshape(array.shape)
        for name, array in zip(names, wanted, strict=True)
    ]
