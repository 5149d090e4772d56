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
# # Lab 04: SOL with ONNX: reading text in a picture
#
# Not every network comes as PyTorch code. Many come as a *file*, in a format called ONNX, and nobody tells you how they
# were written. In this lab you look into such files and run them: the networks of PP-OCR, which find the text in a
# picture and read it. These are real networks with real weights, so this time the answers mean something.
#
# **You will be able to** say what is in an ONNX file, compile one for inputs of varying size, turn a recognizer's
# probabilities into text, and mend a file that does not load.
#
# **You need** Python and some NumPy, and to have seen lab 01. All files are in packages that are installed already;
# nothing is downloaded.
#
# | section | time | |
# |:---|:---|:---|
# | 1. What an ONNX file is | 5 min | core |
# | 2. Exercise 04-1: what is in the file? | 4 min | core |
# | 3. Exercise 04-2: which dimension varies? | 4 min | core |
# | 4. One line of text | 5 min | core |
# | 5. Exercise 04-3: from probabilities to text | 8 min | core |
# | 6. A whole page, and a photograph | 6 min | core |
# | 7. Lines of any width | 3 min | core |
# | 8. What solkit has no code for | 3 min | optional |
# | 9. Exercise 04-4: a file that does not load | 6 min | optional |
# | 10. How fast? | 3 min | core |
# | 11. What you have seen | 2 min | core |
#
# The core is about 40 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
runs = 5  # calls that are timed, in each block
text = "Effective networks without GPU"  # what is written on the line of section 4
compiled = ("recognize", "detect")  # what solkit runs on the page; "direct" may be added

# %% [markdown]
# ## 1. What an ONNX file is
#
# ONNX stands for Open Neural Network Exchange. PyTorch, TensorFlow, PaddlePaddle and others write such files, and many
# programs read them. Here is the one that PP-OCR reads lines of text with. PaddlePaddle wrote it.

# %%
from collections import Counter

import onnx

from labs import ocr
from labs.pictures import lab04

file = ocr.model_file("recognize")
proto = onnx.load(file)
nodes = Counter(node.op_type for node in proto.graph.node)

print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
print(f"operators of opset {proto.opset_import[0].version}")
print(f"{len(proto.graph.node)} nodes, {len(proto.graph.initializer)} initializers")

# %% [markdown]
# A file has three parts that matter here.
#
# - A **graph**: a list of *nodes*. A node names an operator (`Conv`, `Add`), the tensors that it reads and those that
#   it makes. There are no layers and no loops over them, only nodes and names.
# - The **weights**. Most programs put them into a list of *initializers*. This file has none: it says its weights by
#   nodes without an input, called `Constant`. Both are allowed.
# - The **opset**: a version number. It says which operators there are and what they mean. An operator may do something
#   else in another opset, so a file is read by the opset that it names.
#
# These are the first nodes that compute something:

# %%
lab04.beginning(proto)

# %% [markdown]
# **Look at the curved arrow.** The network begins with two convolutions, each with a scale and a shift for its
# channels: once as a batch norm, once as a Mul and an Add. The last four nodes are one function, *hard swish*:
# `x * clip(x + 3, 0, 6) / 6`. Its author called one function. The file does not know that: it has an Add, a Clip, a
# Mul and a Div, and what they begin with is read twice.
#
# That is what an optimizer has to live with. It gets pieces, and has to find out which of them belong together.

# %%
lab04.operators(nodes)

# %% [markdown]
# ## 2. Exercise 04-1: what is in the file? (core, 4 min)
#
# **What share of all nodes is a Constant? And of the other nodes, those that compute something, what share is a
# Conv?** `nodes` counts the operators: `nodes["Conv"]` is the number of convolutions. Answer with a pair of numbers
# from 0 to 1, as a formula or to three decimals.

# %% tags=["exercise", "ex-04-1"]
shares = ...

# %% tags=["solution", "ex-04-1"]
constants = nodes["Constant"]
computing = nodes.total() - constants  # a Constant computes nothing: it is a weight
shares = (constants / nodes.total(), nodes["Conv"] / computing)

# %%
from labs import lab

ex = lab.exercise("04-1")
ex.check(shares)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 3. Exercise 04-2: which dimension varies? (core, 4 min)
#
# Now look at the input of the network, as the file declares it.

# %%
for value in [*proto.graph.input, *proto.graph.output]:
    sizes = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    print(f"{value.name}: {sizes}")

# %% [markdown]
# The dimensions are batch, channels, height and width. A number is fixed. A name (or a `?`) means that the file leaves
# the size open. It cannot say which sizes make sense, though. Those who trained this network say: it reads one line at
# a height of 48 pixels, and a line may be as long as it likes. We will read one line at a time.
#
# `sol.optimize` takes `vdims`: **for each input, a tuple of the dimensions that vary**, counted from 0. As an example,
# `[(0, 1)]` is for a model with one input, whose first two dimensions vary. **What has to be in it here?**

# %% tags=["exercise", "ex-04-2"]
vdims = ...

# %% tags=["solution", "ex-04-2"]
vdims = [(3,)]  # one input, of [batch, channels, height, width]; the width varies

# %%
ex = lab.exercise("04-2")
ex.check(vdims)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 4. One line of text
#
# Here is a line to read, drawn with the font that comes with Pillow. Change `text` in the first cell if you like.

# %%
from IPython.display import HTML
from PIL import Image

line = lab04.line(text)
HTML(lab04.image(line, f"The words {text!r}, dark blue on paper."))

# %% [markdown]
# The network wants numbers from -1 to 1, as an array of [1, 3, 48, width], blue first. Then it is three lines, as with
# a PyTorch model. A file name takes the place of the model.

# %%
import numpy as np

import solkit as sol

sol.config["autotuning"] = "off"  # take the likely best, unmeasured: it starts sooner


def to_array(picture, width=512):
    pixels = np.asarray(picture.resize((width, 48), Image.Resampling.BICUBIC), np.float32)
    return pixels[None, :, :, ::-1].transpose(0, 3, 1, 2) / 127.5 - 1


recognize = sol.optimize(file, to_array(line), vdims=[(3,)])
probabilities = recognize(to_array(line))[0]
probabilities.shape

# %% [markdown]
# NumPy arrays go in, and arrays come out. What is in them? The network does not give out text. It goes over the line
# from left to right, in steps of 8 pixels. At each *time step* it gives one probability for each of 6625 classes: most
# are Chinese characters, the rest are letters, digits and signs, and class 0 stands for "no character here".

# %%
names = ocr.characters()  # names[7] is what class 7 stands for; it is in the file, too
read, sure = ocr.decode(probabilities, names)
lab04.steps(line, probabilities, names, read)

# %% [markdown]
# (*None* in the first row stands for class 0; a space is a letter as any other.)
#
# **Look at the steps of dark blue.** Each letter lights up where it stands in the picture above, often for a single
# step, sometimes for two. Between most letters, and always between two equal ones, the network says "none". Nobody
# told it where letters begin and end. It learned that from whole lines of text.
#
# Move the slider to see single steps. (If you see no slider, your viewer cannot show it; the table is that of step 12.)

# %%
import ipywidgets

from labs.widgets import Slider


def show_step(step):
    return lab04.at_step(probabilities, names, step)


slider = Slider("time step", 12, 0, len(probabilities) - 1)
table = ipywidgets.HTML()
ipywidgets.dlink((slider, "value"), (table, "value"), show_step)
ipywidgets.VBox([slider, table])

# %%
HTML(show_step(slider.value))

# %% [markdown]
# ## 5. Exercise 04-3: from probabilities to text (core, 8 min)
#
# The step from probabilities to text is called *CTC decoding*, for connectionist temporal classification. The simplest
# way goes like this.
#
# 1. At each step take the class that is most likely. That makes a list such as `[8, 8, 0, 5, 12, 0, 12, 15]`.
# 2. Where a class *repeats that of the step before*, it is the same letter, seen twice: keep one.
# 3. Throw away class 0.
#
# In this order: in the example the two 12 are two letters, because there is a 0 between them.
#
# **Write the function for steps 2 and 3.** `best` is an array of classes, one for each time step; `names[7]` is what
# class 7 stands for. It returns the text.


# %% tags=["exercise", "ex-04-3"]
def to_text(best, names): ...


to_text(probabilities.argmax(axis=1), names)


# %% tags=["solution", "ex-04-3"]
def to_text(best, names):
    letters, before = [], 0
    for index in best:
        if index != before and index != 0:  # new, and a character
            letters.append(names[index])
        before = index  # also if it was 0: a letter after it is another one
    return "".join(letters)


to_text(probabilities.argmax(axis=1), names)

# %%
ex = lab.exercise("04-3")
ex.check(to_text)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# How bad may a line be? Type something, add noise, make it blurred. Each change is read at once, because the code for
# this width is there already. **Watch which letters go first**: those that differ least.

# %%
words = ipywidgets.Text(value=text, description="text", continuous_update=False)
noise = Slider("noise", 0.3, 0, 0.8, 0.05, continuous_update=False)
blur = Slider("blur", 1, 0, 6, 0.5, continuous_update=False)
shown = ipywidgets.HTML()


def read_again(change=None):
    drawn = lab04.line(words.value, noise.value, blur.value)
    said, sure = ocr.decode(recognize(to_array(drawn))[0], names)
    shown.value = lab04.reading(drawn, words.value, said, sure)


for control in (words, noise, blur):
    control.observe(read_again, "value")
read_again()
ipywidgets.VBox([words, noise, blur, shown])

# %%
HTML(shown.value)  # the same, for viewers without widgets

# %% [markdown]
# ## 6. A whole page, and a photograph
#
# A page has many lines, and somebody has to find them first. PP-OCR does it with three networks.
#
# - **detect** takes the page, and says for each pixel how likely it belongs to text. Plain Python makes a rectangle
#   around each region.
# - **direct** takes one rectangle, and says whether it stands on its head.
# - **recognize** is what you know already.
#
# `ocr.Reader` does all of this. It takes any function that maps arrays to arrays as its networks. So we can run two
# readers: in one all networks run in ONNX Runtime, the engine by the makers of the format. In the other solkit runs
# those in `compiled`. The lines are stretched to one of two widths.

# %%
from labs import ocr_pictures

photograph = lab04.mounted(ocr_pictures.photograph())
pages = {"drawn": ocr_pictures.drawn(), "photographed": photograph}
maps = {}
theirs = lab04.TwoWidths("onnxruntime")
ours = lab04.TwoWidths("onnxruntime", watch=lambda name, x, y: maps.update({name: y}))
ours.networks["recognize"] = recognize
for name in {"detect", "direct"}.intersection(compiled):
    example = np.zeros(lab04.SHAPES[name], np.float32)
    ours.networks[name] = sol.optimize(ocr.model_file(name), example, vdims=[False])

# %% [markdown]
# `vdims=[False]` says that no dimension varies, whatever names the file has for them: both pages have 960 x 736 pixels.

# %%
lines = ours.read(pages["drawn"])
lab04.boxes(pages["drawn"], lines, maps["detect"][0, 0])

# %% [markdown]
# **Look at the map on the left.** The stripes are thinner than the letters. The network is trained that way, so that
# lines close to each other do not run into one; afterwards the rectangles grow again. Then look at line 4, which
# climbs, and at the last, which is upside down.

# %%
lab04.beside(lines, theirs.read(pages["drawn"]))

# %% [markdown]
# Now a photograph: a printed page, taken at an angle and in bad light, which comes with scikit-image.

# %%
lines = ours.read(pages["photographed"])
lab04.boxes(pages["photographed"], lines)

# %%
lab04.beside(lines, theirs.read(pages["photographed"]))

# %% [markdown]
# **Compare with the picture.** Is anything missing, or wrong? One line of the page is not there at all, and there is a
# space less than there should be. The column *same* says that it is not solkit's doing: both engines read the same,
# mistakes included. They run one network. To be right is the network's business; to be the same is the engine's.

# %% [markdown]
# ## 7. Lines of any width
#
# The code that solkit made was first for a width of 512 pixels. The photograph has longer lines, of 1024. Was it all
# compiled again? Here is the C code that runs for each width so far.

# %%
codes = lab04.code_by_width(recognize)
for width, code in codes.items():
    same = "the same" if code == codes[512] else "others"
    print(f"width {width}: {len(code.splitlines())} lines of C, {same}")

# %% [markdown]
# The widths differ, the code does not. Because of `vdims`, solkit wrote the code for three widths, compared, and found
# that the texts differ in some numbers alone. These it replaced by an array that the kernel reads, and compiled the
# result once. A new width is captured, checked against PyTorch, and gets numbers of its own. No compiler is called.

# %%
explanation = recognize.explain()
for row in explanation.rows[:5]:
    print(f"{row.number}: {row.kind}: {row.ops}")
print("...")
print(str(explanation).splitlines()[-1])

# %% [markdown]
# (`explanation` by itself in a cell shows the whole table, with a drawing of several pages.)
#
# **Look at the last line.** From 440 nodes that compute something a few dozen clusters were made, and
# *nothing runs in PyTorch*. Find the drawing of section 1 in cluster 2: a
# convolution, Mul, Add, the pieces of hard swish, and even the next convolution are one function.

# %% [markdown]
# ## 8. What solkit has no code for (optional)
#
# ONNX has about 200 operators, and it keeps growing. What if one is not known here? This small model adds noise to a
# picture: the operator `RandomNormalLike` draws random numbers, and solkit has no code for that.

# %%
from labs import onnx_models

noisy = sol.optimize(onnx_models.noisy_model(), np.ones((1, 3, 8, 8), np.float32))
noisy.explain()

# %% [markdown]
# It runs all the same. PyTorch does that one operator, in its place in the graph, and the line below the table says
# what it is. So an operator without code costs time. It does not stop a model.

# %% [markdown]
# ## 9. Exercise 04-4: a file that does not load (optional, 6 min)
#
# A colleague has edited a file by hand, and now it does not load. What does solkit say about it?

# %%
broken = onnx_models.broken_model()
try:
    sol.optimize(broken, np.ones((1, 3, 8, 8), np.float32))
except sol.SolError as error:
    print(type(error).__name__, "-", error)

# %% [markdown]
# A file is checked before anything is run. `sol.SolError` is the base of all errors that solkit raises on purpose, and
# each says what is wrong and where. These are the nodes:

# %%
for number, node in enumerate(broken.graph.node):
    print(f"node[{number}]: {node.op_type} reads {list(node.input)}, makes {list(node.output)}")

# %% [markdown]
# **Mend the model.** You may change names in place: `mended.graph.node[2].input[0] = "a name"` sets what node 2 reads.
# The model is right when it does what its author had in mind: each node does its work, one after the other. That it
# loads is not enough.

# %% tags=["exercise", "ex-04-4"]
mended = ...

# %% tags=["solution", "ex-04-4"]
mended = onnx.ModelProto()
mended.CopyFrom(broken)  # leave the broken one as it is
mended.graph.node[1].input[0] = "convolved"  # "convoluted" is made by no node

# %%
ex = lab.exercise("04-4")
ex.check(mended)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 10. How fast?
#
# Both engines on the same number of threads, taking turns. What to read is the ratio.

# %%
import torch

from labs import show

x = to_array(line)
print(f"{torch.get_num_threads()} threads; the recognizer on a line of {x.shape[3]} pixels")
session = theirs.networks["recognize"]
both = {"ONNX Runtime": lambda: session(x), "solkit": lambda: recognize(x)}
milliseconds = show.times(both, runs)
for name, value in milliseconds.items():
    print(f"{name:12} {value:6.1f} ms")

# %% [markdown]
# (Is solkit slower here? We have turned its measuring of implementations off. And other programs disturb: close them,
# and run the cell again.)
#
# **Shipped result:** the same with measuring, on 2 threads of an AMD EPYC virtual machine with AVX-512 in 2026, from
# `python -m benchmarks.onnx_models`, in milliseconds:
#
# | network | input | ONNX Runtime 1.32 | solkit |
# |:---|:---|---:|---:|
# | detection | 1x3x736x960 | 89.35 | 58.67 |
# | direction | 1x3x48x192 | 0.95 | 0.54 |
# | recognition | 1x3x48x512 | 19.47 | 13.04 |
# | recognition | 1x3x48x1152 | 42.76 | 29.65 |

# %% [markdown]
# ## 11. What you have seen
#
# - An ONNX file is a graph of nodes, weights, and the version of the operators that it uses. The layers of its author
#   are gone; an optimizer has to find again what belongs together.
# - A file leaves dimensions open. Which of them vary is for you to say, with `vdims`. One compiled code then serves
#   all sizes.
# - A recognizer gives probabilities for each time step. CTC makes text of them: repeats first, then the blanks.
# - What solkit has no code for runs in PyTorch, and `explain()` says so. A file that is wrong is refused before it
#   runs, with the name of what is wrong.
#
# **How it was in 2020.** The workshop had a part about ONNX, too: SOL took such files so that a network could come from
# any framework, and gave back something that ran on the Vector Engine. What runs there runs here: one graph, one
# table of operators, one code generator behind all frontends.
#
# **Further reading.** onnx.ai has the list of operators, with every opset. The networks are of Du et al., *PP-OCR: A
# Practical Ultra Lightweight OCR System* (2020); CTC is by Graves et al. (2006), and the detector's map by Liao et al.,
# *Real-time Scene Text Detection with Differentiable Binarization* (2020). `labs/ocr.py` is the whole reader.
