"""The function of local rows and a communicator that boosts trees (J. Friedman: Stochastic Gradient Boosting,
Computational Statistics and Data Analysis 38, 2002)."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.trees.binning import Bins, make_bins
from frovedis_lite.mllib.trees.fit import Plan, pruned, single
from frovedis_lite.mllib.trees.grow import grow
from frovedis_lite.mllib.trees.losses import loss_of
from frovedis_lite.mllib.trees.robust import QuantileLoss
from frovedis_lite.mllib.trees.targets import value_targets
from frovedis_lite.mllib.trees.tree import Tree, add_up, trees_of

EXACT = 52  # bits of a sum that float64 keeps


@dataclass
class BoostPlan:
    """What to boost.

    Attributes:
        plan: of the trees; its seeds are one for each further stage.
        start: the raw prediction before all trees, [outputs]; None: the best constant.
        trees: those there are already, stage by stage.
        patience: stages without progress on the rows held out before it ends; None: it does not end early.
    """

    plan: Plan
    loss: str
    learning_rate: float
    subsample: float = 1.0
    start: np.ndarray | None = None
    trees: list[Tree] = field(default_factory=list)
    patience: int | None = None
    tol: float = 0.0
    alpha: float = 0.9


@dataclass
class Boosted:
    """What came of it. Scores are mean losses after each further stage: of the rows in the stage's trees, of the others
    (with a subsample; the first element is before all stages)."""

    start: np.ndarray
    trees: list[Tree]
    scores: list[float]
    unseen_scores: list[float]


def boost(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    held_out: np.ndarray | None,
    offsets: np.ndarray | None,
    todo: BoostPlan,
) -> Boosted:
    """Boost trees on local rows.

    Args:
        y: [rows], values, or numbers of classes.
        held_out: [rows], rows that only say when to end.
        offsets: [rows, outputs], raw predictions of another model to begin with.
    """
    X, y = single(X), np.asarray(y, np.float64)
    rows = X.shape[0]
    given = np.ones(rows) if weights is None else weights
    learn = given if held_out is None else np.where(held_out, 0, given)
    plan, loss = todo.plan, loss_of(todo.loss, todo.plan.classes, todo.alpha)
    bins = make_bins(comm, X, learn, plan.max_bins)
    start = todo.start
    if start is None and isinstance(loss, QuantileLoss):
        start = loss.start(comm, y, learn, weights is not None)
    elif start is None:
        start = _constant(comm, y, learn, plan.classes, loss)
    raw = np.tile(np.asarray(start, np.float64), (rows, 1))
    if offsets is not None:
        raw += offsets
    if todo.trees:
        values = np.concatenate([tree.value[:, 0, 0] for tree in todo.trees])
        add_up(todo.trees, X, todo.learning_rate * values, raw, loss.outputs)
    made = Boosted(start, [], [], [])
    first, total = comm.exscan(rows), comm.allreduce(rows)
    history: list[float] = []
    with progress("gradient boosting", total=len(plan.seeds)) as step:
        for seed in plan.seeds:
            random = np.random.RandomState(int(seed))
            seen = learn > 0
            if todo.subsample < 1:
                drawn = random.permutation(total)[: max(1, int(todo.subsample * total))]
                chosen = np.zeros(total, bool)
                chosen[drawn] = True
                unseen = seen & ~chosen[first : first + rows]
                seen = seen & chosen[first : first + rows]
                if not made.trees:
                    made.unseen_scores.append(_mean_loss(comm, loss, y, raw, given * unseen))
            if isinstance(loss, QuantileLoss):
                loss.prepare(comm, y, raw, learn)
            seeds = random.randint(np.iinfo(np.int32).max, size=loss.outputs)
            trees = _stage(comm, X, bins, y, raw, weights is not None, given * seen, seeds, loss, todo)
            made.trees += trees
            made.scores.append(_mean_loss(comm, loss, y, raw, given * seen))
            if todo.subsample < 1:
                made.unseen_scores.append(_mean_loss(comm, loss, y, raw, given * unseen))
            step(len(made.scores))
            if todo.patience is not None:
                score = _mean_loss(comm, loss, y, raw, given * held_out)
                if len(history) >= todo.patience and not score + todo.tol < max(history):
                    break
                if len(history) >= todo.patience:  # takes the place of the one from so many stages ago
                    history[(len(made.scores) - 1) % todo.patience] = score
                else:
                    history.append(score)
    return made


def _stage(
    comm: Communicator,
    X: Any,
    bins: Bins,
    y: np.ndarray,
    raw: np.ndarray,
    weighted: bool,
    weights: np.ndarray,
    seeds: np.ndarray,
    loss: Any,
    todo: BoostPlan,
) -> list[Tree]:
    """One tree for each output; `raw` is brought up to date."""
    slope, curvature = loss.gradient(y, raw)
    seen = np.flatnonzero(weights > 0)
    targets = value_targets(comm, slope, weights if weighted else None, centre=False)
    grown = grow(comm, bins, targets, todo.plan.rules, [seen] * len(slope), np.asarray(seeds, np.uint64))
    trees = []
    for k, tree in enumerate(trees_of(grown, bins, targets)):
        tree = pruned(tree, todo.plan)
        leaves = tree.place(bins) if sparse.issparse(X) else tree.apply(X)
        if isinstance(loss, QuantileLoss):
            value = loss.leaf_values(comm, y, raw[:, k], weights, leaves, tree.node_count)
            tree = replace(tree, value=value[:, None, None])
        elif curvature is not None:
            value = _newton_step(comm, tree, leaves, curvature[k] * weights) * loss.factor
            tree = replace(tree, value=value[:, None, None])
        raw[:, k] += todo.learning_rate * tree.value[leaves, 0, 0]
        trees.append(tree)
    return trees


def _newton_step(comm: Communicator, tree: Tree, leaves: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Sum of gradients by sum of curvatures, in each leaf.

    The curvatures are rounded so that no sum of them is: it is the same in any order.
    """
    largest = comm.allreduce(float(curvature.max(initial=0)), "max") * comm.allreduce(len(curvature))
    scale = 2.0 ** (EXACT - np.ceil(np.log2(largest))) if largest > 0 else 1.0
    sums = np.bincount(leaves, np.rint(curvature * scale), tree.node_count)
    sums = comm.allreduce(sums) / scale
    slopes = tree.value[:, 0, 0] * tree.weighted_n_node_samples
    flat = np.abs(sums) < 1e-150
    return np.where(flat, 0.0, slopes / np.where(flat, 1.0, sums))


def _constant(comm: Communicator, y: np.ndarray, weights: np.ndarray, classes: int, loss: Any) -> np.ndarray:
    if classes:
        sums = np.bincount(y.astype(np.int64), weights, classes)
    else:
        sums = np.array([(y * weights).sum(), weights.sum()])
    sums = comm.allreduce(sums)
    return loss.constant(sums / sums.sum() if classes else sums[:1] / sums[1])


def _mean_loss(comm: Communicator, loss: Any, y: np.ndarray, raw: np.ndarray, weights: np.ndarray) -> float:
    sums = comm.allreduce(np.array([(loss.of_rows(y, raw) * weights).sum(), weights.sum()]))
    return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0
