"""Trees grown level by level on all ranks (B. Panda et al.: PLANET, VLDB 2009).

Every rank has the histograms of the nodes of a level for its own rows; their sums are known to all, so all find the
same splits, and each parts its own rows. On several ranks, nodes with few rows move to one rank each, which finishes
them alone (`moving.py`).
"""

from dataclasses import dataclass, fields

import numpy as np

from frovedis_lite import native
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.trees.binning import Bins
from frovedis_lite.mllib.trees.kernels import Forest, NodeList, Size, SplitList, call, pointer
from frovedis_lite.mllib.trees.targets import Targets

SMALL_ROWS = 2048  # a node with fewer, on one rank, has its histograms made and scanned in one go
HISTOGRAM_BYTES = 1 << 27
MOVED_ROWS = 4096  # on several ranks, a node with no more is finished by one of them


@dataclass
class Rules:
    """When to split: scikit-learn's parameters, fractions of rows and features as whole numbers."""

    max_depth: int
    min_samples_split: int
    min_samples_leaf: int
    max_features: int
    min_impurity_decrease: float = 0.0
    min_weight_fraction_leaf: float = 0.0


@dataclass
class Frontier:
    """Nodes of a level, each array [nodes]: where a node's local rows are, and what is known of all its rows."""

    tree: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    seed: np.ndarray
    total: np.ndarray
    square: np.ndarray
    least: np.ndarray
    most: np.ndarray
    depth: np.ndarray
    whole: np.ndarray  # the weight of the tree's root
    slot: np.ndarray  # of the parent's histogram among those kept, or -1

    def pick(self, index: np.ndarray) -> "Frontier":
        """Some of them."""
        return Frontier(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.tree)


@dataclass
class Grown:
    """Nodes of several trees, parents before children; each array [nodes].

    Attributes:
        feature: -1 for a leaf.
        bin, next: the last bin on the left, the first one with rows on the right.
        left, right: numbers of nodes here, -1 for a leaf.
        total: [nodes, channels], sums as in `Targets`.
    """

    tree: np.ndarray
    depth: np.ndarray
    feature: np.ndarray
    bin: np.ndarray
    next: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    total: np.ndarray
    impurity: np.ndarray


def grow(
    comm: Communicator,
    bins: Bins,
    targets: Targets,
    rules: Rules,
    orders: list[np.ndarray],
    seeds: np.ndarray,
) -> Grown:
    """Trees for the local rows `orders[t]` of each, with all the other ranks.

    Args:
        orders: int32 row numbers, for each tree.
        seeds: uint64, the same on all ranks.
    """
    from frovedis_lite.mllib.trees.moving import finish

    ends = np.cumsum([len(rows) for rows in orders])
    begins = np.concatenate([[0], ends[:-1]])
    work = Work(comm, bins, targets, rules, np.concatenate(orders).astype(np.int32))
    frontier = work.roots(np.arange(len(orders)), begins, ends, np.asarray(seeds, np.uint64))
    grown, apart, rows_apart = levels(work, frontier)
    return finish(work, grown, apart, rows_apart) if comm.size > 1 else grown


def levels(work: "Work", frontier: Frontier) -> tuple[Grown, np.ndarray, Frontier]:
    """Split until nothing is left to split.

    Returns:
        The nodes; the numbers of those left alone because they have few rows, and what is known of them.
    """
    rules, targets = work.rules, work.targets
    small = MOVED_ROWS if work.comm.size > 1 else 0
    made: list[Grown] = []
    apart, apart_nodes = [np.empty(0, np.int64)], [frontier.pick(np.empty(0, np.int64))]
    count = 0
    while len(frontier):
        nodes = _leaves(frontier, targets)
        rows = targets.rows(frontier.total)
        least = max(rules.min_samples_split, 2 * rules.min_samples_leaf)
        may = (frontier.depth < rules.max_depth) & (rows >= least)
        may &= ~targets.are_pure(frontier.total, frontier.least, frontier.most)
        moved = np.flatnonzero(may & (rows <= small))
        apart.append(count + moved)
        apart_nodes.append(frontier.pick(moved))
        may[moved] = False
        ask = np.flatnonzero(may)
        asked = frontier.pick(ask)
        splits = work.best_splits(frontier, ask, asked)
        found = splits.feature >= 0
        if rules.min_impurity_decrease > 0:
            decrease = work.decreases(asked, splits) / asked.whole
            found &= decrease + np.finfo(np.float64).eps >= rules.min_impurity_decrease
        split, splits = ask[found], splits.pick(found)
        for name in ("feature", "bin", "next", "missing_left"):
            getattr(nodes, name)[split] = getattr(splits, name)
        count += len(frontier)
        nodes.left[split] = count + 2 * np.arange(len(split))
        nodes.right[split] = nodes.left[split] + 1
        made.append(nodes)
        frontier = work.children(frontier.pick(split), splits, work.slots[split])
    joined = {field.name: np.concatenate([getattr(part, field.name) for part in made]) for field in fields(Grown)}
    left_alone = {
        field.name: np.concatenate([getattr(part, field.name) for part in apart_nodes]) for field in fields(Frontier)
    }
    return Grown(**joined), np.concatenate(apart), Frontier(**left_alone)


def _leaves(frontier: Frontier, targets: Targets) -> Grown:
    def none(dtype: type = np.int32) -> np.ndarray:
        return np.full(len(frontier), -1, dtype)

    impurity = targets.impurities(frontier.total, frontier.square)
    missing_left = np.zeros(len(frontier), np.uint8)
    splits = none(), none(), none(), missing_left, none(np.int64), none(np.int64)
    return Grown(frontier.tree, frontier.depth, *splits, frontier.total, impurity)


@dataclass
class Splits:
    """The best split of each node; feature is -1 where there is none."""

    score: np.ndarray
    feature: np.ndarray
    bin: np.ndarray
    next: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray

    @classmethod
    def none(cls, nodes: int, channels: int) -> "Splits":
        """Room for so many."""
        whole = (np.full(nodes, -1, np.int32) for _ in range(3))
        return cls(np.zeros(nodes), *whole, np.zeros(nodes, np.uint8), np.zeros((nodes, channels), np.int64))

    def pick(self, index: np.ndarray) -> "Splits":
        """Some of them."""
        return Splits(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def put(self, index: np.ndarray, other: "Splits") -> None:
        """Those of some nodes."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(other, field.name)

    def passed(self) -> SplitList:
        """For the kernel."""
        return SplitList(**{field.name: pointer(getattr(self, field.name)) for field in fields(self)})


class Work:
    """The rows of a rank while trees grow on them."""

    def __init__(self, comm: Communicator, bins: Bins, targets: Targets, rules: Rules, order: np.ndarray) -> None:
        self.comm, self.bins, self.targets, self.rules, self.order = comm, bins, targets, rules, order
        self.threads = native.threads()
        self.kept: np.ndarray | None = None  # histograms of the level before
        self.slots = np.empty(0, np.int64)  # of the nodes of this level in `kept`, or -1
        columns, rows = bins.codes.shape
        self.columns = columns
        self.shared = Forest(
            bins=pointer(bins.codes),
            order=pointer(order),
            rows=rows,
            columns=columns,
            bin_count=bins.count,
            classes=targets.classes,
            channels=targets.channels,
            counted=targets.counted,
            entropy=targets.entropy,
            max_features=rules.max_features,
            least_rows=rules.min_samples_leaf,
        )
        for name in ("weight", "moment", "square", "value", "label"):
            setattr(self.shared, name, pointer(getattr(targets, name)))
        for name in ("weight", "moment", "value"):
            array = getattr(targets, name)
            setattr(self.shared, f"{name}_step", rows if array is not None and array.ndim == 2 else 0)

    def roots(self, tree: np.ndarray, begin: np.ndarray, end: np.ndarray, seed: np.ndarray) -> Frontier:
        """The roots of trees, whose rows are these parts of the order."""
        count = len(tree)
        total = np.zeros((count, self.targets.channels), np.int64)
        square, least, most = np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
        columns = (tree.astype(np.int32), begin.astype(np.int64), end.astype(np.int64), seed)
        frontier = Frontier(*columns, total, square, least, most, *([np.zeros(count, np.int64)] * 3))
        sums = (total, square, least, most)
        call("trees_roots", self.shared, self._passed(frontier), *sums, Size(count), self.threads)
        frontier.total = self.comm.allreduce(total)
        self._merge(frontier)
        frontier.whole = self.targets.weights(frontier.total)
        frontier.slot = np.full(count, -1)
        return frontier

    def _merge(self, frontier: Frontier) -> None:
        """Sums of squares and extremes of all ranks."""
        if self.comm.size > 1 and self.targets.label is None:
            frontier.square = self.comm.allreduce(frontier.square)
            frontier.most, high = np.split(
                self.comm.allreduce(np.concatenate([frontier.most, -frontier.least]), "max"), 2
            )
            frontier.least = -high

    def _passed(self, frontier: Frontier) -> NodeList:
        made = NodeList(
            **{name: pointer(getattr(frontier, name)) for name in ("tree", "begin", "end", "seed", "total")}
        )
        least = frontier.whole * (self.rules.min_weight_fraction_leaf * self.targets.weight_scale)
        made.least_weight, made.kept = pointer(least), least
        return made

    def decreases(self, frontier: Frontier, splits: Splits) -> np.ndarray:
        """Weight times the decrease of impurity."""
        total = frontier.total
        if self.targets.label is None:
            merit = total[:, 1].astype(np.float64) ** 2 / total[:, 0]
            return (splits.score - merit) * self.targets.weight_scale / self.targets.moment_scale**2
        sums = total[:, : self.targets.classes].astype(np.float64)
        weight = sums.sum(1)
        if self.targets.entropy:
            merit = (sums * np.log2(np.where(sums > 0, sums / weight[:, None], 1))).sum(1)
        else:
            merit = (sums * sums).sum(1) / weight
        return (splits.score - merit) / self.targets.weight_scale

    def best_splits(self, level: Frontier, ask: np.ndarray, asked: Frontier) -> Splits:
        """The best split of the nodes `ask` of a level, which are `asked`."""
        splits = Splits.none(len(asked), self.targets.channels)
        self.slots = np.full(len(level), -1)
        large = np.ones(len(ask), bool)
        if self.comm.size == 1:
            large = asked.end - asked.begin >= SMALL_ROWS
            few = np.flatnonzero(~large)
            if len(few):
                nodes, found = asked.pick(few), splits.pick(few)
                call(
                    "trees_split_small", self.shared, self._passed(nodes), found.passed(), Size(len(few)), self.threads
                )
                splits.put(few, found)
        many = np.flatnonzero(large)
        slots = min(self.rules.max_features, self.columns)
        budget = max(1, HISTOGRAM_BYTES // (self._histogram_bytes() * slots))
        kept = None
        if len(many) and slots == self.columns and len(many) <= budget:
            kept = self._by_subtraction(level, ask[many])
            self._scan(asked, many, splits, kept)
            self.slots[ask[many]] = np.arange(len(many))
        else:
            self._in_chunks(asked, many, splits, slots, budget)
            # All the features drawn were constant: look at the others.
            self._in_chunks(asked, np.flatnonzero(splits.feature == -2), splits, self.columns, 1)
        self.kept = kept
        return splits

    def _histogram_bytes(self) -> int:
        return 8 * self.bins.count * self.targets.channels

    def _in_chunks(self, asked: Frontier, many: np.ndarray, splits: Splits, slots: int, budget: int) -> None:
        for first in range(0, len(many), budget):
            chunk = many[first : first + budget]
            self._scan(asked, chunk, splits, self._histograms(asked.pick(chunk), slots))

    def _histograms(self, nodes: Frontier, slots: int) -> np.ndarray:
        """[nodes, slots, bins, channels], of all ranks."""
        made = np.empty((len(nodes), slots, self.bins.count, self.targets.channels), np.int64)
        if len(nodes):
            sizes = Size(slots), Size(len(nodes))
            call("trees_histograms", self.shared, self._passed(nodes), made, *sizes, self.threads)
        return self.comm.allreduce(made) if self.comm.size > 1 else made

    def _by_subtraction(self, level: Frontier, many: np.ndarray) -> np.ndarray:
        """Histograms of some nodes of a level: of two siblings the smaller one's is made, and the other's follows."""
        sibling = np.minimum(many ^ 1, len(level) - 1)  # children lie in pairs; roots have no histogram to follow from
        rows = self.targets.rows(level.total)
        follows = level.slot[many] >= 0
        follows[follows] = (rows[many] > rows[sibling])[follows] | ((rows[many] == rows[sibling]) & (many > sibling))[
            follows
        ]
        made = np.union1d(many[~follows], sibling[follows])
        histograms = self._histograms(level.pick(made), self.columns)
        if not follows.any():
            return histograms
        kept = np.empty((len(many), *histograms.shape[1:]), np.int64)
        kept[~follows] = histograms[np.searchsorted(made, many[~follows])]
        of_siblings = histograms[np.searchsorted(made, sibling[follows])]
        kept[follows] = self.kept[level.slot[many[follows]]] - of_siblings
        return kept

    def _scan(self, asked: Frontier, index: np.ndarray, splits: Splits, histograms: np.ndarray) -> None:
        nodes, found = asked.pick(index), splits.pick(index)
        sizes = Size(histograms.shape[1]), Size(len(index))
        call("trees_split_large", self.shared, self._passed(nodes), found.passed(), histograms, *sizes, self.threads)
        splits.put(index, found)

    def children(self, nodes: Frontier, splits: Splits, slots: np.ndarray) -> Frontier:
        """Part the rows of nodes by their splits: the next level, in pairs."""
        count = len(nodes)
        middle = np.empty(count, np.int64)
        square, least, most = np.zeros((count, 2), np.int64), np.zeros((count, 2)), np.zeros((count, 2))
        sums = (middle, square, least, most)
        call("trees_partition", self.shared, self._passed(nodes), splits.passed(), *sums, Size(count), self.threads)
        total = np.stack([splits.left, nodes.total - splits.left], 1).reshape(2 * count, self.targets.channels)
        twice = {name: np.repeat(getattr(nodes, name), 2) for name in ("tree", "whole")}
        made = Frontier(
            begin=np.stack([nodes.begin, middle], 1).ravel(),
            end=np.stack([middle, nodes.end], 1).ravel(),
            seed=_child_seeds(nodes.seed),
            total=total,
            square=square.ravel(),
            least=least.ravel(),
            most=most.ravel(),
            depth=np.repeat(nodes.depth + 1, 2),
            slot=np.repeat(slots, 2),
            **twice,
        )
        self._merge(made)
        return made


def _child_seeds(seed: np.ndarray) -> np.ndarray:
    """Seeds that depend on the way from the root only."""
    made = seed[:, None] + np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], np.uint64)
    made = (made ^ (made >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return (made ^ (made >> np.uint64(29))).ravel()
