"""Exercises of lab 02: sol.optimize on real networks. What is asked is measured or compiled anew by each check."""

import contextlib
import copy
import io
import logging
from collections import OrderedDict
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

import solkit as sol
from labs.exercises import Wrong, exercise
from labs.zoo.bert import BERT
from solkit.explain.timing import Profile, Timing

SECONDS = 90  # a check may have to compile, on a machine that does other things, too
TOLERANCE = 1e-4  # of the largest element


def _seeded(make):
    """What `make()` gives, with the same random weights each time; whoever draws next draws as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def _same(mine: torch.Tensor, yours: torch.Tensor) -> bool:
    if not isinstance(mine, torch.Tensor) or mine.shape != yours.shape:
        return False
    return bool((mine - yours).abs().max() <= TOLERANCE * max(1e-30, yours.abs().max()))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch.export writes half a page about a branch on values before it raises."""
    names = ("torch.fx.experimental.symbolic_shapes", "torch.export", "torch._dynamo")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        unread = io.StringIO()
        with torch.no_grad(), contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


# --- 02-1 ------------------------------------------------------------------------------------------------------------


def _profile(*rows: tuple[int, float, float]) -> Profile:
    """Made up: number of the cluster, solkit's and PyTorch's milliseconds."""
    return Profile(Timing(number, "conv2d", f"layer{number}", ours, theirs) for number, ours, theirs in rows)


# In the second, clusters 0 and 2 run in PyTorch and have no row, so numbers are not places in the list.
PROFILES = (
    (_profile((0, 0.1, 0.2), (1, 0.9, 1.5), (2, 0.4, 3.0), (3, 0.2, 0.1)), 1),
    (_profile((1, 0.5, 0.2), (3, 0.1, 9.0), (4, 2.5, 2.6), (5, 0.3, 0.1)), 4),
    (_profile((7, 3.0, 1.0)), 7),
)


@exercise(
    "02-1",
    "Which cluster takes the most time?",
    minutes=4,
    hints=[
        "A profile is a list. Each row has `number`, `ops`, `layers`, `solkit_ms` and `pytorch_ms`.",
        "max(profile, key=...) gives the row for which the key is largest. The key is a function of a row.",
        "return max(profile, key=lambda row: row.solkit_ms).number",
    ],
)
def slowest(answer):
    """Call the function with profiles that are made up; it gives the number of a cluster, or its row."""
    if not callable(answer):
        raise Wrong("The answer is a function of a profile.", expected="def slowest(profile): ...")
    for profile, right in PROFILES:
        found = answer(copy.deepcopy(profile))
        found = getattr(found, "number", found)
        if isinstance(found, bool | str | None) or not hasattr(found, "__float__"):
            raise Wrong("The function has to give the number of a cluster.", got=found, expected="a whole number")
        if float(found) != right:
            raise Wrong(_mistake(profile, float(found), right), got=found, expected=right)


def _mistake(profile: Profile, found: float, right: int) -> str:
    numbers = [row.number for row in profile]
    if found in {row.solkit_ms for row in profile} - set(numbers):
        return "That is the time. The question is which cluster takes it: row.number."
    if found == max(profile, key=lambda row: row.pytorch_ms).number:
        return "That is where PyTorch takes longest: its times are pytorch_ms, solkit's are solkit_ms."
    if found == numbers.index(right):
        return (
            "That is the place in the list. Clusters that PyTorch runs have no row, so a row's place need not be the "
            "number of its cluster: row.number."
        )
    if found == min(profile, key=lambda row: row.solkit_ms).number:
        return "That is the fastest one."
    return f"The profile given was\n{profile}"


# --- 02-2 ------------------------------------------------------------------------------------------------------------


def encoder() -> BERT:
    """A BERT of two layers. Input int64 [N, T], T up to 64; output [N, T, 128] and [N, 128]."""
    return _seeded(lambda: BERT(layers=2, hidden=128, heads=4, vocabulary=1000, positions=64))


HELD_OUT = ((1, 16), (5, 16), (32, 16), (1, 23), (3, 41))  # batch and tokens


@exercise(
    "02-2",
    "One model for every batch and every length",
    minutes=5,
    seconds=SECONDS,
    hints=[
        "`vdims` has an entry for each input: which of its dimensions vary. The encoder has one input, so there is one "
        "entry.",
        "The input is [N, T]. Dimension 0 is the batch, dimension 1 the number of tokens, and both vary.",
        "flexible = sol.optimize(encoder, ids, vdims=[(0, 1)])",
    ],
)
def flexible(answer):
    """Call the optimized encoder with batches and lengths it has not seen; compare with PyTorch."""
    if isinstance(answer, nn.Module) and not isinstance(answer, sol.SolModule):
        raise Wrong("That is the model before sol.optimize.", expected="what sol.optimize gives back")
    if not isinstance(answer, sol.SolModule):
        raise Wrong("The answer is a model.", expected="what sol.optimize gives back")
    original = encoder()
    with torch.no_grad():
        for batch, tokens in HELD_OUT:
            ids = torch.randint(0, 1000, (batch, tokens), generator=torch.Generator().manual_seed(tokens))
            if not _same(_called(answer, ids)[0], original(ids)[0]):
                raise Wrong(
                    f"For {batch} sequences of {tokens} tokens it does not give what the encoder gives. Is it made "
                    "from `encoder`, with its weights as they were?",
                    got="another result",
                )


def _called(model, ids):
    batch, tokens = ids.shape
    try:
        return model(ids)
    except sol.InputError as error:
        if batch > 1 and tokens == 16:
            text = f"Sixteen tokens are right, but not a batch of {batch}: does dimension 0 vary?"
        else:
            text = f"The batch may vary, but not the number of tokens, {tokens} here: does dimension 1 vary?"
        raise Wrong(f"{text} solkit says: {str(error).partition(':')[0]}.", got="an InputError") from None


# --- 02-3 ------------------------------------------------------------------------------------------------------------


def leaky() -> nn.Sequential:
    """A network for [N, 32] of which one layer runs in PyTorch."""
    return _seeded(
        lambda: nn.Sequential(
            OrderedDict(
                enter=nn.Sequential(nn.Linear(32, 128), nn.GELU()),
                middle=nn.Sequential(nn.Linear(128, 128), nn.RReLU()),
                leave=nn.Sequential(nn.Linear(128, 10), nn.Softmax(-1)),
            )
        )
    )


@exercise(
    "02-3",
    "Find the layer that runs in PyTorch, and replace it",
    minutes=5,
    seconds=SECONDS,
    hints=[
        "explain() has a row of kind PyTorch; its layers column names the layer. "
        "`sol_model.explain().in_pytorch` has nothing but these.",
        "It is middle.1, an nn.RReLU. In training it draws its slope for x < 0 at random from [lower, upper]; in "
        "evaluation mode the slope is the mean of both. So it is an activation that solkit knows.",
        "mended.middle[1] = nn.LeakyReLU((1 / 8 + 1 / 3) / 2)",
    ],
)
def mended(answer):
    """The same results as `leaky()`, and nothing left to PyTorch."""
    if isinstance(answer, type) or not isinstance(answer, nn.Module):
        raise Wrong("The answer is the mended network, an nn.Module.", expected="an nn.Module")
    x = 3 * torch.randn(8, 32, generator=torch.Generator().manual_seed(7))
    model = copy.deepcopy(answer.__dict__.get("_model", answer)).eval()
    with _quiet():
        _same_as_leaky(model, x)
        left = sol.optimize(model, x).explain().in_pytorch
    if left:
        names = ", ".join(f"{op.removeprefix('aten.')} in layer {layer!r}" for op, layer in left)
        raise Wrong("The results are the same, but something still runs in PyTorch.", got=names, expected="nothing")


def _same_as_leaky(model, x):
    original = leaky()
    result, wanted = model(x), original(x)
    if _same(result, wanted):
        return
    if isinstance(getattr(model, "middle", None), nn.Sequential) and isinstance(model.middle[-1], nn.LeakyReLU):
        raise Wrong(
            "A LeakyReLU is right, its slope is not. In evaluation mode RReLU takes the mean of lower and upper.",
            got=f"negative_slope={model.middle[-1].negative_slope:g}",
            expected="the mean of 1/8 and 1/3",
        )
    changed = [k for k, v in original.state_dict().items() if not torch.equal(v, model.state_dict().get(k, v[:0]))]
    if changed:
        raise Wrong(f"The weights are not those of `leaky()`: {', '.join(changed)}. Replace one layer, keep the rest.")
    raise Wrong("It gives another result than before. What does the layer that you replaced do in evaluation mode?")


# --- 02-4 ------------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 64)


class Plain(Block):
    def forward(self, x):
        return F.relu(self.linear(x) + x)


class InPlace(Block):
    def forward(self, x):
        y = self.linear(x)
        y += x  # overwrites y
        return y.relu_()  # and once more


class Twice(Block):
    def forward(self, x):
        y = self.linear(x)
        return y, F.relu(y + x)  # somebody wants y, too


class OnShape(Block):
    def forward(self, x):
        y = self.linear(x) + x
        return F.relu(y) if x.shape[1] > 32 else y


class OnValues(Block):
    def forward(self, x):
        y = self.linear(x) + x
        return F.relu(y) if y.mean() > 0 else y


BLOCKS = (Plain, InPlace, Twice, OnShape, OnValues)
WHY = {
    Plain: "Think of lab 01: what reads the result of the matrix product, and does anybody else?",
    InPlace: "solkit rewrites in-place operators first. Is anything different from Plain after that?",
    Twice: "A value that somebody outside wants has to be written to memory. What does that do to the fusion?",
    OnShape: "When is x.shape[1] known: when the model is optimized, or when it is called?",
    OnValues: "When is y.mean() known: when the model is optimized, or when it is called?",
}


@exercise(
    "02-4",
    "Predict the number of clusters",
    minutes=5,
    core=False,
    seconds=SECONDS,
    hints=[
        "A matrix product takes the element-wise operators behind it into its epilogue, as long as nobody else reads "
        "what lies between.",
        "In-place operators and branches on shapes are gone before clusters are made. What leaves the model must be in "
        "memory. A branch on values cannot be compiled: at the time there are no values.",
        "Three of the five are one cluster, one is two clusters, and one cannot be optimized at all: 0.",
    ],
)
def predicted(answer):
    """Accept a number for each block, as a dict by name or in order; a block that cannot be optimized counts 0."""
    names = [block.__name__ for block in BLOCKS]
    if isinstance(answer, dict):
        given = {str(getattr(k, "__name__", k)).replace("_", "").lower(): v for k, v in answer.items()}
        lacking = [name for name in names if name.lower() not in given]
        if lacking:
            raise Wrong(f"There is no number for {', '.join(lacking)}.", expected=", ".join(names))
        answer = [given[name.lower()] for name in names]
    if isinstance(answer, str | int | float) or len(answer) != len(BLOCKS):
        raise Wrong("The answer has a number for each of the five blocks.", expected=", ".join(names))
    for block, guess in zip(BLOCKS, answer, strict=True):
        if guess is ...:
            raise Wrong(f"There is no number for {block.__name__} yet.", got="...")
        if (0 if guess is None else float(guess)) != clusters_of(block):
            raise Wrong(f"{block.__name__}: {WHY[block]}", got=guess)


def clusters_of(block: type[Block]) -> int:
    """How many compiled clusters a block becomes; 0 where it cannot be optimized."""
    with _quiet():
        try:
            made = sol.optimize(_seeded(block), torch.ones(8, 64))
        except sol.ModelError:
            return 0
    return sum(cluster.compiled for cluster in made.clusters)


# --- 02-5 ------------------------------------------------------------------------------------------------------------


class Grouped(nn.Module):
    """Each of four groups divided by its root mean square, scaled, and through SiLU: [N, 4, 64] -> the same."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(4, 64) + 0.5)

    def forward(self, x):
        groups = []
        for i in range(4):
            group = x[:, i]
            size = (group.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
            groups.append(F.silu(group / size * self.gain[i]))
        return torch.stack(groups, 1)


@exercise(
    "02-5",
    "The same, as one cluster",
    minutes=8,
    core=False,
    seconds=SECONDS,
    hints=[
        "The loop does the same to each group, and the groups are already one dimension of x. Which operators work on "
        "[N, 4, 64] at once?",
        "mean(-1, keepdim=True) of [N, 4, 64] is [N, 4, 1], and gain, [4, 64], fits to [N, 4, 64] as it is.",
        "return F.silu(x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * self.gain)",
    ],
)
def one_cluster(answer):
    """A module with Grouped's parameters and results that becomes one cluster; its class will do."""
    model = answer() if isinstance(answer, type) else answer
    if not isinstance(model, nn.Module):
        raise Wrong("The answer is a module, or its class.", expected="a class derived from nn.Module")
    model, original = copy.deepcopy(model.__dict__.get("_model", model)).eval(), _seeded(Grouped)
    try:
        model.load_state_dict(original.state_dict())
    except RuntimeError:
        raise Wrong("It has to have the parameters of Grouped: gain, [4, 64], and no other.") from None
    x = torch.randn(8, 4, 64, generator=torch.Generator().manual_seed(3)) * torch.tensor([1, 30, 0.01, 1])[:, None]
    with _quiet():
        if not _same(model(x.clone()), original(x)):
            raise Wrong("It does not give what Grouped gives. The mean goes over the last dimension, group by group.")
        made = sol.optimize(model, x).explain()
    if made.in_pytorch or len(made.rows) != 1:
        raise Wrong(
            f"The results are right; it is {len(made.rows)} clusters, though. Each step of a Python loop is traced by "
            "itself.",
            got=[row.ops for row in made.rows],
            expected="one cluster, and nothing in PyTorch",
        )
