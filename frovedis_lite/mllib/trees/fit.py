"""The function of local rows and a communicator that fits a tree or a forest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.trees.binning import MOST_BINS, Bins, make_bins
from frovedis_lite.mllib.trees.grow import Rules, grow
from frovedis_lite.mllib.trees.prune import by_cost, limit_leaves
from frovedis_lite.mllib.trees.targets import Targets, class_targets, value_targets
from frovedis_lite.mllib.trees.tree import Tree, trees_of

BATCH = 1 << 24  # rows of all trees that grow at the same time
REPEATS = 16  # whole weights up to this mean are taken as numbers of equal rows


@dataclass
class Plan:
    """What to grow.

    Attributes:
        seeds: one for each tree.
        classes: 0 for a regressor.
        draws: rows drawn for each tree, relative to the weights (a float) or a number; None: as many as there are, 0:
            no bootstrap.
        balanced: weigh the classes in each bootstrap sample by how often they are drawn.
        out_of_bag: also find what the trees say of the rows they have not seen.
    """

    seeds: np.ndarray
    rules: Rules
    classes: int = 0
    entropy: bool = False
    max_leaf_nodes: int | None = None
    ccp_alpha: float = 0.0
    max_bins: int = MOST_BINS
    draws: int | float | None = 0
    balanced: bool = False
    out_of_bag: bool = False


@dataclass
class Fitted:
    """Trees; and the sums [rows of all ranks, outputs] of what those say that have not seen a row, with how many."""

    trees: list[Tree]
    sums: np.ndarray | None = None
    votes: np.ndarray | None = None


def fit_trees(comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, plan: Plan) -> Fitted:
    """Trees for local rows.

    Args:
        X: [rows, columns] array or CSR.
        y: [rows], numbers of classes, or values.
        weights: [rows] float64, or None.
    """
    X = single(X)
    bins = make_bins(comm, X, weights, plan.max_bins)
    rows = bins.codes.shape[1]
    most = comm.allreduce(rows, "max")
    step = max(1, BATCH // max(most, 1)) if plan.draws != 0 else 1
    draw = Bootstrap(comm, bins, y, weights, plan.draws) if plan.draws != 0 else None
    made = Fitted([])
    if plan.out_of_bag:
        made.sums, made.votes = np.zeros((rows, max(plan.classes, 1))), np.zeros(rows)
    with progress("growing trees", total=len(plan.seeds)) as report:
        for first in range(0, len(plan.seeds), step):
            seeds = plan.seeds[first : first + step]
            counts = draw.counts(seeds) if draw is not None else None
            targets = _targets(comm, y, weights if draw is None else _weighted(comm, y, counts, plan), plan)
            if draw is None:
                seen = np.arange(rows) if weights is None else np.flatnonzero(weights > 0)
                orders = [seen] * len(seeds)
            else:
                orders = [np.flatnonzero(drawn) for drawn in counts]
            grown = grow(comm, bins, targets, plan.rules, orders, np.asarray(seeds, np.uint64))
            trees = [pruned(tree, plan) for tree in trees_of(grown, bins, targets)]
            made.trees += trees
            if plan.out_of_bag:
                for tree, drawn in zip(trees, counts, strict=True):
                    unseen = drawn == 0
                    made.sums[unseen] += tree.value[tree.place(bins)[unseen], 0]
                    made.votes += unseen
            report(len(made.trees))
    if plan.out_of_bag:
        made.sums, made.votes = (np.concatenate(comm.allgather(part)) for part in (made.sums, made.votes))
    return made


def single(X: Any) -> Any:
    """Rows as float32, as in scikit-learn's trees."""
    return X.astype(np.float32, copy=False) if sparse.issparse(X) else np.ascontiguousarray(X, np.float32)


def pruned(tree: Tree, plan: Plan) -> Tree:
    """The tree without what the plan does not want."""
    if plan.max_leaf_nodes is not None:
        tree = limit_leaves(tree, plan.max_leaf_nodes)
    return by_cost(tree, plan.ccp_alpha) if plan.ccp_alpha > 0 else tree


def _targets(comm: Communicator, y: np.ndarray, weights: np.ndarray | None, plan: Plan) -> Targets:
    if plan.classes:
        return class_targets(comm, y, plan.classes, weights, plan.entropy)
    return value_targets(comm, y, weights)


def _weighted(comm: Communicator, y: np.ndarray, counts: np.ndarray, plan: Plan) -> np.ndarray:
    """Weights [trees, rows] of drawn rows."""
    if not plan.balanced:
        return counts.astype(np.float64)
    seen = np.stack([np.bincount(y, drawn, plan.classes) for drawn in counts])
    seen = comm.allreduce(seen)
    present = np.maximum((seen > 0).sum(1, keepdims=True), 1)
    factors = seen.sum(1, keepdims=True) / (present * np.maximum(seen, 1))
    return counts * factors[:, y]


class Bootstrap:
    """Rows drawn with replacement, with probabilities as the weights (B. Efron, Annals of Statistics 7, 1979).

    Rows are drawn by their places in an order that depends on what is in them. So a forest depends neither on the order
    of the rows nor on the number of ranks, and a weight of two is the same as a row that is there twice.
    """

    def __init__(
        self, comm: Communicator, bins: Bins, y: np.ndarray, weights: np.ndarray | None, draws: int | float | None
    ) -> None:
        rows = bins.codes.shape[1]
        self.first = comm.exscan(rows)
        self.rows = rows
        self.all_rows = comm.allreduce(rows)
        self.order = np.argsort(np.concatenate(comm.allgather(_keys(bins, y))), kind="stable")
        self.cumulated, self.repeated = None, None
        total: float = self.all_rows
        if weights is not None:
            weights = np.concatenate(comm.allgather(weights))[self.order]
            total = float(weights.sum())
            if np.all(weights == np.rint(weights)) and total <= REPEATS * self.all_rows:
                self.repeated = np.repeat(self.order, weights.astype(np.int64))
            else:
                self.cumulated = np.cumsum(weights)
        if draws is None:
            self.draws = self.all_rows if self.repeated is None else len(self.repeated)
        else:
            self.draws = draws if isinstance(draws, int) else max(int(draws * total), 1)

    def counts(self, seeds: np.ndarray) -> np.ndarray:
        """How often each local row was drawn for each tree: [trees, rows] int32."""
        made = np.empty((len(seeds), self.rows), np.int32)
        for tree, seed in enumerate(seeds):
            random = np.random.RandomState(int(seed))
            if self.cumulated is not None:
                at = np.searchsorted(self.cumulated, random.random_sample(self.draws) * self.cumulated[-1], "right")
                drawn = self.order[np.minimum(at, self.all_rows - 1)]
            else:
                places = self.order if self.repeated is None else self.repeated
                drawn = places[random.randint(0, len(places), self.draws)]
            made[tree] = np.bincount(drawn, minlength=self.all_rows)[self.first : self.first + self.rows]
        return made


def _keys(bins: Bins, y: np.ndarray) -> np.ndarray:
    """A number for each row that is the same for equal rows."""
    key = np.ascontiguousarray(y, np.float64).view(np.uint64).copy()
    for codes in bins.codes:
        key ^= codes
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
