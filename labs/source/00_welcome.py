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
# # Lab 00: Welcome and tour
#
# In 2020 the computing centre ICM in Warsaw held a workshop, *Effective Neural Networks Without GPU*. It was about a
# computer that was built around vectors, NEC's SX-Aurora TSUBASA, and two programs for it: **SOL**, which makes neural
# networks faster without changing them, and **Frovedis**, which computes with large tables on many processors.
#
# The machine is no longer made, SOL is closed, Frovedis is hard to build. The ideas are as good as ever. These labs
# are the workshop, made anew for the computer that you have: `solkit` is an optimizer after SOL, `frovedis_lite` a
# library after Frovedis, both small enough to be read, and the vector machine comes along as code that you can look
# at. You need a little Python, but no GPU, no account and, from here on, no network.
#
# | section | time | |
# |:---|:---|:---|
# | 1. Run a cell, pass an exercise | 3 min | core |
# | 2. Hints, solutions, progress | 4 min | core |
# | 3. A taste of SOL | 3 min | core |
# | 4. A taste of Frovedis | 2 min | core |
# | 5. The map | 3 min | core |
#
# It takes about 15 minutes. After it you know how the labs work, and that they work on your machine.

# %% tags=["parameters"]
runs = 10  # calls that are timed, in each block
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. Run a cell, pass an exercise
#
# A notebook consists of cells. Click into the one below and press <kbd>Shift</kbd>+<kbd>Enter</kbd>: it runs, and the
# next cell is marked. Go from top to bottom that way. A number in brackets appears beside a cell when it has run, a
# star while it is running. If things get muddled, *Kernel > Restart Kernel* in the menu begins anew.

# %%
from labs.pictures import lab00 as pictures

pictures.machine()

# %% [markdown]
# This is the machine that your notebook runs on. What is *missing (optional)* is not needed. (In a terminal, `aurora
# doctor` says the same.)
#
# ### Exercise 00-1: how many numbers fit into one vector of this machine? (core, 2 min)
#
# A processor has registers that hold several numbers, a *vector*, and computes with all of them at once. **Find in the
# table how many float32 yours holds**, put the number in place of the dots, and run this cell and the next.

# %% tags=["exercise", "ex-00-1"]
floats_in_a_vector = ...

# %% tags=["solution", "ex-00-1"]
from solkit.target import host

floats_in_a_vector = host().vector_length  # it depends on the machine; the table has it in the row SIMD

# %%
from labs import lab

ex = lab.exercise("00-1")
ex.check(floats_in_a_vector)

# %% [markdown]
# That is how exercises work: a blank, a check that says what is wrong, as many tries as you like. A Vector Engine holds
# 256.

# %% [markdown]
# ## 2. Hints, solutions, progress
#
# ### Exercise 00-2: how many Vector Engines were in the workshop's machine? (core, 2 min)
#
# You cannot know that. So this is the exercise in which you are to cheat: below it is a cell with help. Take the first
# `#` away and run the cell, again and again: there are three hints, and each says more. `ex.solution()` shows the
# solution.

# %% tags=["exercise", "ex-00-2"]
engines = ...

# %% tags=["solution", "ex-00-2"]
engines = 8  # pbaran was a NEC A300-8, with eight Vector Engines of 48 GB each

# %%
ex = lab.exercise("00-2")
ex.check(engines)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# What you have tried and passed is written down, in a file on this machine and nowhere else. Of this lab:

# %%
lab.progress("00")  # lab.progress() shows all labs

# %% [markdown]
# ## 3. A taste of SOL
#
# SqueezeNet is a network that tells what is on a photograph. (Its weights are random here; nothing is downloaded. It
# computes as much as ever.) Three lines make it faster:

# %%
import torch

from labs.zoo import NETWORKS

torch.manual_seed(seed)
torch.set_grad_enabled(False)
model, x = NETWORKS["squeezenet1_1"].make(), torch.randn(1, 3, 224, 224)

# %%
import solkit as sol

sol_model = sol.optimize(model, x)
y = sol_model(x)

# %%
from labs import show

milliseconds = show.times({"PyTorch": lambda: model(x), "solkit": lambda: sol_model(x)}, runs)
print(f"largest difference: {(model(x) - y).abs().max() / y.abs().max():.0e} of the largest number")
pictures.bars(milliseconds, "solkit", "SqueezeNet, one image")

# %% [markdown]
# **Look at the bars**: the same network, the same weights, the same result but for rounding. What happened is in lab
# 01, how to use it in lab 02.

# %% [markdown]
# ## 4. A taste of Frovedis
#
# Frovedis' idea: leave your program as it is, and change the import. What follows would be scikit-learn with
# `from sklearn.cluster import KMeans`. Here it runs in this process; the same lines can run on many.

# %%
import numpy as np

from frovedis_lite.mllib.cluster import KMeans

middles = np.repeat([[0, 0], [9, 0], [0, 9]], 1000, axis=0)
points = middles + np.random.default_rng(seed).normal(size=(3000, 2))
kmeans = KMeans(n_clusters=3, random_state=seed).fit(points)
print(kmeans.cluster_centers_.round(1) + 0.0)  # + 0.0 makes -0 a 0

# %% [markdown]
# **Look at the rows**: the points were scattered around (0, 0), (9, 0) and (0, 9), and there are the three centres, in
# some order.

# %% [markdown]
# ## 5. The map

# %%
pictures.Map()

# %% [markdown]
# Each lab runs by itself, so you may begin where you like; the numbers are an order that makes sense. *Core* is what
# belongs to the workshop, *optional* what is there for the curious. The folder `solutions` has every notebook with
# its exercises filled in.
#
# ## What you have seen
#
# - Cells run with <kbd>Shift</kbd>+<kbd>Enter</kbd>; an exercise is a blank, a check, three hints and a solution.
# - Two libraries do their work on this machine: solkit, after SOL, and frovedis_lite, after Frovedis.
#
# **Further reading.** The workshop's own account of SOL is in *SOL: Effortless Device Support for AI Frameworks without
# Source Code Changes*, arXiv 2003.10688. Frovedis is at github.com/frovedis/frovedis.
