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
# # Lab 07: Frovedis, distributed vectors and matrices
#
# Frovedis is NEC's framework for data analytics on the vector computer SX-Aurora TSUBASA, the second subject of the
# 2020 workshop. `frovedis_lite`, which comes with these labs, is a small one with the same names. In this lab you
# start several processes, lay vectors and matrices across them, and see which of the processes has what. Then you look
# at the formats in which a sparse matrix becomes long loops.
#
# You can afterwards
#
# - write a program with `scatter`, `map`, `reduce` and `gather`, and say which of these send data,
# - choose a function that may be used to reduce, and one that may not,
# - say why dense matrices are dealt out in blocks,
# - choose a sparse format for a vector machine, and say what it costs.
#
# You need Python and a little NumPy. Lab 06 explains long vectors; what is needed of it is said again here.
#
# | section | time | kind |
# |:---|:---|:---|
# | 1. Two ways to do many things at once | 2 min | core |
# | 2. Start the ranks | 3 min | core |
# | 3. Scatter, map, reduce, gather | 5 min | core |
# | 4. Exercise 07-1: which rank has row i? | 5 min | core |
# | 5. Where a function runs | 5 min | core |
# | 6. Things that meet by their key | 4 min | core |
# | 7. Exercise 07-2: a mean by key | 8 min | core |
# | 8. When something goes wrong | 3 min | core |
# | 9. Dense matrices: rows, columns, blocks | 5 min | optional |
# | 10. Solve, and singular values | 4 min | optional |
# | 11. Sparse matrices for long vectors | 5 min | core |
# | 12. Exercise 07-3: bytes of CRS and ELL | 5 min | core |
# | 13. A large matrix: measured, and modelled | 4 min | core |
# | 14. Exercise 07-4: a product with jagged diagonals | 10 min | optional |
# | 15. What you have seen | 2 min | core |
#
# The core is about 51 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
ranks = 2  # processes that work together; 1 works, too
rows = 8_000  # of the large sparse matrix
runs = 5  # calls that are timed, in each block
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. Two ways to do many things at once
#
# A **vector** processor does one instruction on many numbers. A **scalar** one does it on one number, or on a few. That
# is parallel work *inside* a processor, and lab 06 is about it.
#
# The other way is to have many processors, or many of their cores, and to give each its own part of the data. **SPMD**,
# *single program, multiple data*, means: all run the same program, each on its own part. They are called **ranks**,
# have the numbers 0, 1, 2, ..., and what one wants to know from another is sent as a message, by MPI.
#
# Frovedis does both: ranks, and on each of them vectors. And it hides the ranks. You write a program that looks as if
# there was one processor; where it says `map`, all ranks work.

# %% [markdown]
# ## 2. Start the ranks
#
# One line starts them. It is the same line as in Frovedis, with the command that starts an MPI program:

# %%
from frovedis_lite.errors import FrovedisError, ServerError
from frovedis_lite.exrpc.server import FrovedisServer

FrovedisServer.shut_down()  # if this cell ran before; else it does nothing
try:
    FrovedisServer.initialize(f"mpirun -np {ranks}")
except ServerError as reason:  # is there no MPI here?
    print(f"No ranks: {reason}\nThe lab goes on with this one process as the only rank.\n")
    FrovedisServer.initialize()
table = FrovedisServer.display()

# %% [markdown]
# **Look at the column "process".** Each rank is a program of its own, beside the one that runs this notebook. The
# notebook holds only *handles*: names for data that lie on the ranks. That is how Frovedis' Python client works, too.
#
# (Does it say "No ranks"? Then there is no MPI on this machine. `pip install "aurora-labs[mpi]"` brings it. All that
# follows works without it, with this process as rank 0 and the only one.)

# %% [markdown]
# ## 3. Scatter, map, reduce, gather
#
# This is the first example of Frovedis' slides. `scatter` makes a distributed vector, a `dvector`:

# %%
from frovedis_lite.core import scatter

numbers = scatter([1, 2, 3, 4, 5, 6, 7, 8])
doubled = numbers.map(lambda x: 2 * x)
print("the handle:", doubled)
print("gathered:  ", doubled.gather())
print("reduced:   ", doubled.reduce(lambda x, y: x + y))

# %% [markdown]
# - **scatter** shares out the elements, in order: each rank gets neighbours.
# - **map** calls a function for each element, on the rank that has it. The result stays there.
# - **reduce** combines all to one value. Each rank combines its own first.
# - **gather** brings all elements back to the notebook.
#
# Here is who has what. Move the sliders and choose the steps, one after the other.

# %%
from labs.pictures import lab07

lab07.partitions()

# %% [markdown]
# **Choose 10 elements and 3 ranks**: they cannot all have as many. Then 2 elements and 3 ranks: a rank may have
# nothing, and the program does not mind. **Choose filter**, then *filter, then align*. (If you see no sliders, your
# viewer cannot show them. Use `lab07.draw_partitions(elements=10, ranks=3, step="filter")` with
# `IPython.display.HTML`.)
#
# Which of these steps send data from rank to rank? Only `align` moves elements. `reduce` sends one number for each
# rank, however long the vector is. `map` and `filter` send nothing, and that is what makes a distributed program fast.

# %%
large = doubled.filter(lambda x: x > 8)
print("on each rank:", doubled.sizes())
print("filtered:    ", large.sizes())
print("aligned:     ", large.align().sizes())
print("sorted:      ", scatter([3, 1, 2]).sort(reverse=True).gather())
print("zipped:      ", scatter(["a", "b"]).zip(scatter([1, 2])).gather())

# %% [markdown]
# ## 4. Exercise 07-1: which rank has row i? (core, 5 min)
#
# With n elements, or rows of a matrix, on p ranks, rank r has the rows
#
#     from   n * r // p       up to, and without,       n * (r + 1) // p
#
# where `//` divides and rounds down. With n = 10 and p = 3 that is 0 to 2, 3 to 5, and 6 to 9.
#
# **Write `owner(i, n, p)`**: the number of the rank that has row i. It is tried with other numbers, too.


# %% tags=["exercise", "ex-07-1"]
def owner(i, n, p): ...


owner(5, 10, 3)


# %% tags=["solution", "ex-07-1"]
def owner(i, n, p):
    # The one rank whose piece has row i in it. Without a loop: ((i + 1) * p - 1) // n.
    return next(rank for rank in range(p) if n * rank // p <= i < n * (rank + 1) // p)


owner(5, 10, 3)


# %%
from labs import lab

ex = lab.exercise("07-1")
ex.check(owner)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 5. Where a function runs
#
# A function that you give to `map` is sent to the ranks and runs there. Let it tell. `map_partitions` hands a function
# all that a rank has, at once:

# %%
import os


def look(part):
    print(f"process {os.getpid()} has {part}")
    return [sum(part)]


sums = numbers.map_partitions(look)
print("sums:", sums.gather(), "in the notebook, which is process", os.getpid())

# %% [markdown]
# **Look at "rank 0:" and "rank 1:"**, if you have several ranks. That is what each rank printed; the server collects
# it for you. The process numbers are those of section 2.
#
# What if a function needs a table? `broadcast` puts one object on every rank, which is then an argument of the
# function. `make_node_local` puts a different one on each. Both are called *node local*.

# %%
from frovedis_lite.core import broadcast, make_node_local

prices = broadcast({"apple": 10, "grape": 30})
basket = scatter(["grape", "apple", "grape", "apple", "apple"])
print(basket.map(lambda fruit, price: price[fruit], prices).gather())

mine = make_node_local(range(FrovedisServer.getSize()))  # on rank r the number r
print(basket.map(lambda fruit, rank: f"{fruit} on rank {rank}", mine).gather())

# %% [markdown]
# A call of Python for each element is slow. A vector of numbers is a NumPy array on each rank, and a function that
# takes the whole array at once uses the processor's vectors. `mapv` is `map` for such a function:

# %%
import numpy as np

from labs import show

many = scatter(np.arange(30_000.0))
calls = {
    "map": lambda: many.map(lambda x: x * x + 1),
    "mapv": lambda: many.mapv(lambda x: x * x + 1),
}
both = show.times(calls, 1)
print(f"30,000 elements: map {both['map']:.1f} ms, mapv {both['mapv']:.1f} ms")

# %% [markdown]
# **Look at the ratio.** Ranks *and* vectors: that is the whole of Frovedis in one line. (A call also costs a few
# milliseconds to reach other processes; with small data that is all you would measure.)

# %% [markdown]
# ## 6. Things that meet by their key
#
# Count words. Two equal words may be on different ranks, and somebody has to add them up. `reduce_by_key` takes pairs
# of a key and a value, and sends each pair to a rank that follows from its key, by a *hash*: a number made of the
# key's bits. So equal keys meet.

# %%
lab07.word_count()

# %% [markdown]
# **Move step from 0 to 3.** **Look at step 1**: before anything is sent, each rank adds up what it has. With long texts
# and few different words that saves nearly all of the sending. It works because one may add in any grouping. Now the
# same with a real text, the description of a data set that comes with scikit-learn:

# %%
from sklearn.datasets import load_wine

lines = scatter(load_wine().DESCR.splitlines())
pairs = lines.flat_map(str.split).map(lambda word: (word.lower(), 1))
counts = pairs.reduce_by_key(lambda x, y: x + y)
print(len(counts), "different words; most of all:")
print(counts.as_dvector().sort(key=lambda pair: pair[1], reverse=True).first(6))
print("wine:", counts["wine"])

# %% [markdown]
# `counts` is a `dunordered_map`: a dictionary whose keys lie on the ranks.

# %% [markdown]
# ## 7. Exercise 07-2: a mean by key (core, 8 min)
#
# The wines of that data set come from three growers. Here is each wine's grower and its alcohol, in percent, as a
# vector of pairs:

# %%
wine = load_wine()
alcohol = scatter(list(zip(wine.target.tolist(), wine.data[:, 0].tolist(), strict=True)))
print(alcohol.first(3), "...", len(alcohol), "pairs")

# %% [markdown]
# **Write `mean_by_key(pairs)`**: it gets such a `dvector`, and gives a dictionary (or a `dunordered_map`) with the mean
# of each key's values.
#
# You have `map`, `reduce_by_key(f)`, `group_by_key()`, `count_by_key()` and, of what these give, `map_values(f)` and
# `gather()`. Beware: the function of `reduce_by_key` must be *associative*, f(f(a, b), c) = f(a, f(b, c)), because
# nobody knows which values a rank has already combined.


# %% tags=["exercise", "ex-07-2"]
def mean_by_key(pairs): ...


mean_by_key(alcohol)


# %% tags=["solution", "ex-07-2"]
def mean_by_key(pairs):
    def add(one, other):  # sums and counts can be added in any grouping; means cannot
        return one[0] + other[0], one[1] + other[1]

    with_ones = pairs.map(lambda pair: (pair[0], (pair[1], 1)))
    totals = with_ones.reduce_by_key(add)
    return totals.map_values(lambda total: total[0] / total[1]).gather()


mean_by_key(alcohol)


# %%
ex = lab.exercise("07-2")
ex.check(mean_by_key)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-07-2"]
# `group_by_key().map_values(lambda values: sum(values) / len(values))` is right, too, and sends every single value to
# another rank. The solution sends one pair for each key and rank.

# %% [markdown]
# ## 8. When something goes wrong
#
# Programs have mistakes, and on many ranks they are harder to find. An exception on a rank comes back with its type,
# and with the line of your program where it was raised:


# %%
def reciprocal(x):
    return 1 / (x - 3)


try:
    numbers.map(reciprocal)
except ZeroDivisionError as error:
    print(f"{type(error).__name__}: {error}")
    print(*lab07.told_by_ranks(error), sep="\n")
print("and the ranks still work:", numbers.sum())

# %% [markdown]
# Without `try`, the whole traceback is shown. **Put 7 in place of 3**: with two ranks it is now rank 1 that fails, and
# the text says so.
#
# All ranks are told that one of them has failed, so none waits for ever for a message that does not come: in MPI
# programs that is what usually happens then.
#
# When a server is shut down, its data are gone. A handle that is left over says so:

# %%
FrovedisServer.shut_down()
print("is there a server?", FrovedisServer.isUP())
try:
    numbers.sum()
except FrovedisError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# From here on this notebook works without ranks of its own. With no server everything runs in this process, and
# every line is the same. What follows is about what one rank does with its part.

# %% [markdown]
# ## 9. Dense matrices: rows, columns, blocks (optional, 5 min)
#
# A dense matrix can be cut in three ways. Each number in this picture is the rank that has the element.

# %%
lab07.layouts()

# %% [markdown]
# - **Row-major**: each rank has some rows. Data tables come like this: a row is a wine, a rank has some of the wines.
# - **Column-major**: each rank has some columns.
# - **Block-cyclic**: small blocks are dealt out like cards, over a grid of ranks. (2 x 2 in the picture, 64 x 64 in the
#   library.)
#
# **Now solve a system of equations**, by elimination: it does away with the first row and column, then the second,
# and works on what is left. **Move the slider "done" to 6**, in each layout. With rows in one piece, half of the
# ranks are out of work by then. **Choose block-cyclic**: all of them have work until nearly the end. ScaLAPACK stores
# its matrices that way, and so does Frovedis.

# %% [markdown]
# ## 10. Solve, and singular values (optional, 4 min)
#
# The names are NumPy's:

# %%
from frovedis_lite import linalg
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix

random = np.random.default_rng(seed)
A, b = random.standard_normal((300, 300)), random.standard_normal(300)
matrix = FrovedisBlockcyclicMatrix(A)
x = linalg.solve(matrix, b)
print(matrix)
print(f"largest error of A x = b: {np.abs(A @ x - b).max():.0e}")
assert np.allclose(A @ x, b)

# %% [markdown]
# The singular value decomposition writes a matrix as a sum of simple ones, the most important first. A grey photograph
# is a matrix, too:

# %%
from sklearn.datasets import load_sample_image

grey = load_sample_image("china.jpg").mean(axis=2)[::2, ::2] / 255  # [214, 320], 0 to 1
U, s, Vh = linalg.svd(grey)
lab07.few_values(U, s, Vh)

# %% [markdown]
# **Move k.** With 10 values you see what it is, with 50 you see the branches. Analytics lives on this: most of a large
# table is often said by a few numbers. Lab 08 does the same with data, and calls it PCA.

# %% [markdown]
# ## 11. Sparse matrices for long vectors
#
# Most large matrices are nearly empty. A table of texts and words has a number for each pair of them, and nearly all
# are zero. So only the others are stored, each with its column, and there are several ways to do it.
#
# What matters to a vector machine is the *inner loop*: it wants it long. The Vector Engine's registers have 256 places.
# In the picture a line is one inner loop of the product of matrix and vector.

# %%
from labs.pictures import lab07_sparse

lab07_sparse.sparse_formats()

# %% [markdown]
# **Go through the formats**, from top to bottom:
#
# - **CRS** (compressed row storage; SciPy calls it CSR): row by row. Most rows are short, so the loops are.
# - **CCS**: the same by columns.
# - **ELL**: the first elements of all rows, then the second elements, and so on. The loops are as long as there are
#   rows. But one long row makes all others as long: **look at the crosses**, which are stored and computed with.
#   **Choose the matrix with even rows**: there ELL is perfect.
# - **JDS**, jagged diagonals: sort the rows by their length first. Then the rows that have a d-th element are at the
#   top, and nothing needs to be filled up. The first loops are long; the last ones are short again, when a
#   row is far longer than the rest.
# - **Hybrid**: the long diagonals as JDS, the rest of the long rows as CRS. It is Frovedis' own answer, for the
#   matrices with a *heavy tail* that analytics is full of: a few words are in all texts, a few pages have most of
#   the links.

# %% [markdown]
# ## 12. Exercise 07-3: bytes of CRS and ELL (core, 5 min)
#
# A value has 8 bytes, a column 4. An element is a value and its column.
#
# - **CRS** has all elements, and where each row begins: n + 1 numbers of 4 bytes for n rows.
# - **ELL** has as many elements for each row as the longest row has, and each row's length: n numbers of 4 bytes.
#
# **Write `sparse_bytes(lengths)`**, which gets the numbers of elements of the rows, and gives a pair: (bytes of CRS,
# bytes of ELL).


# %% tags=["exercise", "ex-07-3"]
def sparse_bytes(lengths): ...


sparse_bytes([3, 1, 2])


# %% tags=["solution", "ex-07-3"]
def sparse_bytes(lengths):
    n = len(lengths)
    crs = (8 + 4) * sum(lengths) + 4 * (n + 1)
    ell = (8 + 4) * max(lengths) * n + 4 * n  # padding has a value and a column, too
    return crs, ell


sparse_bytes([3, 1, 2])


# %%
ex = lab.exercise("07-3")
ex.check(sparse_bytes)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 13. A large matrix: measured, and modelled
#
# Now a matrix with a heavy tail: most rows have a handful of elements, a few have very many.

# %%
large = lab07_sparse.heavy_tailed(rows, seed)
lengths = np.diff(large.indptr)
print(f"{large.shape[0]:,} rows, {large.nnz:,} elements")
print(f"half of the rows have {np.median(lengths):.0f} or fewer, the longest has {lengths.max():,}\n")
lab07_sparse.table(large)

# %% [markdown]
# **Look at the last column**: how many elements a vector instruction works on, if registers have 256 places. CRS fills
# them to a few places. ELL fills them nearly to the end, and almost all of it is padding. JDS and the hybrid have
# neither fault to that degree.
#
# `vector length` is counted, not measured. What does it come to? On the left, the product on your own machine. On the
# right, lab 06's model of the Vector Engine: an instruction takes `start` cycles, and one for each 32 elements.

# %%
times = lab07_sparse.measure(large, runs)
lab.record({f"{name}, ms": time for name, time in times.items()})  # for slurm/sweep.sh
lab07_sparse.compare(large, times, start=10)

# %% [markdown]
# **Look at CRS on both sides.** Here, where registers have 4 to 16 places, it is not far from the best. On the Vector
# Engine its short loops would pay a start for a handful of elements each. The model leaves out memory, where the
# vector `x` is read in no order; it is a count of instructions and no more.
#
# **Change `start`** to 0 and to 30 and run the cell again. The longer the start, the more a format is worth
# that makes long vectors.
#
# All four give the same result:

# %%
ones = np.ones(large.shape[1])
for name, dot in lab07_sparse.in_formats(large).items():
    assert np.allclose(dot(ones), large @ ones), name
print("all formats agree with SciPy")

# %% [markdown]
# As matrices on ranks they are `FrovedisCRSMatrix`, `FrovedisELLMatrix`, `FrovedisJDSMatrix` and so on, each rank with
# its rows in that format:

# %%
from frovedis_lite.matrix.crs import FrovedisCRSMatrix

on_ranks = FrovedisCRSMatrix(large)
jagged = on_ranks.to_jds()
print(jagged, "has", jagged.nnz, "elements")
assert np.allclose(jagged.dot(ones), large @ ones)

# %% [markdown]
# ## 14. Exercise 07-4: a product with jagged diagonals (optional, 10 min)
#
# Here are the arrays of a small matrix in JDS:

# %%
from frovedis_lite.matrix.formats import JDS

small = lab07_sparse.small("one long row")
jds = JDS.from_csr(small)
print("order: ", jds.order.tolist())
print("starts:", jds.starts.tolist())
print("index: ", jds.index.tolist())
print("value: ", jds.value.astype(int).tolist())

# %% [markdown]
# - `order`: the rows by falling length. Row 2 is the longest, and comes first.
# - `starts`: diagonal d lies in `index` and `value` from `starts[d]` up to, and without, `starts[d + 1]`.
# - A diagonal of m elements has one of each of the first m rows in `order`.
# - `index`: their columns.
#
# **Write `jds_times(order, starts, index, value, x)`**: the product with the vector x, as a NumPy array with one number
# for each row. Loop over the diagonals, and let NumPy do a whole diagonal at once. The steps of Python are counted:
# there must not be more of them for more rows.


# %% tags=["exercise", "ex-07-4"]
def jds_times(order, starts, index, value, x): ...


jds_times(jds.order, jds.starts, jds.index, jds.value, np.ones(8))


# %% tags=["solution", "ex-07-4"]
def jds_times(order, starts, index, value, x):
    y = np.zeros(len(order))
    for d in range(len(starts) - 1):
        first, last = starts[d], starts[d + 1]
        rows_here = order[: last - first]  # each row once, so += is safe
        # A gather, a multiplication and an addition, for the whole diagonal.
        y[rows_here] += value[first:last] * x[index[first:last]]
    return y


jds_times(jds.order, jds.starts, jds.index, jds.value, np.ones(8))


# %%
ex = lab.exercise("07-4")
ex.check(jds_times)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 15. What you have seen
#
# - Ranks are processes with a part of the data each. The program looks as if there was one.
# - `map` and `filter` send nothing. `reduce` sends one value for each rank, `reduce_by_key` what is left after each
#   rank has combined its own. What is reduced by has to be associative.
# - A matrix is cut as its algorithm wants it: rows for tables, blocks for elimination.
# - A sparse format is a choice of inner loops. CRS suits short registers, ELL even rows, JDS and the hybrid long
#   registers and heavy tails.
#
# **What was modelled.** The cycles of the Vector Engine count starts and lanes, and no memory. The start-up is a number
# of your choice. Times beside them are of your machine.
#
# **Not here:** Frovedis is a C++ framework, with Python and Spark in front. This one is Python with its inner loops in
# C, so that one can read it. DataFrames are a subject of their own.
#
# **Further reading**
#
# - Frovedis: github.com/frovedis/frovedis, with a tutorial of its C++ core.
# - Y. Saad, *Krylov subspace methods on supercomputers* (SIAM J. Sci. Stat. Comput. 10, 1989): jagged diagonals.
# - L. S. Blackford and others, *ScaLAPACK Users' Guide* (SIAM 1997), chapter 4: block-cyclic matrices.
# - J. Dean and S. Ghemawat, *MapReduce: simplified data processing on large clusters* (2004).
# - `frovedis_lite/core/vector.py` and `frovedis_lite/matrix/formats.py` in this repository.
