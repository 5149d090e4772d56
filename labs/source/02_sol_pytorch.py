# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 02: SOL with PyTorch
#
# Lab 01 made one loop of three layers. Here you take networks as they are, make them faster in three lines, and then
# look inside: what was fused, where the time goes, which code was chosen and why, what still runs in PyTorch. At the
# end you know what to do when something goes wrong.
#
# You need PyTorch to the degree that `nn.Sequential` is no news. Lab 01 helps and is not needed.
#
# | section | time | |
# |:---|:---|:---|
# | 1. Three lines on a real network | 3 min | core |
# | 2. It is still a module | 4 min | core |
# | 3. Before and after | 5 min | core |
# | 4. Where the time goes, and exercise 02-1 | 7 min | core |
# | 5. Where the numbers lie | 3 min | optional |
# | 6. One convolution, three ways | 4 min | core |
# | 7. Other batches, other lengths, and exercise 02-2 | 8 min | core |
# | 8. What runs in PyTorch, and exercise 02-3 | 8 min | core |
# | 9. Exercise 02-4: predict the clusters | 5 min | optional |
# | 10. Exercise 02-5: the same, as one cluster | 8 min | optional |
# | 11. Is it right? | 3 min | core |
# | 12. When something is wrong | 4 min | core |
# | 13. What you have seen | 1 min | core |
#
# The core is about 45 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
runs = 6  # calls that are timed, in each block
batch = 4  # the batch to expect, in section 7
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. Three lines on a real network
#
# MobileNet v2 was made for telephones: 52 convolutions, most of them small. Small layers are where a library that runs
# layer by layer is at its worst: the trips through memory, and the calls themselves, take longer than the arithmetic.
# Its weights here are random, since nothing is downloaded. That changes neither speed nor correctness.

# %%
import torch
from torch import nn

import solkit as sol
from labs import show
from labs.zoo import NETWORKS

torch.manual_seed(seed)
torch.set_grad_enabled(False)  # inference: no gradients in this lab

model = NETWORKS["mobilenet_v2"].make()
x = torch.randn(1, 3, 224, 224)

sol_model = sol.optimize(model, x)
y = sol_model(x)
y.shape

# %% [markdown]
# Import, optimize, call: three lines. The first time, the second of them takes some seconds, in which C is written,
# measured, compiled and checked. What was made is kept, so the next time it takes about one.

# %%
milliseconds = show.times({"PyTorch": lambda: model(x), "solkit": lambda: sol_model(x)}, runs)
print(f"{torch.get_num_threads()} threads, one image")
for name, value in milliseconds.items():
    print(f"{name:8} {value:7.2f} ms")

# %% [markdown]
# **Look at the ratio**, not at the numbers: these are medians of calls on your machine, just now. If other programs
# run beside, PyTorch suffers more from them, because its threads meet after every layer.

# %% [markdown]
# ## 2. It is still a module
#
# `sol_model` is a `torch.nn.Module` that has the parameters of `model`. Not copies of them: the same tensors, under
# the same names. So all that you do with modules goes on as before.

# %%
pairs = zip(model.parameters(), sol_model.parameters(), strict=True)
same = all(mine is yours for mine, yours in pairs)
print("a module:            ", isinstance(sol_model, nn.Module))
print("the same parameters: ", same)
print("the same names:      ", list(model.state_dict()) == list(sol_model.state_dict()))
print("a layer by its name: ", sol_model.classifier[1])
print("evaluation mode:     ", not sol_model.training)

# %% [markdown]
# Change a weight in either, and the next call of both sees it. Nothing is compiled again: weights are data.

# %%
bias = model.classifier[1].bias
bias[42] += 100
print("best class of both:", sol_model(x).argmax().item(), model(x).argmax().item())
bias[42] -= 100
print("and as before:     ", sol_model(x).argmax().item(), model(x).argmax().item())

# %% [markdown]
# **Two modes.** SOL knew two ways to run a network, inference and training, and nothing between them; it is the same
# here. In evaluation mode a call runs compiled code. In training mode PyTorch does the work, and you are told:

# %%
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    sol_model.train()
    sol_model(x)
print(caught[-1].message)
sol_model = sol_model.eval()  # back to compiled code

# %% [markdown]
# **Without a line of solkit** it works, too: `torch.compile` knows it as a backend. Then PyTorch decides what is
# compiled and when; to look inside, as we are going to, you need `sol.optimize`.

# %%
from labs.exercise_sets import lab02

small, numbers = lab02.leaky(), torch.randn(8, 32)  # you meet it again in section 8
compiled = torch.compile(small, backend="solkit")
print("largest difference:", (compiled(numbers) - small(numbers)).abs().max().item())

# %% [markdown]
# ## 3. Before and after
#
# What became of the network? Take one of its blocks, `features.3`. In your model these are nine operators: a
# convolution that widens, one that looks at the neighbours (*depthwise*, each channel by itself), one that narrows,
# each with its batch norm, two of them with an activation, and the addition of a shortcut.

# %%
from labs.pictures import lab02 as pictures
from solkit.optimize import capture_graph

captured, _, _ = capture_graph(model, (x,), {})  # before anything was optimized
explanation = sol_model.explain()
pictures.fusion(captured.nodes, explanation.rows, "features.3")

# %% [markdown]
# **Look at the right side.** Two clusters are left of nine operators. The batch norms are in the weights. The depthwise
# convolution is computed for a few rows of pixels, and while these are in the cache the next convolution reads them:
# the wide tensor between the two, the largest of the block, is never made. The shortcut is added before the result
# is stored.
#
# The colours are the two kinds of cluster. **DNN**: at its heart is a convolution or a matrix product, which has a
# kernel of its own. **DFP**, depth-first parallel: everything else, as one nest of loops. Both words are SOL's.
#
# The whole network as a table, with a drawing above it; scroll in it, and hold the mouse over a box for all of it:

# %%
explanation

# %% [markdown]
# And here is one cluster by itself, with the beginning of its C.

# %%
from IPython.display import HTML

HTML(pictures.cluster(explanation, 6))

# %% [markdown]
# Move the slider to see the others. (It needs a running kernel; `HTML(pictures.cluster(explanation, 0))` does without.)

# %%
import ipywidgets

from labs.widgets import Slider

number = Slider("cluster", 6, 0, len(explanation.rows) - 1)
card = ipywidgets.HTML()
ipywidgets.dlink((number, "value"), (card, "value"), lambda n: pictures.cluster(explanation, n))
ipywidgets.VBox([number, card])

# %% [markdown]
# ## 4. Where the time goes
#
# `profile` runs the model some times with a clock in front of and behind each cluster, and then PyTorch on the same
# operators. It can be shown as a table; here it is as bars.

# %%
profile = sol_model.profile(x, runs=runs)
pictures.strip(profile, explanation.rows)

# %% [markdown]
# **Look at both halves**: their shapes differ. Among the tallest bars of the lower half are clusters with a depthwise
# convolution, which have even numbers. By itself it is a bad fit for a library: little arithmetic for each number
# moved. In the upper half it has company in its cluster, and those peaks are gone.
#
# ### Exercise 02-1: which cluster takes the most time? (core, 4 min)
#
# In the picture you see it. **Write a function that says so for any profile.** A profile is a list of rows, and a row
# has a `number`, `solkit_ms` and `pytorch_ms`. The function gives the number of the cluster that takes solkit longest.


# %% tags=["exercise", "ex-02-1"]
def slowest(profile): ...


# %% tags=["solution", "ex-02-1"]
def slowest(profile):
    return max(profile, key=lambda row: row.solkit_ms).number  # not its place in the list


# %%
from labs import lab

print("in your profile:", slowest(profile))
ex = lab.exercise("02-1")
ex.check(slowest)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 5. Where the numbers lie (optional)
#
# What one cluster makes for another has to lie somewhere. solkit plans that when it compiles: all of it is in one piece
# of memory, the *arena*, and a place is given to the next as soon as nobody needs what was there.

# %%
explanation.memory()

# %% [markdown]
# **Look at the heavy line**: what is needed at each moment. It is high at the beginning, where images are large, and
# falls from there. The two bars below compare the arena with one in which every value has a place of its own. A call
# allocates nothing, and what fits into the cache may stay there.

# %% [markdown]
# ## 6. One convolution, three ways
#
# For a cluster of kind DNN there may be several implementations. A 3x3 convolution can be computed
# *directly*, by its definition, or by *Winograd's* filtering: tiles of the image are transformed, multiplied and
# transformed back, which takes less than half of the multiplications (tiles of 2x2 results) or about a quarter (4x4),
# and some additions and more memory. Which is faster? That depends on the number of channels, the size of the image,
# the caches and the number of threads. So nobody has to know: all of them are measured, once for each shape, in the
# model, and the times are kept.
#
# ResNet-18 has many 3x3 convolutions.

# %%
resnet = NETWORKS["resnet18"].make()
sol_resnet = sol.optimize(resnet, x)
pictures.implementations(pictures.measured(sol_resnet))

# %% [markdown]
# **Look from left to right**: images become smaller and channels more, and the work of the direct way stays the same.
# Its bars hardly change. What Winograd's filtering saves becomes less to the right: there are fewer tiles to
# share the transformed weights, which are four times as many with 4x4 tiles. Which one wins at the right end differs
# from machine to machine, and that is why it is measured.
#
# (The other convolutions, of 1x1 and of stride 2, have one implementation. A 1x1 convolution is a matrix product, which
# is often called GEMM.)
#
# SOL did the same with libraries: for its DNN clusters it tried all that the machine had, and kept the fastest.
# `sol.config["autotuning"]` turns measuring off, or tries more.

# %% [markdown]
# ## 7. Other batches, other lengths
#
# The C has fixed sizes in it, so a model is optimized for the shapes of its example. What about a call with others?

# %%
try:
    sol_model(torch.randn(2, 3, 224, 224))
except sol.InputError as error:
    print(error)

# %% [markdown]
# An error, and not a wrong result. If the batch is to vary, say so: a size of 0 in `sol.input` is one that may change
# from call to call (SOL called it a wildcard), and `batch_size` is what you expect most.

# %%
sol_any = sol.optimize(model, sol.input([0, 3, 224, 224]), batch_size=batch)

for count in (1, batch, 2 * batch + 2):
    images = torch.randn(count, 3, 224, 224)
    wanted = model(images)
    difference = (sol_any(images) - wanted).abs().max() / wanted.abs().max()
    print(f"batch of {count:2}: differs from PyTorch by {difference:.0e}")

# %% [markdown]
# Code was compiled for two sizes, the batch that you named and 1. Any other batch is cut into slices of these: 10 is
# 4 and 4 and 1 and 1. That is allowed only where the samples of a batch do not meet, and solkit tries that out in
# PyTorch first. Where they meet, each new size is compiled when it is first seen.
#
# With `vdims` you say it for an example tensor: an entry for each input, `True` for its batch, `False` for nothing, or
# the dimensions that vary, as a tuple.
#
# ### Exercise 02-2: one model for every batch and every length (core, 5 min)
#
# Here is a small BERT. Its input is [N, T]: N sentences of T tokens each, up to 64. Both change from call to call.
# **Optimize it once, so that it takes all of them.** The check calls your model with sizes that it has not seen.

# %%
encoder = lab02.encoder()
ids = torch.randint(0, 1000, (1, 16))  # one sentence of 16 tokens
print([tuple(result.shape) for result in encoder(ids)])

# %% tags=["exercise", "ex-02-2"]
flexible = ...

# %% tags=["solution", "ex-02-2"]
flexible = sol.optimize(encoder, ids, vdims=[(0, 1)])  # one input, so one entry: dimensions 0 and 1 vary

# %%
ex = lab.exercise("02-2")
ex.check(flexible)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 8. What runs in PyTorch
#
# PyTorch has some two thousand operators, and solkit has not written code for all of them. A model does not stop at
# one that it lacks: PyTorch runs it, inside the same graph, and solkit the rest. But it is a seam, where nothing is
# fused, so you want to know. Here is a block that mixes its tokens with a Fourier transform in place of attention.


# %%
class FourierBlock(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):  # [N, T, width]
        x = self.norm(x + torch.fft.fft2(x).real)
        return x + self.down(nn.functional.gelu(self.up(x)))


fourier = nn.Sequential(FourierBlock(), FourierBlock()).eval()
sol_fourier = sol.optimize(fourier, torch.randn(1, 32, 64))
sol_fourier.explain().in_pytorch

# %% [markdown]
# **Look at the pairs**: the operator, and the layer it is in, by the name it has in your model. `explain()` says it
# below its table and draws these with a dashed line.
#
# ### Exercise 02-3: find the layer that runs in PyTorch, and replace it (core, 5 min)
#
# One layer of this network has no code in solkit. Find it, and put another in its place that gives the same in
# evaluation mode. The answer is the mended network, not yet optimized. (PyTorch's documentation of a layer:
# `nn.GELU?` in a cell of its own.)

# %%
leaky = lab02.leaky()
leaky

# %% tags=["exercise", "ex-02-3"]
mended = ...

# %% tags=["solution", "ex-02-3"]
mended = lab02.leaky()
print(sol.optimize(mended, torch.randn(8, 32)).explain().in_pytorch)  # RReLU in layer 'middle.1'
# In training the slope for x < 0 is drawn from [1/8, 1/3]; in evaluation mode it is the mean of the two.
mended.middle[1] = nn.LeakyReLU((1 / 8 + 1 / 3) / 2)

# %%
ex = lab.exercise("02-3")
ex.check(mended)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 9. Exercise 02-4: predict the clusters (optional, 5 min)
#
# Five blocks. All have a matrix product, an addition and a ReLU; they differ in how they are written.

# %%
import inspect

show.code("\n\n".join(inspect.getsource(block) for block in (lab02.Block, *lab02.BLOCKS)), "python")

# %% [markdown]
# **How many clusters does each become?** Put numbers in place of the dots. Where a block cannot be optimized, it is 0.
# Predict first; the check compiles them.

# %% tags=["exercise", "ex-02-4"]
predicted = {"Plain": ..., "InPlace": ..., "Twice": ..., "OnShape": ..., "OnValues": ...}

# %% tags=["solution", "ex-02-4"]
predicted = {
    "Plain": 1,  # addition and ReLU are the epilogue of the matrix product
    "InPlace": 1,  # in-place operators are rewritten first: nobody else looks at y meanwhile
    "Twice": 2,  # y leaves the model, so it is made in memory; what follows reads it there
    "OnShape": 1,  # the shape is known when the model is optimized, and one of the branches is gone
    "OnValues": 0,  # there is no value before the call: torch.where, inside the graph, would do
}

# %%
ex = lab.exercise("02-4")
ex.check(predicted)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 10. Exercise 02-5: the same, as one cluster (optional, 8 min)
#
# This module works on four groups of 64 numbers, one after the other. It is correct, and it is how one thinks of it.

# %%
show.code(inspect.getsource(lab02.Grouped), "python")

# %%
groups = torch.randn(256, 4, 64)
sol_grouped = sol.optimize(lab02.Grouped().eval(), groups)
for row in sol_grouped.explain().rows:
    print(row.number, row.kind, row.ops)

# %% [markdown]
# A Python loop is gone when the graph is captured: what is left is what it did, once for each group. **Write a module
# with the same parameter and the same results that becomes one cluster.** The answer is the class, or a module.

# %% tags=["exercise", "ex-02-5"]
together = ...


# %% tags=["solution", "ex-02-5"]
class Together(lab02.Grouped):
    def forward(self, x):  # the groups are a dimension of x: all at once
        size = (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        return nn.functional.silu(x / size * self.gain)


together = Together

# %%
ex = lab.exercise("02-5")
ex.check(together)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 11. Is it right?
#
# `sol.optimize` compares each model with PyTorch before it hands it out, on the example that you gave. You can compare
# with more than PyTorch: with the same network in float64, which is exact for our purpose.

# %%
exact = NETWORKS["mobilenet_v2"].make()
exact.load_state_dict(model.state_dict())
exact = exact.double()(x.double())
for name, result in (("PyTorch", model(x)), ("solkit", sol_model(x))):
    print(f"{name:8} {((result - exact).abs().max() / exact.abs().max()).item():.1e}")

# %% [markdown]
# **Look at the exponents.** A float32 has seven digits, and both are right to nearly all of them. They differ from each
# other, because they add in different orders.
#
# `sol.verify` looks closer. It compares each cluster of a network with the same operators in float64: on the numbers
# that reach it (*local error*), and on those that would reach it in float64 from the start (*drift*).

# %%
sol.verify(sol_fourier, torch.randn(1, 32, 64))

# %% [markdown]
# ## 12. When something is wrong
#
# Errors say what was found, what was expected, and what to do. All of them are a `sol.SolError`.

# %%
attempts = {
    "another dtype": lambda: sol_model(x.double()),
    "no batch": lambda: sol_model(x[0]),
    "a class": lambda: sol.optimize(nn.ReLU, x),
    "a wrong setting": lambda: sol.config.update({"thread": 1}),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except sol.SolError as error:
        print(f"{name}: {type(error).__name__}\n    {error}\n")

# %% [markdown]
# The settings are few; `sol.config.print()` says what each is for. They have to be set before `sol.optimize`.

# %%
for name, value in sol.config.items():
    print(f"{name:40} {value!r}")

# %% [markdown]
# **To see what it does**, `sol.config["log::level"] = "INFO"`. **To see what it made**, name a folder: then the graph
# before and after, the C files, and `explain()` as a page are written into it.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    sol.config["compiler::debug"] = folder
    sol.optimize(lab02.leaky(), numbers)
    del sol.config["compiler::debug"]  # back to the default
    for path in sorted(Path(folder).rglob("*.*")):
        print(f"{path.relative_to(folder).as_posix():40} {path.stat().st_size:6} bytes")

# %% [markdown]
# | what happens | what to do |
# |:---|:---|
# | "cannot be captured as one graph" | A branch depends on values: use `torch.where`, or optimize parts of the model. |
# | "the model was optimized for ..." | Another shape: `vdims`, section 7. |
# | A layer runs in PyTorch | Often another layer does the same, section 8. If not, it still works. |
# | A changed weight is not seen | It was changed through `.data` or NumPy, uncounted: `sol_model.refresh()`. |
# | Optimizing takes long | The first time only. `sol.config["autotuning"] = "off"` measures nothing. |
# | You do not trust what is kept | `sol.cache.clear()` forgets all of it. |
# | Times jump | Other programs run. Give it fewer threads: `sol.config["threads"] = 1`. |
# | A wrong result | `sol.verify(sol_model, x)` names the first cluster that is off. |
#
# **SOL's words**, which you meet in messages and slides: a *layer* is an operator of the model, a *tensor* what goes
# between layers, a *cluster* a group of layers that became one function. A *frontend* reads a framework's models, a
# *backend* is what writes code or calls a library, a *device* is what that runs on. `sol.devices()` lists them:

# %%
sol.devices()

# %% [markdown]
# ## 13. What you have seen
#
# - Three lines, and the model stays a module: parameters, names, modes and all.
# - Of a block of nine operators two functions are left, and the largest tensor is never made.
# - Which implementation runs is measured on your machine, not guessed.
# - Sizes are fixed in the code; which ones vary is yours to say.
# - What has no code runs in PyTorch, and you are told where.
#
# **Further reading.** *SOL: Effortless Device Support for AI Frameworks without Source Code Changes*,
# arXiv 2003.10688. *BrainSlug: Transparent Acceleration of Deep Learning Through Depth-First Parallelism*, arXiv
# 1804.08378, is where depth-first came from. *Fast Algorithms for Convolutional Neural Networks* by Lavin and Gray,
# arXiv 1509.09308, has Winograd's filtering.
