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
# # Lab 08: Machine learning with Frovedis, change the import
#
# Frovedis' promise to people who use scikit-learn was: keep your program, change the import, and it runs on a vector
# computer. `frovedis_lite` keeps the promise for processes on your machine. In this lab you take a script through
# that change, look whether its results stay the same, run it on several ranks, and see what the ranks tell each other.
#
# You can afterwards
#
# - take a scikit-learn program to Frovedis, and back,
# - say how much each iteration of an algorithm sends, and on what that depends,
# - read a picture of convergence, and choose a solver by it,
# - say what more ranks are worth before you buy them.
#
# You need Python, and to have seen scikit-learn. Lab 07 explains ranks; what is needed of it is said again here.
#
# | section | time | kind |
# |:---|:---|:---|
# | 1. Change the import | 4 min | core |
# | 2. Four estimators, side by side | 5 min | core |
# | 3. Exercise 08-1: change it yourself | 4 min | core |
# | 4. The same on ranks | 6 min | core |
# | 5. What is sent | 5 min | core |
# | 6. Exercise 08-2: k-means on a rank | 8 min | core |
# | 7. k-means as it moves | 2 min | core |
# | 8. How fast does it converge? | 5 min | core |
# | 9. Exercise 08-3: choose C | 6 min | optional |
# | 10. What are more ranks worth? | 4 min | core |
# | 11. Exercise 08-4: Amdahl's law | 4 min | core |
# | 12. When a rank dies | 3 min | optional |
# | 13. Bad input, files, graphs | 5 min | optional |
# | 14. What Frovedis reached | 2 min | optional |
# | 15. What you have seen | 2 min | core |
#
# The core is about 49 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
ranks = 2  # processes that work together; 1 works, too
runs = 3  # fits that are timed of each estimator
seed = 0  # of all random numbers

# %% [markdown]
# ## 1. Change the import
#
# The data are 1797 handwritten digits, each 8 x 8 pixels, that come with scikit-learn. A model learns from the first
# 1200. The others are held out, to see whether it has learned anything. First with scikit-learn:

# %%
from sklearn.datasets import load_digits

from labs.pictures import lab08

X, y = load_digits(return_X_y=True)
X = X / 16  # from 0 to 1
X_learn, y_learn, X_held, y_held = X[:1200], y[:1200], X[1200:], y[1200:]

# %%
from sklearn.linear_model import LogisticRegression

model = LogisticRegression(max_iter=1000).fit(X_learn, y_learn)
theirs = model.predict(X_held)
print(f"{model.score(X_held, y_held):.2%} of the held-out digits are right")

# %% [markdown]
# And now with frovedis_lite. **Compare the cells**: it is one line.

# %%
from frovedis_lite.mllib.linear_model import LogisticRegression

model = LogisticRegression(max_iter=1000).fit(X_learn, y_learn)
ours = model.predict(X_held)
print(f"{model.score(X_held, y_held):.2%} of the held-out digits are right")
print(f"{(ours == theirs).mean():.1%} of the answers are the same as scikit-learn's")

# %% [markdown]
# Logistic regression makes one function as small as it can, and there is one minimum. So two programs that do it well
# have the same answers, whatever goes on inside. (Once in a while a digit stands just on the border of two classes, and
# the last decimal decides.)

# %% [markdown]
# ## 2. Four estimators, side by side
#
# Logistic regression, k-means, principal components and a random forest: each from both libraries, with the same
# parameters. First the results.

# %%
import warnings

import sklearn.cluster
import sklearn.decomposition
import sklearn.ensemble
import sklearn.linear_model

import frovedis_lite.mllib.cluster
import frovedis_lite.mllib.decomposition
import frovedis_lite.mllib.ensemble
import frovedis_lite.mllib.linear_model


def estimators(library):
    """The same four, from one library or the other."""
    return {
        "LogisticRegression": library.linear_model.LogisticRegression(max_iter=1000),
        "KMeans": library.cluster.KMeans(10, init=X_learn[:10], n_init=1),
        "PCA": library.decomposition.PCA(10, random_state=seed),
        "RandomForestClassifier": library.ensemble.RandomForestClassifier(30, random_state=seed),
    }


def result(model):
    """One number that says how good the model is."""
    if hasattr(model, "inertia_"):
        return f"{model.inertia_:.0f} squared distances"
    if hasattr(model, "explained_variance_ratio_"):
        return f"{model.explained_variance_ratio_.sum():.2%} of the variance"
    return f"{model.score(X_held, y_held):.2%} right"


theirs = estimators(sklearn)
both = {name: (ours, theirs[name]) for name, ours in estimators(frovedis_lite.mllib).items()}
for name, pair in both.items():
    print(f"{name:24}", *(f"{result(model.fit(X_learn, y_learn)):30}" for model in pair))

# %% [markdown]
# **Look at each line**: the first column is frovedis_lite, the second scikit-learn. Three of the four agree to the last
# digit shown. The forests do not: each tree sees rows drawn at random, and the two libraries draw differently. As
# good as each other is all one may ask there.
#
# Now the times.


# %%
def fits(pair):
    return [lambda model=model: model.fit(X_learn, y_learn) for model in pair]


milliseconds = lab08.in_turns({name: fits(pair) for name, pair in both.items()}, runs)
lab08.side_by_side(milliseconds, ("frovedis_lite", "scikit-learn"))

# %% [markdown]
# **Look for the longer bar of each pair.** These data are small and fit into a cache; such times say how well the inner
# loops are written and how much goes on around them, no more. The promise was not to be faster on 1200 digits. It is
# that the same line works when the data are on many processors.

# %% [markdown]
# ## 3. Exercise 08-1: change it yourself (core, 4 min)
#
# Here is another script. **Change what has to be changed, and run it with frovedis_lite.** The answer is the fitted
# pipeline.
#
# ```python
# from sklearn.linear_model import LogisticRegression
# from sklearn.pipeline import make_pipeline
# from sklearn.preprocessing import StandardScaler
#
# pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
# pipeline.fit(X_learn, y_learn)
# ```

# %% tags=["exercise", "ex-08-1"]
pipeline = ...

# %% tags=["solution", "ex-08-1"]
from sklearn.pipeline import make_pipeline  # a pipeline takes whatever has fit and predict

from frovedis_lite.mllib.linear_model import LogisticRegression
from frovedis_lite.mllib.preprocessing import StandardScaler

pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(X_learn, y_learn)

# %%
from labs import lab

ex = lab.exercise("08-1")
ex.check(pipeline)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 4. The same on ranks
#
# One more line, and the model learns on several processes. Each has a part of the rows.

# %%
from frovedis_lite.errors import ServerError
from frovedis_lite.exrpc.server import FrovedisServer
from frovedis_lite.mllib.linear_model import LogisticRegression


def start(count):
    """The ranks, or this process alone where none can be started."""
    FrovedisServer.shut_down()
    try:
        FrovedisServer.initialize(f"mpirun -np {count}")
    except ServerError as reason:  # is there no MPI here?
        print(f"No ranks: {reason}\nThe lab goes on with this one process.\n")
        FrovedisServer.initialize()


alone = LogisticRegression(max_iter=1000).fit(X_learn, y_learn)
time_alone = lab08.in_turns({"": [lambda: alone.fit(X_learn, y_learn)]}, runs)[""][0]

start(ranks)
together = LogisticRegression(max_iter=1000).fit(X_learn, y_learn)
same = (together.predict(X_held) == alone.predict(X_held)).mean()
print(f"{FrovedisServer.getSize()} ranks: {same:.1%} of the answers are those of one process")

# %% [markdown]
# `fit` has sent the rows to the ranks, and forgotten them there when it was done. If you mean to use them more than
# once, leave them there. A matrix of Frovedis' own goes where an array goes:

# %%
from frovedis_lite.matrix.dense import FrovedisRowmajorMatrix

X_there = FrovedisRowmajorMatrix(X_learn)
table = FrovedisServer.display()

# %%
model = LogisticRegression(max_iter=1000)
calls = [lambda: model.fit(X_learn, y_learn), lambda: model.fit(X_there, y_learn)]
sent, stayed = lab08.in_turns({"": calls}, runs)[""]
print(f"one process:                      {time_alone:7.1f} ms")
print(f"ranks, rows sent for each fit:    {sent:7.1f} ms")
print(f"ranks, rows that are there:       {stayed:7.1f} ms")
# for slurm/sweep.sh
lab.record({"one process, ms": time_alone, "ranks, rows sent, ms": sent, "ranks, rows there, ms": stayed})

# %% [markdown]
# **Look at the column "held here"** of the table: each rank holds its rows. Then **look at the times.** With data of
# this size do not expect ranks to pay: each call takes milliseconds to reach other processes, and each
# iteration waits for the slowest rank. Section 10 says from when on they do.

# %% [markdown]
# ## 5. What is sent
#
# How can ranks learn *one* model from rows that none of them has all of? Look at what an iteration needs. For logistic
# regression it is the gradient, a sum over the rows. Each rank adds up its own, the sums are added, and all ranks get
# the result. The MPI call for it is `allreduce`. The rows themselves are never sent.
#
# Count it. The next cell runs in this process, with a communicator that counts what each of several ranks would put
# into such sums. The second fit has every row twice.

# %%
import numpy as np

twice = np.concatenate([X_learn, X_learn]), np.concatenate([y_learn, y_learn])
for name, data in {"1200 rows": (X_learn, y_learn), "2400 rows": twice}.items():
    for kind in ("LogisticRegression", "KMeans"):
        model = estimators(frovedis_lite.mllib)[kind]
        with lab08.counted() as comm:
            model.fit(*data)
        steps = int(np.max(model.n_iter_))
        each = comm.bytes / comm.calls
        sums = f"{comm.calls:3} sums of {each:5.0f} bytes on average"
        print(f"{kind:18} {name}: {steps:3} iterations, {sums}")

# %% [markdown]
# **Compare the lines with 1200 and 2400 rows**: the sums are not larger. For logistic regression a sum has one number
# for each weight and a few more: 10 classes x 65 x 8 bytes. For k-means it has a row for each centroid: 10 x 65
# numbers of 8 bytes, and there are small sums besides, so the average is lower. Twice the data is twice the work for
# each rank, and the same messages. That is why such algorithms can be spread over many processors at all.

# %% [markdown]
# ## 6. Exercise 08-2: k-means on a rank (core, 8 min)
#
# k-means has two steps that alternate. Each row goes to the nearest centroid; then each centroid goes to the mean of
# its rows. A rank knows its own rows only. What does it contribute?
#
# **Write `k_means_sums(rows, centers)`**: `rows` is an array [rows of this rank, columns], `centers` an array
# [centroids, columns]. It gives a pair:
#
# - `sums` [centroids, columns]: for each centroid the sum of the rows that are nearest to it,
# - `counts` [centroids]: how many rows these are.
#
# It is tried on other data, in several pieces, one of which is empty; the results are added up as `allreduce` does.


# %% tags=["exercise", "ex-08-2"]
def k_means_sums(rows, centers): ...


k_means_sums(X_learn[:50], X_learn[:3])


# %% tags=["solution", "ex-08-2"]
def k_means_sums(rows, centers):
    distances = ((rows[:, None] - centers[None]) ** 2).sum(axis=2)  # [rows, centroids], squared
    labels = distances.argmin(axis=1)
    sums = np.zeros(centers.shape)
    np.add.at(sums, labels, rows)  # sums, not means: only sums of ranks can be added
    return sums, np.bincount(labels, minlength=len(centers))


k_means_sums(X_learn[:50], X_learn[:3])[1]


# %%
ex = lab.exercise("08-2")
ex.check(k_means_sums)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-08-2"]
# With that, k-means on ranks is four lines. `map_partitions` of lab 07 gives each rank's contribution:

# %% tags=["solution", "ex-08-2"]
from frovedis_lite.core import scatter

rows_there = scatter(list(X_learn)).as_node_local()
centers = X_learn[:10]
for _ in range(5):
    parts = rows_there.map(lambda rows, now: k_means_sums(np.asarray(rows), now), centers).gather()
    sums, counts = (sum(part) for part in zip(*parts, strict=True))
    centers = sums / counts[:, None]
squares = ((X_learn[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1).sum()
print(f"{len(parts)} contributions in each iteration; after 5 of them {squares:.0f} squared distances")

# %% [markdown]
# ## 7. k-means as it moves
#
# The wines of lab 07 again, with two of their columns: flavanoids to the right, colour upwards, both in standard units.

# %%
from sklearn.datasets import load_wine

wine = load_wine()
columns = [wine.feature_names.index(name) for name in ("flavanoids", "color_intensity")]
points = wine.data[:, columns]
points = (points - points.mean(axis=0)) / points.std(axis=0)
lab08.k_means(points, points[[0, 1, 2]])

# %% [markdown]
# **Move the iteration.** It starts badly on purpose: three centroids close to each other. The first steps are long, the
# last ones short, and when no point changes its cluster nothing moves any more. Large shapes are the centroids, and
# the lines show the way they have come.
#
# (If you see no slider, your viewer cannot show it. `lab08.draw_k_means(points, lab08.moving(points, points[:3]), 5)`
# is the drawing after 5 iterations; show it with `IPython.display.HTML`.)

# %% [markdown]
# ## 8. How fast does it converge?
#
# The parameter `solver` says *how* the minimum is looked for. What is a solver worth? The picture shows how far the
# objective is above its minimum after so many iterations, for data about tumours: 569 rows, 30 columns.

# %%
from sklearn.datasets import load_breast_cancer

FrovedisServer.shut_down()  # from here on in this process

tumours, kind = load_breast_cancer(return_X_y=True)
tumours = (tumours - tumours.mean(axis=0)) / tumours.std(axis=0)
counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30]
above = lab08.convergence(tumours, kind, ["lbfgs", "newton-cg", "sag", "saga"], counts, seed)
lab08.draw_convergence(above, counts)

# %% [markdown]
# The axis counts in powers of ten, so a straight line is an error that shrinks by the same factor in each iteration.
#
# - **sag** and **saga** take a small step for each row. **Look at the first iterations**: they get far while the
#   others have seen all rows once or twice. Then they are slow. For a rough result, that is fine.
# - **lbfgs** begins no better, learns the shape of the function from its own steps, and soon leaves them behind.
# - **newton-cg** knows the shape. It needs few iterations, and each costs several passes over the data.
#
# An iteration is not the same amount of work in each, and on ranks they send differently. `lbfgs`, with little more
# than one sum in an iteration, is the default in both libraries for a reason.

# %% [markdown]
# ## 9. Exercise 08-3: choose C (optional, 6 min)
#
# `C` says how much the model may trust the data: with a small C the weights stay small, with a large one they follow
# each single row. Which is best? Not the one that is best on the rows it has learned. **Cross-validation** learns
# from four fifths of the rows, looks at the last fifth, and does so five times.
#
# The estimators are scikit-learn estimators, so its tools for that, `cross_val_score` and `GridSearchCV` of
# `sklearn.model_selection`, work with frovedis_lite's. **Choose the best of these C**, with 5 folds, for
# `LogisticRegression` on `tumours` and `kind`. The answer is a number (or a fitted `GridSearchCV`).

# %%
candidates = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]

# %% tags=["exercise", "ex-08-3"]
best_C = ...

# %% tags=["solution", "ex-08-3"]
from sklearn.model_selection import cross_val_score

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # with a large C, 100 iterations are not enough
    models = {C: LogisticRegression(C=C) for C in candidates}
    scores = {C: cross_val_score(model, tumours, kind, cv=5).mean() for C, model in models.items()}
best_C = max(scores, key=scores.get)
for C, score in scores.items():
    print(f"C = {C:<8g} {score:.2%}", "<- best" if best_C == C else "")

# %%
ex = lab.exercise("08-3")
ex.check(best_C)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 10. What are more ranks worth?
#
# Not all of a program can be shared out. Let a *fraction* of the work be parallel, and the rest be done by one while
# all others wait. Gene Amdahl wrote in 1967 what follows: with half of the work parallel, a million processors are
# no more than twice as fast.
#
# And the ranks send messages. Adding up over p ranks takes about log2(p) rounds: two and two, then pairs of pairs. This
# widget has both. It is **modelled**, all of it.

# %%
lab08.more_ranks()

# %% [markdown]
# **Set the message to 0**: that is Amdahl's law alone. **Set it to 10, and the work to 50**: now there is a best
# number of ranks, and more of them are slower. That is the case of section 4, with 1200 digits. **Raise the work to
# 1000**, which is more data: the same messages now cost nearly nothing.

# %% [markdown]
# ## 11. Exercise 08-4: Amdahl's law (core, 4 min)
#
# **Write `speed_up(fraction, ranks)`**: how many times as fast a program is on so many ranks, if this fraction of its
# work (0 to 1) is shared out evenly among them, the rest is not, and messages cost nothing.


# %% tags=["exercise", "ex-08-4"]
def speed_up(fraction, ranks): ...


speed_up(0.5, 2)


# %% tags=["solution", "ex-08-4"]
def speed_up(fraction, ranks):
    time = (1 - fraction) + fraction / ranks  # what one rank does in 1
    return 1 / time


speed_up(0.5, 2)


# %%
ex = lab.exercise("08-4")
ex.check(speed_up)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 12. When a rank dies (optional, 3 min)
#
# With many processors, one of them will fail one day. The original Frovedis has no way back from that. Try it here:
# this cell starts ranks and a long fit, and half a second later it kills the last rank, as the operating system does
# when memory is short.

# %%
import os
import signal
import threading

from frovedis_lite.core import make_node_local
from frovedis_lite.mllib.cluster import KMeans

start(ranks)
processes = make_node_local(range(FrovedisServer.getSize())).map(lambda rank: os.getpid()).gather()
if os.getpid() in processes:
    print("There are no other processes here that could be killed.")
else:
    threading.Timer(0.5, os.kill, (processes[-1], signal.SIGKILL)).start()
    try:
        KMeans(30, init="random", n_init=5000, random_state=seed).fit(X)
    except ServerError as error:
        print(type(error).__name__, *str(error).split("; "), sep="\n  ")

# %% [markdown]
# The fit has ended with an error that names the rank, and the other rank has been ended, too. What was on the
# ranks is lost; new ones start as before:

# %%
start(ranks)
print(FrovedisServer.getServerInstance())
model = LogisticRegression(max_iter=1000).fit(X_learn, y_learn)
print(f"{model.score(X_held, y_held):.2%} right")
FrovedisServer.shut_down()

# %% [markdown]
# ## 13. Bad input, files, graphs (optional, 5 min)
#
# **Bad input** gets scikit-learn's own messages, on any number of ranks:

# %%
broken = X_learn.copy()
broken[3, 4] = np.nan
for attempt in (
    lambda: LogisticRegression(C=-1).fit(X_learn, y_learn),
    lambda: LogisticRegression().fit(broken, y_learn),
    lambda: LogisticRegression().fit(X_learn, y_learn[:-1]),
):
    try:
        attempt()
    except ValueError as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}")

# %% [markdown]
# **Files.** `save` writes a model, and `load` reads it. The file holds numbers and names and nothing that runs, so a
# file from somebody else cannot do harm (a pickle can):

# %%
import tempfile
import zipfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.model"
    alone.save(path)
    again = LogisticRegression().load(path)
    print(f"{path.stat().st_size:,} bytes:", *zipfile.ZipFile(path).namelist())
print("the same answers:", (again.predict(X_held) == alone.predict(X_held)).all())

# %% [markdown]
# **Graphs** are there, too, with networkx' names. PageRank asks where somebody is who follows links for ever, at
# random; its inner loop is a sparse product, the one of lab 07. The example is a karate club of 34 members, which
# split after a quarrel between number 0 and number 33:

# %%
try:
    import networkx
except ImportError:
    print("networkx is not installed here")
else:
    from frovedis_lite.graph import pagerank

    club = networkx.karate_club_graph()
    ours, theirs = pagerank(club), networkx.pagerank(club)
    for member in sorted(ours, key=ours.get, reverse=True)[:4]:
        print(f"member {member:2}: {ours[member]:.5f}, networkx {theirs[member]:.5f}")
    crowd = networkx.barabasi_albert_graph(5000, 5, seed=seed)
    calls = [lambda: pagerank(crowd), lambda: networkx.pagerank(crowd)]
    took = lab08.in_turns({"": calls}, runs)[""]
    print(f"5000 members: {took[0]:.1f} ms, networkx {took[1]:.1f} ms, with the graph's conversion")

# %% [markdown]
# ## 14. What Frovedis reached (optional, 2 min)
#
# These figures stood on the slides: how many times as fast as Spark, with sparse data, loading not counted.
#
# | machine | logistic regression | k-means | SVD |
# |:---|---:|---:|---:|
# | Frovedis, Xeon 6126 (one socket) | 10.6 | 8.8 | 5.3 |
# | Frovedis, one Vector Engine 10B | 113.2 | 42.8 | 56.8 |
# | Frovedis, Xeon 6226 (one socket) | 15.6 | 8.7 | 9.5 |
# | Frovedis, one Vector Engine 10BE | 161.7 | 47.3 | 91.6 |
#
# *Published by NEC; not measured here.* The data were 6 GB of clicks (Criteo) for logistic regression, and 10 GB of
# words in Wikipedia's articles for the others. **Look at a pair of lines**: what C++ and MPI gain over Spark on a
# processor like yours is in the first, and what the long vectors and the fast memory add is the ratio to the second.
# `python -m benchmarks.analytics`, in a checkout of these labs, measures frovedis_lite against its peers on your
# machine.

# %% [markdown]
# ## 15. What you have seen
#
# - One line changes, the results stay. Where random numbers are drawn, results are as good and not the same.
# - Ranks share out rows. What they send is sums, as large as the model and not as large as the data.
# - Sums can be added over ranks; means cannot.
# - Solvers differ in how far they get with each pass over the data, and in what they send.
# - More ranks help as long as their work is long, compared with their messages and with what cannot be shared out.
#
# **What was modelled.** Section 10: the speed-up and its messages. Section 5 counted, in one process, what several
# ranks would send. All times are of your machine, where ranks share one memory; on a cluster a message takes longer.
#
# **Further reading**
#
# - G. M. Amdahl, *Validity of the single processor approach to achieving large scale computing capabilities* (1967).
# - J. Nocedal and S. J. Wright, *Numerical Optimization* (2006): L-BFGS and Newton's methods.
# - M. Schmidt, N. Le Roux and F. Bach, *Minimizing finite sums with the stochastic average gradient* (2013): SAG.
# - S. P. Lloyd, *Least squares quantization in PCM* (1982): k-means.
# - `frovedis_lite/mllib/cluster/lloyd.py` in this repository: k-means on ranks, in 40 lines.
