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
# # Lab 06: Long vectors, how a vector processor thinks
#
# NEC's Vector Engine computes with vectors of 256 numbers, where your own processor has 4 to 16. In this lab you see
# what such an instruction does, what it needs to be fast, and what stands in its way: short loops, slow memory. You
# draw the roofline of your own machine, and step through real machine code of the Vector Engine.
#
# You can afterwards
#
# - say how many instructions and cycles a loop takes on a vector processor,
# - choose the loop that fills its registers,
# - tell from FLOP and bytes what a kernel waits for,
# - read the innermost loop of a vector kernel.
#
# You need Python and a little NumPy. Lab 01 helps and is not needed. No Vector Engine is needed, either: what is
# measured here is measured on your machine, what is known of the Vector Engine is **published** by NEC, and what is
# only calculated is called **modelled**.
#
# | section | time | kind |
# |:---|:---|:---|
# | 1. One loop, three kinds of processor | 3 min | core |
# | 2. Inside a vector instruction | 3 min | core |
# | 3. A loop in strips, and what a start costs | 6 min | core |
# | 4. Exercise 06-1: how many cycles? | 6 min | core |
# | 5. Which loop lies along the vector? | 3 min | core |
# | 6. Exercise 06-2: choose the loop | 6 min | optional |
# | 7. The roofline, measured | 6 min | core |
# | 8. Exercise 06-3: what does the roof allow? | 4 min | core |
# | 9. Read the code of a Vector Engine | 6 min | core |
# | 10. Exercise 06-4: count what one trip does | 5 min | core |
# | 11. Exercise 06-5: an `if` becomes a mask | 12 min | optional |
# | 12. Near, far, and in no order | 4 min | optional |
# | 13. What you have seen | 2 min | core |
#
# The core is about 44 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
runs = 5  # calls that are timed, in each block
seed = 0  # of all random numbers
threads = None  # None: as many as PyTorch uses here
megabytes = 64  # of a large array: more than a cache holds

# %% [markdown]
# ## 1. One loop, three kinds of processor
#
# Here is a loop that every numerical program has somewhere. It is called AXPY: `a` times `x` plus `y`.
#
# ```c
# for (i = 0; i < n; i++)
#     y[i] = a * x[i] + y[i];
# ```
#
# - A **scalar** processor goes round once for each element.
# - A **SIMD** processor has registers with a few places, 4 to 16 floats, and computes with all of them in one cycle.
#   How many there are is a property of the instruction: with wider registers come new instructions, and the program is
#   compiled again.
# - A **vector** processor has long registers, and another register that says how many places an instruction is to use:
#   the *vector length*. An instruction runs for several cycles. The Vector Engine has 64 registers of 256 places.
#
# How often does each go round for 1000 elements?

# %%
from labs.pictures import lab06

for name, places in lab06.MACHINES.items():
    print(f"{name:28}{len(lab06.strips(1000, places)):5} trips")

# %% [markdown]
# **Look at the last line.** Four trips: for 1000 elements a vector processor fetches and decodes a few dozen
# instructions, where a scalar one does thousands. What is left of the loop itself (add 1, compare, jump) weighs
# nothing. That is the first half of the idea.

# %% [markdown]
# ## 2. Inside a vector instruction
#
# The second half is what happens in the meantime. The arithmetic unit is not 256 wide: it has 32 *lanes*, so one
# instruction over 256 elements takes 8 cycles. Here is the register that it fills. Each row has 32 places, one for each
# lane.

# %%
lab06.registers()

# %% [markdown]
# **Move the cycle** from 0 to 8: one row for each cycle. A slider also moves with the arrow keys. (If you see no
# sliders, your viewer cannot show them. Use `lab06.draw_register(cycle=4, length=169, lanes=32)` with
# `IPython.display.HTML` instead.)
#
# **Set the vector length to 169.** The instruction ends after 6 cycles: a shorter vector takes less time. What the
# vector length leaves out is not computed. Then try 161 and 160: the last cycle is paid in full, however few lanes
# have work in it.
#
# **Then try 1, 8 or 64 lanes.** The program stays the same, only the time changes. So a maker can build a small
# machine and a large one that run the same code, and that is why the length of a register and the number of lanes are
# two different things. A core of the Vector Engine has three such units for multiply-adds. They work side by side.

# %% [markdown]
# ## 3. A loop in strips, and what a start costs
#
# A loop over more elements than a register has places is cut into strips of 256. This is called *strip mining*. The
# last strip, the *tail*, is shorter, unless n is a multiple of 256.

# %%
lab06.strip_mining()

# %% [markdown]
# **Look at the saw teeth.** Just behind each multiple of the length a new trip begins, for a single element. **Take n
# from 256 to 257**: the use of the places falls to one half. With 16 places (choose AVX-512) the teeth are small, and
# gone beyond a few hundred elements. A long register wants long loops, or loops that fit.
#
# For a SIMD processor a tail is trouble of another kind: it needs a second loop, or masks. The Vector Engine only sets
# its vector length to what is left, and you have seen that its instruction then ends earlier.
#
# So is a short vector for free? No, because of the start. An instruction is fetched, reads its first operands, and
# sends them through a pipe of several stages before the first result comes out. Roger Hockney made a law of this, when
# vector computers were young: n elements take *start + n / rate*, so the speed is
#
# $$ r(n) = r_\infty \frac{n}{n + n_{1/2}}, \qquad n_{1/2} = \text{start} \times \text{rate} $$
#
# where $r_\infty$ is the full speed, and $n_{1/2}$ ("n half") the length at which half of it is reached.

# %%
lab06.start_up()

# %% [markdown]
# The curves are **modelled**, and the start-up is yours to choose: we have no published number for it. A real machine
# starts one instruction while another is still running, which hides a part of it.
#
# **Look at the two curves.** With the same start-up, the machine with 32 lanes needs eight times longer vectors than
# the one with 4 to reach half of its speed. Not because it is slow, but because it is fast: the work is over before
# the start is paid off. Short vectors starve a long-vector machine.
#
# The law holds in more places than in processors. Think of a NumPy call as a vector instruction with a very long
# start: Python looks up the function, checks types and shapes, and only then the loop begins. Measure it:

# %%
from labs.pictures import lab06_figures, lab06_measure

times = lab06_measure.lengths([1, 4, 16, 64, 256, 1024, 2048, 4096, 8192, 16384])
lab06_figures.speed_by_length(times, *lab06_measure.hockney(times))

# %% [markdown]
# **Look for n half** on your machine: usually some thousand elements. A program that calls NumPy for arrays of ten
# numbers spends all of its time in starts. The cure is the same as on a Vector Engine: fewer calls, longer vectors.

# %% [markdown]
# ## 4. Exercise 06-1: how many cycles? (core, 6 min)
#
# Put both together, for a loop with one vector instruction in it. The model:
#
# - registers of 256 places, 32 lanes;
# - n elements in strips of 256, and a tail with what is left, if anything is;
# - each instruction takes `start` cycles, and then one cycle for every 32 elements or part of 32.
#
# So 1000 elements take 3 instructions of start + 8 cycles, and one of start + 8 for the 232 of the tail.
#
# **Write the function `cycles(n, start)`.** It is tried with other numbers, too. `math.ceil` rounds up.

# %%
import math


# %% tags=["exercise", "ex-06-1"]
def cycles(n, start): ...


cycles(1000, 10)  # 3 * (10 + 8) + (10 + 8) = 72


# %% tags=["solution", "ex-06-1"]
def cycles(n, start):
    full, tail = divmod(n, 256)  # full instructions, and the elements left over
    count = full * (start + 8)
    if tail:  # without a tail there is no instruction, and no start, for it
        count += start + math.ceil(tail / 32)  # a part of a row is a cycle, too
    return count


cycles(1000, 10)


# %%
from labs import lab

ex = lab.exercise("06-1")
ex.check(cycles)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 5. Which loop lies along the vector?
#
# In numerical programs there is seldom one loop. The example of the 2020 workshop, which is the model of lab 01,
# computes a result of 1000 channels with 13 x 13 pixels each. ReLU has to visit all of these 169,000 numbers. Three
# loops are around it (channels, rows, columns), and any of them may lie along the vector. So may two together: the
# pixels of a channel lie one behind the other in memory, 169 of them.

# %%
lab06.which_loop()

# %% [markdown]
# **Look at the first row of the table.** The loop over the columns of an image is what one writes without thinking,
# and with 13 of 256 places used it is a disaster. All pixels of a channel together fill 169 places, and that is what
# SOL did on the slides: channels to the cores, 169 pixels along the vector. A local array of 169 floats held what had
# been a tensor in memory. And a third of the places unused is not a third of the time: by section 2 a vector of 169
# takes 6 cycles, and one of 256 takes 8.
#
# The 1000 channels fill the registers better still, so solkit puts channels along the vector, on every machine.
# **Choose other layers and other machines.** For a photograph with its 3 channels it must be the pixels. With
# 16 places nearly everything is good; with 256 one has to choose.

# %% [markdown]
# ## 6. Exercise 06-2: choose the loop (optional, 6 min)
#
# An array has a shape, for example (1000, 13, 13). One of its axes is laid along the vector. Each run of that loop is
# cut into strips of `length` places by itself, and the other loops are around it.
#
# **Write `best_axis(shape, length)`**: it gives the position of the axis (0 is the first) with which the whole array
# takes the fewest instructions. If two axes are equally good, either will do. Beware: it is not always the longest.


# %% tags=["exercise", "ex-06-2"]
def best_axis(shape, length): ...


best_axis((1000, 13, 13), 256)


# %% tags=["solution", "ex-06-2"]
def best_axis(shape, length):
    def fill(axis):  # the fuller the registers, the fewer instructions
        n = shape[axis]
        return n / (length * math.ceil(n / length))

    return max(range(len(shape)), key=fill)


best_axis((1000, 13, 13), 256)


# %%
ex = lab.exercise("06-2")
ex.check(best_axis)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 7. The roofline, measured
#
# Full registers are of no use when the numbers for them do not arrive. A machine has two limits: what it can compute
# in a second, and what memory can bring in a second. Which of the two a kernel meets depends on its *arithmetic
# intensity*, the FLOP (floating-point operations) it does for each byte it moves.
#
# First measure your machine. For arithmetic: many independent multiply-adds on registers, two FLOP each. For memory:
# `a[i] = b[i] + s * c[i]` over three large arrays, 12 bytes for each element, which is the *triad* of the STREAM
# benchmark.

# %%
import numpy as np
import torch

torch.manual_seed(seed)
torch.set_grad_enabled(False)  # this lab runs models and trains none
if threads:
    torch.set_num_threads(threads)

here = lab06_measure.peak(torch.get_num_threads(), megabytes)
for machine in (here, lab06_figures.VE_10B):
    limits = f"{machine.gflops:6.0f} GFLOP/s {machine.gbytes:6.0f} GB/s"
    print(f"{machine.name:30} {limits} {machine.ridge:6.1f} FLOP/byte")
lab.record({"arithmetic, GFLOP/s": here.gflops, "memory, GB/s": here.gbytes})  # for slurm/sweep.sh

# %% [markdown]
# **Look at the last column**: the intensity at which both limits meet, called the *ridge*. The Vector Engine can do
# 3.5 FLOP for each byte that its memory brings. That is little for so fast a machine: its memory is the fast part.
#
# Now four kernels. Each has its FLOP and its bytes, counted by hand: what has to be read, and what has to be written,
# once. The best of a few calls counts, as it did for the roofs.

# %%
import scipy.sparse

import solkit as sol
from labs.zoo import deck3

many = megabytes << 18
numbers, room = torch.randn(many), torch.empty(many)

random = np.random.default_rng(seed)
size, each = megabytes << 13, 16  # a sparse matrix of 16 numbers in each row, anywhere
places = random.integers(size, size=size * each, dtype=np.int32)
begins = np.arange(0, size * each + 1, each, dtype=np.int32)
values = np.ones(size * each, np.float32)
sparse = scipy.sparse.csr_matrix((values, places, begins), shape=(size, size))
vector = np.ones(size, np.float32)

image = torch.randn(1, 512, 13, 13)
fused = sol.optimize(deck3(), image)  # the fused kernel of lab 01

square = torch.randn(1024, 1024)

numbers_of_conv = 512 * 169 + 512 * 1000 + 2000  # input, weights, bias and result
kernels = {  # FLOP, bytes, the call
    "ReLU": (many, 8 * many, lambda: torch.clamp_min(numbers, 0, out=room)),
    "sparse matrix x vector": (2 * sparse.nnz, 8 * sparse.nnz + 12 * size, lambda: sparse @ vector),
    "Conv + ReLU + pool": (2 * 512 * 1000 * 169, 4 * numbers_of_conv, lambda: fused(image)),
    "matrix product": (2 * 1024**3, 3 * 4 * 1024**2, lambda: square @ square),
}
seconds = lab06_measure.best({name: call for name, (_, _, call) in kernels.items()}, runs)
points = []
for name, (flop, moved, _) in kernels.items():
    points.append(lab06_figures.Point(name, flop / moved, flop / seconds[name] / 1e9))
lab06_figures.roofline(here, points)

# %% [markdown]
# **Look at the two roofs.** Each rises where memory is the limit and is flat where arithmetic is. A kernel stands at
# its intensity, and cannot stand above its roof. The lines and squares of the Vector Engine are **modelled** from the
# published figures; nothing was run there. The dots are yours. (Are all of them far below your roof? Then other
# programs want the processor: the roofs are measured in short moments, the kernels take longer. Close what you can, and
# run the cell again.)
#
# **Look at the left half.** ReLU and the sparse product are limited by memory on both machines, and there a Vector
# Engine is ahead by the ratio of the memories, not of the arithmetic. It is what such machines are built for. (The
# sparse product runs on one thread here, and reads its vector in no order; section 12 shows what that costs. A fair
# part of a roof is what one may hope for.)
#
# **Look at the right half.** The convolution with all that was fused into it, and the matrix product, are limited by
# arithmetic. To fuse ReLU into a convolution is to move it from the left end of this picture to the right.
#
# The dotted line is the Vector Engine with one float32 in each of its 64-bit places, as solkit's code has it. The full
# 4.3 TFLOP/s need two floats packed into each place: a register then holds 512.

# %% [markdown]
# ## 8. Exercise 06-3: what does the roof allow? (core, 4 min)
#
# **Write `attainable(intensity, peak, bandwidth)`**: the GFLOP/s that a machine allows to a kernel with so many FLOP
# per byte. The peak is in GFLOP/s, the bandwidth in GB/s.


# %% tags=["exercise", "ex-06-3"]
def attainable(intensity, peak, bandwidth): ...


attainable(1, 4300, 1220)


# %% tags=["solution", "ex-06-3"]
def attainable(intensity, peak, bandwidth):
    return min(peak, intensity * bandwidth)  # what arithmetic allows, what memory allows


attainable(1, 4300, 1220)


# %%
ex = lab.exercise("06-3")
ex.check(attainable)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-06-3"]
# The four kernels, by this function: for ReLU the Vector Engine's roof is at 152 GFLOP/s, 4 % of its peak. For the
# fused kernel it is the peak itself.

# %% tags=["solution", "ex-06-3"]
for point in points:
    ours = attainable(point.intensity, here.gflops, here.gbytes)
    theirs = attainable(point.intensity, 4300, 1220)
    print(f"{point.name:24}{point.intensity:7.2f} FLOP/byte: {ours:5.0f} GFLOP/s, {theirs:5.0f} there")

# %% [markdown]
# ## 9. Read the code of a Vector Engine
#
# The compiler that comes with these labs makes code for the Vector Engine, too. Here is AXPY, written for vectors. A
# `vf` is a register, `VLEN` says how many places it has, 256; `vf_load_n` loads the first `here` of them, and
# `vf_axpy(s, a, b)` is `s * a + b`.

# %%
from labs import show
from labs.pictures import lab06_engine

show.code(lab06_engine.AXPY.strip())

# %% [markdown]
# And here is what becomes of it, compiled just now. A few lines of Python carry it out one instruction at a time, so
# that you can see what is in the registers. `x` holds 0, 1, 2 and so on, `y` holds 1000 everywhere, and `s` is 2.

# %%
lab06_engine.stepper()

# %% [markdown]
# Names with `%s` are scalar registers, and hold one number each. Names with `%v` are vector registers. The first
# operand of most instructions is where the result goes. The triangle marks what was carried out last.
#
# **Follow one trip**, from the label in the middle on:
#
# - `mins.l` finds out how many elements are left, at most 256, and `lvl` makes that the vector length.
# - `vldu` loads a vector, of `x` and of `y`. The 4 is the distance from one float to the next, in bytes.
# - `vfmad.s` is all of the arithmetic: 256 multiplications and additions.
# - `vstu` stores the result. Then four `lea` move on by 256 elements, which are 1024 bytes, and `brlt.l` jumps back.
#
# **Step through the third trip.** The vector length is 88 for loads and for the store, so nothing behind the end of an
# array is touched. `vf_axpy` always works on all 256 places, and what it computes in the others is thrown away. That is
# simple; it is not the fastest: with a vector length of 88 it would take 3 cycles on 32 lanes, not 8.
#
# **Read the last line.** When a program has run on a Vector Engine, its tool PROGINF prints this average under the name
# *A. V. Length*. A program with a small number there has short loops along its vectors, and that is the first thing
# to mend. **Set n to 20** to see a bad one.

# %% [markdown]
# ## 10. Exercise 06-4: count what one trip does (core, 5 min)
#
# AXPY has one multiply-add for every two loads. A matrix product can do better: what is loaded once can be used for
# several rows. This is a small piece of such a kernel:

# %%
show.code(lab06_engine.ROWS.strip())

# %% [markdown]
# This is its innermost loop on the Vector Engine. `ldu`, without a `v` in front, loads one float into a scalar
# register.

# %%
show.code(show.inner_loop(lab06_engine.assembly(lab06_engine.ROWS)), language="text")

# %% [markdown]
# **How many multiply-adds does one trip do, and how many bytes does it load?** Count a multiply-add of two floats and
# a third as one. The answer is a pair: (multiply-adds, bytes).

# %% tags=["exercise", "ex-06-4"]
trip = ...

# %% tags=["solution", "ex-06-4"]
multiply_adds = 4 * 256  # four vfmad, each on a whole register
loaded = 4 * (256 + 4 * 1)  # bytes: one vldu of 256 floats, four ldu of one float
trip = (multiply_adds, loaded)

# %%
ex = lab.exercise("06-4")
ex.check(trip)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-06-4"]
# That is 2048 FLOP for 1040 bytes, about 2 FLOP per byte, where AXPY has 2 FLOP for 12 bytes. With more rows it
# grows further: solkit takes 7 rows and 4 vectors at a time, 28 registers of sums out of 64.

# %% [markdown]
# ## 11. Exercise 06-5: an `if` becomes a mask (optional, 12 min)
#
# All places of a register do the same. So what about `if`? Take ReLU, which is "if x is less than 0, then 0, else x".
# Without an instruction for it, a vector processor computes both, and lets a *mask* choose: one bit for each place. The
# Vector Engine has 16 mask registers. Here is ReLU with a mask, as `vec.h` writes it, because that way it says what
# happens to NaN, on every machine alike:

# %%
show.code(show.inner_loop(lab06_engine.assembly(lab06_engine.RELU_MASK)), language="text")

# %% [markdown]
# **Look at the three lines in the middle**: `vfcmp` compares, `vfmk` makes the mask `%vm1` of it, and `vmrg` merges,
# taking each place from one register or from the other. And this is ReLU with the instruction that finds the larger
# of two numbers:

# %%
show.code(show.inner_loop(lab06_engine.assembly(lab06_engine.RELU_MAX)), language="text")

# %% [markdown]
# One instruction instead of three. In a fused kernel that makes little difference. And by itself ReLU waits for
# memory either way: you have seen it on the roofline.
#
# NumPy is a vector machine with masks, too: `np.where(mask, a, b)` is its merge. Here is HardSwish, an activation
# function of MobileNet v3, as a loop with two `if`s:


# %%
def hard_swish_loop(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        if x[i] <= -3:
            y[i] = 0
        elif x[i] >= 3:
            y[i] = x[i]
        else:
            y[i] = x[i] * (x[i] + 3) / 6
    return y


hard_swish_loop(np.array([-4, -1, 0, 1, 4], np.float32))

# %% [markdown]
# **Write `hard_swish(x)` without a loop.** It is tried on arrays of other lengths, and the steps that Python takes are
# counted: there must not be more of them for a longer array.


# %% tags=["exercise", "ex-06-5"]
def hard_swish(x): ...


hard_swish(np.array([-4, -1, 0, 1, 4], np.float32))


# %% tags=["solution", "ex-06-5"]
def hard_swish(x):
    middle = x * (x + 3) / 6  # computed for all elements, also where it is not wanted
    return np.where(x <= -3, 0, np.where(x >= 3, x, middle))


hard_swish(np.array([-4, -1, 0, 1, 4], np.float32))


# %%
ex = lab.exercise("06-5")
ex.check(hard_swish)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-06-5"]
# How much faster is it? Both on 10,000 numbers:

# %% tags=["solution", "ex-06-5"]
some = random.uniform(-6, 6, 10_000).astype(np.float32)
both = show.times({"loop": lambda: hard_swish_loop(some), "masks": lambda: hard_swish(some)}, 2)
print(f"loop {both['loop']:.2f} ms, masks {both['masks']:.3f} ms")

# %% [markdown]
# ## 12. Near, far, and in no order (optional, 4 min)
#
# The roofline takes memory as it is at its best: numbers one behind the other. Often they are not. A column of a
# matrix has a *stride*: from one number to the next it is a whole row. A sparse matrix names places in no order, and
# to collect what stands there is called *gather*. Here is what one number costs on your machine:

# %%
ns = lab06_measure.strides([1, 2, 4, 8, 16, 32, 64, 256, 1024], megabytes, seed)
lab06_figures.time_by_stride(ns)

# %% [markdown]
# **Look at the second line of the labels.** Memory is read in *cache lines*, of 64 bytes on most machines (128 on
# some). With stride 2 half of each line is read for nothing, with stride 16 all but one number of it. From there on
# every number has a line of its own. What more it costs depends on how well the processor guesses which line is wanted
# next: it is best at lines that follow each other, as with stride 16, and with 32 it may fetch lines in vain. In no
# order there is nothing to guess, and it has to wait.
#
# **On the Vector Engine** (published, not measured here) a line of the last cache has 128 bytes, 32 floats, so a long
# stride wastes twice as much. Against that stand a cache of 16 MB that brings 3 TB/s to the cores, memory at 1.22 TB/s,
# and instructions that wait well: the stride is an operand of `vldu`, the 4 in `vldu %v0, 4, %s2`, and `vgt`
# and `vsc` gather and scatter 256 elements at once. While one number is on its way, so are the others of its vector.
# That is why Frovedis, the subject of the later labs, stores sparse matrices in ways that make long vectors of them.

# %% [markdown]
# ## 13. What you have seen
#
# - A vector instruction names a whole array. The vector length says how many elements; the lanes say how fast.
# - A loop is cut into strips. Its tail costs little; its starts cost more. A fast machine needs long vectors most.
# - Which loop lies along the vector is a choice, and it decides.
# - FLOP per byte tell what a kernel waits for. Fusion moves work from under the slope of the roof to under its flat
#   part.
# - The machine code is a dozen lines, and can be read.
#
# **What was modelled.** The start-up is a number of your choice, and a real core overlaps loads, arithmetic and
# starts; the pictures of sections 2 and 3 show one instruction at a time. The Vector Engine's roofline is NEC's data
# sheet, not a measurement.
#
# **Further reading**
#
# - R. W. Hockney and C. R. Jesshope, *Parallel Computers* (1981): start-up, rate, and n half.
# - S. Williams, A. Waterman and D. Patterson, *Roofline: an insightful visual performance model for multicore
#   architectures* (2009).
# - J. L. Hennessy and D. A. Patterson, *Computer Architecture: A Quantitative Approach*: the chapter on vectors, lanes
#   and strip mining.
# - `kernels/compute/vec.h` in this repository: all that these labs know of the Vector Engine's instructions.
