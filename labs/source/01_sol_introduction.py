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
# # Lab 01: Three layers, one loop
#
# A neural network is written layer by layer, and that is how most libraries run it: one call for each layer, one trip
# through memory for each call. In this lab you see three layers become one loop, read the C code of that loop, and
# then watch the same thing happen to a whole network on a photograph.
#
# You can afterwards
#
# - say what fusion saves, in bytes, and what a layer waits for,
# - optimize a model with solkit, and tell from `explain()` what became of its layers,
# - find the loops and the arithmetic in the generated code,
# - check that the result is right, and see where the time goes.
#
# You need Python and a little PyTorch. You do not need to know C: you will read some, and be told what to look for.
#
# | section | time | |
# |:---|:---|:---|
# | 1. What you write, and what the machine does | 4 min | core |
# | 2. Three loops become one | 5 min | core |
# | 3. Let solkit do it | 4 min | core |
# | 4. Read the generated code | 6 min | core |
# | 5. The same code on three machines | 4 min | optional |
# | 6. Exercise 01-1: how many bytes are saved? | 5 min | core |
# | 7. Exercise 01-2: FLOP per byte | 8 min | optional |
# | 8. Is it still the same model? | 2 min | core |
# | 9. A real network | 8 min | core |
# | 10. What you have seen | 3 min | core |
#
# The core is about 40 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
runs = 20  # calls that are timed, in each block
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. What you write, and what the machine does
#
# Here is the end of an image classifier, in three lines of PyTorch. It is how SqueezeNet ends, and it was the worked
# example of the workshop that these labs come from.

# %%
import torch
from torch import nn

torch.manual_seed(seed)
torch.set_grad_enabled(False)  # this lab runs models and trains none

model = nn.Sequential(
    nn.Conv2d(512, 1000, kernel_size=1),  # 512 input channels, 1000 classes, and a bias
    nn.ReLU(),
    nn.AvgPool2d(13),  # the mean of 13 x 13 pixels
).eval()
x = torch.randn(1, 512, 13, 13)
model(x).shape

# %% [markdown]
# One image goes in, with 512 channels of 13 x 13 pixels. A score for each of 1000 classes comes out.
#
# PyTorch runs this as three library calls. A call knows nothing of the next one, so it has to put its whole result
# somewhere: in memory.

# %%
from labs import show

show.trips()

# %% [markdown]
# **Look at the arrows.** Between the layers the same 1000 x 13 x 13 numbers go down to memory and come up again,
# twice. Nobody wants them: they are there because there are three calls. ReLU is the worst case. All it does is
# compare each number with 0, and for that it moves everything there and back.
#
# (A tensor of this size may get no further than the last cache before memory. That is nearer, and still far from the
# registers, where the arithmetic happens.)

# %% [markdown]
# ## 2. Three loops become one
#
# To see what can be done about it, write the three layers out as loops. The sizes are tiny, so that plain Python will
# do: 3 input channels, 2 output channels, 4 pixels.

# %%
import numpy as np

C_IN, C_OUT, PIXELS = 3, 2, 4
random = np.random.default_rng(seed)
image = random.standard_normal((C_IN, PIXELS))
weight = random.standard_normal((C_OUT, C_IN))
bias = random.standard_normal(C_OUT)


def three_loops(image, weight, bias):
    convolved = np.empty((C_OUT, PIXELS))  # in memory
    for o in range(C_OUT):
        for p in range(PIXELS):
            convolved[o, p] = bias[o]
            for c in range(C_IN):
                convolved[o, p] += weight[o, c] * image[c, p]

    rectified = np.empty((C_OUT, PIXELS))  # in memory, too
    for o in range(C_OUT):
        for p in range(PIXELS):
            rectified[o, p] = max(0, convolved[o, p])

    result = np.zeros(C_OUT)
    for o in range(C_OUT):
        for p in range(PIXELS):
            result[o] += rectified[o, p] / PIXELS
    return result


three_loops(image, weight, bias)

# %% [markdown]
# All three nests begin with the same two loops, over output channels and over pixels. So make one nest of them: take
# one pixel of one channel through all three layers, and only then go on to the next.


# %%
def one_loop(image, weight, bias):
    result = np.zeros(C_OUT)
    for o in range(C_OUT):
        for p in range(PIXELS):
            value = bias[o]  # one number: a register
            for c in range(C_IN):
                value += weight[o, c] * image[c, p]  # convolution
            result[o] += max(0, value) / PIXELS  # ReLU, and pooling
    return result


assert np.array_equal(one_loop(image, weight, bias), three_loops(image, weight, bias))
one_loop(image, weight, bias)

# %% [markdown]
# **Look at what is gone**: both arrays between the layers. A local variable, `value`, is all that is left of them.
# The arithmetic is the same, in the same order, so the results are equal to the last bit.
#
# This is *fusion*. Going deep, through all layers with a small piece, instead of going through one layer with all
# pieces, is called *depth-first*.

# %% [markdown]
# ## 3. Let solkit do it
#
# Nobody wants to write such loops by hand, for every chain of layers. SOL, an optimizer made at NEC, writes them for
# you. These labs come with a small optimizer built on the same ideas, **solkit**. To use it takes three lines: import
# it, optimize a model, call the result.

# %%
import solkit as sol

sol_model = sol.optimize(model, x)
sol_model(x).shape

# %% [markdown]
# `sol.optimize` takes the model and an example of its input. It writes C code, compiles it, checks the result against
# PyTorch, and gives you a model that you call as before. That takes a few seconds; the next time, the compiled code
# is already there. What has become of the three layers?

# %%
sol_model.explain()

# %% [markdown]
# **Look at the number of rows**: there is one. A *cluster* is a group of layers that became one function, and this
# one holds all three. Its *kind* says what is at its heart: DNN stands for a convolution or a matrix product, DFP
# (depth-first parallel) for all that is not. The last two columns say how much it computes, in millions of
# operations, and how much it reads and writes, in millions of bytes.
#
# Is it faster? Both run on the same number of threads, and take turns.

# %%
print(f"{torch.get_num_threads()} threads")
milliseconds = show.times({"PyTorch": lambda: model(x), "solkit": lambda: sol_model(x)}, runs)
for name, value in milliseconds.items():
    print(f"{name:8} {value:7.3f} ms")

# %% [markdown]
# These are medians, measured on your machine just now. What to read in them is the ratio, and that only roughly:
# times this short change from run to run.

# %% [markdown]
# ## 4. Read the generated code
#
# Here is the function, whole. Do not read it line by line. Scroll through it once, and then go on to the four
# questions below, each of which looks at a few lines.

# %%
source = sol_model.source(0)
show.code(source)

# %% [markdown]
# **Where is the loop over pixels?**

# %%
show.code(source, first="for (int64_t", last="vf acc")

# %% [markdown]
# A *tile* is a handful of neighbouring pixels, `PIXELS` of them, that are worked on together. This is the loop over
# tiles, or over rows `y`, where a tile is a whole row. The loop over output channels is not in sight: it is outside.
# The function does one *task*, a group of channels, and the tasks are shared out over the threads.

# %% [markdown]
# **Where is `value`, the local variable?**

# %%
show.code(source, first="vf acc", last="bias")

# %%
show.code(source, first="for (int64_t c = ", last="vf_axpy")

# %% [markdown]
# `acc` is `value`, many at a time: a few vectors of output channels for each pixel of the tile. It begins with the
# bias, and it is small enough to stay in registers. Below it is the innermost loop, over input channels. `vf_axpy(a,
# x, y)` is `s * x + y`: one number of the input times a vector of weights, added to `acc`. Nearly all of the
# arithmetic of the model is in this one line.

# %% [markdown]
# **Where did ReLU and the pooling go?**

# %%
show.code(source, first="vf_max", last="sum")

# %%
show.code(source, first="vf mean", last="vf_store")

# %% [markdown]
# ReLU is one line, `vf_max` with 0, and works on `acc` where it is. The pooling is two: each pixel is added to `sum`,
# and at the very end `sum` is divided by the number of pixels. Only then is something stored, for the first and only
# time. It is our `one_loop`, written for a processor.

# %% [markdown]
# **Why `vf`, and what is `VLEN`?** A processor computes with *vectors*: one instruction does the same to several
# numbers. How many depends on the machine: 4 on the arm64 of a phone, 16 on a server with AVX-512, 256 on NEC's
# Vector Engine. In the code a `vf` is one such vector of floats, and `VLEN` is how many it holds. What a `vf` really
# is stands in one header, `vec.h`, and nowhere else. Here is `vf_axpy` in it:

# %%
from solkit.toolchain import kernels

header = (kernels() / "vec.h").read_text()
show.code("\n".join(line for line in header.splitlines() if "vf vf_axpy(" in line))

# %% [markdown]
# Twice: once for the Vector Engine, with one of its own instructions, and once for all other processors, whose
# compilers know how to multiply vectors. The code you have read is the same for all of them.

# %% [markdown]
# ## 5. The same code on three machines (optional)
#
# Let us take that at its word. The C source above was made for your processor: the size of the tile was chosen to
# suit it. But nothing in the source ties it there. The compiler that came with these labs can make machine code for
# processors that you do not have, too.

# %%
from IPython.display import HTML

from solkit.target import ARM64, VE, host
from solkit.toolchain import emit_assembly

targets = {target.name: target for target in (VE, ARM64, host())}


def innermost(name):
    """The innermost loop of the source, in the machine code of one target, as HTML."""
    return show.machine_code(emit_assembly(source, targets[name]), name, targets[name].vector_length)


HTML(innermost(VE.name))

# %% [markdown]
# **Look for `vfmad`**, in bold: the Vector Engine's multiply-add. One such line multiplies 256 floats with one number
# and adds 256 others. Between them stand the loads: `vldu` brings a vector of weights, `ldu` one number of the input.
#
# Now choose another machine. On arm64 the multiply-add is called `fmla`, on x86 `vfmadd231ps`. There are as many of
# them, because the source is the same. Each does less, because the vectors are shorter. (If you see no menu, your
# viewer cannot show it. Use `HTML(innermost(ARM64.name))` instead.)

# %%
import ipywidgets

machine = ipywidgets.Dropdown(options=list(targets), value=host().name, description="machine")
listing = ipywidgets.HTML()
ipywidgets.dlink((machine, "value"), (listing, "value"), innermost)
ipywidgets.VBox([machine, listing])

# %% [markdown]
# ## 6. Exercise 01-1: how many bytes are saved? (core, 5 min)
#
# Go back to the arrows of section 1. Count the bytes that the three layers read from memory and write to it, then the
# bytes that the one fused kernel reads and writes. A number is a float32 and has 4 bytes. The input is [1, 512, 13,
# 13], the weights are [1000, 512], there are 1000 numbers of bias and 1000 results.
#
# **How many bytes does the fused kernel save?** Put a number, or a formula, in place of the dots.

# %% tags=["exercise", "ex-01-1"]
bytes_saved = ...

# %% tags=["solution", "ex-01-1"]
between = 1000 * 13 * 13 * 4  # one tensor between two layers
bytes_saved = 4 * between  # written by Conv, read and written by ReLU, read by AvgPool

# %%
from labs import lab

ex = lab.exercise("01-1")
ex.check(bytes_saved)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 7. Exercise 01-2: FLOP per byte (optional, 8 min)
#
# Does it matter? That depends on what the processor waits for. A useful number is how much a function computes for
# each byte that it moves: its *arithmetic intensity*, in FLOP (floating-point operations) per byte. A processor has
# such a number, too: what it can compute in a second, divided by what memory can bring it in a second. A function
# with less than that waits for memory. One with more is limited by arithmetic, as it should be.
#
# NEC gives 4.3 TFLOP/s and 1.22 TB/s for the Vector Engine 10B: about 3.5 FLOP for each byte.
#
# **What is the intensity of ReLU by itself, and what is that of the fused kernel?** Count a comparison as one FLOP
# and a multiply-add as two. The answer is a pair, ReLU first; 2 % off is near enough.

# %% tags=["exercise", "ex-01-2"]
intensity = ...

# %% tags=["solution", "ex-01-2"]
relu = 1 / (4 + 4)  # one comparison; 4 bytes read, 4 bytes written
flop = 2 * 512 * 1000 * 13 * 13
moved = 4 * (512 * 13 * 13 + 1000 * 512 + 1000 + 1000)  # input, weights, bias, result
intensity = (relu, flop / moved)

# %%
ex = lab.exercise("01-2")
ex.check(intensity)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-01-2"]
# ReLU does 0.125 FLOP for each byte, a small part of the 3.5 that a Vector Engine could do meanwhile: by itself it
# leaves the processor 96 % idle. The fused kernel does 72 FLOP for each byte. In it ReLU costs next to nothing.

# %% [markdown]
# ## 8. Is it still the same model?
#
# Fast and wrong is easy. `sol.optimize` has compared the two models already, but see for yourself. Float32 rounds, in
# PyTorch as in solkit, and each adds up in an order of its own. So compare both with the same model in float64, which
# is exact for our purpose. The error is the largest difference, relative to the largest output.

# %%
import copy


def error(result, exact):
    return ((result - exact).abs().max() / exact.abs().max()).item()


exact = copy.deepcopy(model).double()(x.double())
print(f"PyTorch  {error(model(x), exact):.1e}")
print(f"solkit   {error(sol_model(x), exact):.1e}")
assert error(sol_model(x), exact) < 1e-5

# %% [markdown]
# **Look at the exponents.** A float32 holds about 7 digits, and both are right to nearly all of them.

# %% [markdown]
# ## 9. A real network
#
# Three layers are an example. ResNet-18 has 68: 20 convolutions with as many batch norms, ReLUs, additions, two
# poolings, and a matrix product at the end. And here is a photograph for it to look at, which comes with
# scikit-learn. It is cropped, made 224 x 224 pixels small, and normalised, as such networks want it.

# %%
from sklearn.datasets import load_sample_image

photo = torch.tensor(load_sample_image("china.jpg")) / 255  # [427, 640, 3], 0 to 1
photo = photo[:, 106:533].permute(2, 0, 1)[None]  # a square, as [1, 3, 427, 427]
photo = nn.functional.interpolate(photo, size=(224, 224), mode="bilinear", antialias=True)
mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)  # of the photographs in ImageNet
spread = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
picture = (photo - mean) / spread

show.photo(
    photo[0].permute(1, 2, 0),
    text="A photograph: a red tower with curved roofs on a hill, a lake behind it.",
    caption="What the network sees: china.jpg of scikit-learn, 224 x 224 pixels.",
)

# %% [markdown]
# The network has its true size and structure, but its **weights are random**: nothing is downloaded here. So it does
# not know what it sees, and its answers mean nothing. For our two questions that does not matter. Does solkit give
# the same answer as PyTorch? How long does it take? Neither depends on what a network was taught.

# %%
from labs.zoo import resnet18

torch.manual_seed(seed)
resnet = resnet18()
sol_resnet = sol.optimize(resnet, picture)
sol_resnet.explain()

# %% [markdown]
# **Look at the layers column.** The batch norms are there, but no operator in the second column does their work: in
# inference a batch norm is a multiplication and an addition, and solkit has put both into the weights of the
# convolution before it. ReLU and the additions of the shortcuts have gone into the convolutions, as in our small
# example. No layer is left to PyTorch, says the line above the table (its *arena* is the memory for all tensors
# between clusters).
#
# Then look at row 2. The model says ReLU first, then max pooling; solkit has swapped the two. The result is the same,
# because the largest of some numbers is the largest after ReLU, too. But ReLU now has a quarter of the work.
#
# First question: is it the same?

# %%
exact = copy.deepcopy(resnet).double()(picture.double())
expected, found = resnet(picture).topk(5).indices, sol_resnet(picture).topk(5).indices
print("PyTorch's best five classes:", *expected[0].tolist())
print("solkit's best five classes: ", *found[0].tolist())
print(f"error of solkit: {error(sol_resnet(picture), exact):.1e}")
assert torch.equal(expected, found)
assert error(sol_resnet(picture), exact) < 1e-5

# %% [markdown]
# Second question: is it faster?

# %%
print(f"{torch.get_num_threads()} threads")
both = {"PyTorch": lambda: resnet(picture), "solkit": lambda: sol_resnet(picture)}
milliseconds = show.times(both, runs)
for name, value in milliseconds.items():
    print(f"{name:8} {value:6.1f} ms")

# %% [markdown]
# (Both share the processor with whatever else is running. Threads that have to wait for each other suffer most from
# that, and PyTorch's wait for each other after every layer. Close other programs before you believe a large ratio.)
#
# Where does the time go? `profile` measures each cluster by itself, and PyTorch on the same layers.

# %%
profile = sol_resnet.profile(picture, runs=runs)
show.bars(profile, [f"{row.layers.split(',')[0]}: {row.ops}" for row in profile])

# %% [markdown]
# **Look for the longest bars first.** Nearly all of the time goes into convolutions, and these are close in both: a
# convolution is hard work that everybody has tuned. Then look for the pairs that differ most: it is there that layers
# were fused, or that PyTorch has no fast code for a layer in this form. The batch norms are in neither bar, since
# solkit has folded them away; in the time of the whole network, above, PyTorch pays for them.
#
# (Is a single bar far too long? Then another program wanted the processor just then. Run the cell again.)

# %% [markdown]
# ### The weights are still yours
#
# `sol_resnet` is a `torch.nn.Module`, with the very parameters of `resnet`, under the same names. First put a copy of
# all of them aside.

# %%
before = {name: tensor.clone() for name, tensor in sol_resnet.state_dict().items()}

# %% [markdown]
# Now give one class a large bonus. Does the next call see it?

# %%
favourite = 7  # 0 to 999

sol_resnet.load_state_dict(before)
sol_resnet.fc.bias[favourite] += 1000
print("solkit's best class: ", sol_resnet(picture).argmax().item())
print("PyTorch's best class:", resnet(picture).argmax().item())

# %% [markdown]
# Both say so, because there is only one bias, and both have it. Change `favourite` and run the cell again. It does
# not take the time of a compilation: weights are data, and no part of the code. With `load_state_dict` the old ones
# come back:

# %%
print(sol_resnet.load_state_dict(before))
assert torch.equal(sol_resnet(picture).topk(5).indices, found)

# %% [markdown]
# ## 10. What you have seen
#
# - Layers that are run one by one hand each other whole tensors through memory. Fused, they hand each other a register.
# - An optimizer that sees the whole model can do that for you, and give you back a model that you use as before.
# - The generated code is a loop that one can read. One header knows the machine; the code does not.
# - A network is mostly convolutions. Fusion takes away what is around them.
#
# All exercises of all labs, and how far you are with them:

# %%
lab.progress()

# %% [markdown]
# **What solkit did not do here.** Between two convolutions a tensor still goes through memory. The model was compiled
# for inference and for one size of input. The Vector Engine's code was compiled and read, but not run.
#
# **How SOL did it on the Vector Engine.** In 2020 this very example stood on the slides. SOL gave the output channels
# to the cores of the card and laid the 169 pixels of a channel along the vector, which has room for 256. The tensor
# between the layers became a local array of 169 floats. solkit lays the channels along the vector instead, because
# there are many of them, and short vectors are then filled as well as long ones. It is one idea, laid out in two
# ways. The names DFP and DNN are SOL's; for its DNN clusters it took the fastest library it could find.
#
# These times were published then, for one image in float32, in milliseconds:
#
# | network | Xeon 6126, PyTorch 1.4 | Titan V, PyTorch 1.4 | Vector Engine 10B, SOL |
# |---|---|---|---|
# | SqueezeNet 1.0 | 24.2 | 1.7 | 2.7 |
# | ResNet-50 | 41.3 | 4.8 | 7.0 |
# | DenseNet-161 | 105.9 | 14.9 | 16.1 |
#
# *Read off the workshop's slides of 2020; not measured here.* PyTorch, too, has become faster since. What you
# measured above is a comparison on your own machine, with the PyTorch of today.
#
# **Further reading**
#
# - N. Weber and others, *BrainSlug: Transparent Acceleration of Deep Learning Through Depth-First Parallelism* (2018,
#   arXiv 1804.08378).
# - N. Weber and F. Huici, *SOL: Effortless Device Support for AI Frameworks without Source Code Changes* (2020, arXiv
#   2003.10688).
# - `kernels/compute/vec.h` and `solkit/optimize.py` here: the machine, and the steps from a model to code.
