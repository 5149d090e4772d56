"""A tree as flat arrays, numbered as scikit-learn does: a node, all that hangs on its left, all on its right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite import native
from frovedis_lite.mllib.files import savable
from frovedis_lite.mllib.trees.binning import Bins
from frovedis_lite.mllib.trees.grow import Grown
from frovedis_lite.mllib.trees.kernels import NODE, Size, call
from frovedis_lite.mllib.trees.targets import Targets

LEAF, UNDEFINED = -1, -2
BLOCK = 1 << 22  # numbers of a dense block of a sparse matrix


@savable
@dataclass
class Tree:
    """The attributes of scikit-learn's `tree_`, each [nodes].

    Attributes:
        value: [nodes, 1, outputs], the shares of the classes or the mean.
        bins: the last bin on the left, for the rows of the fit.
    """

    n_features: int
    children_left: np.ndarray
    children_right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_go_to_left: np.ndarray
    impurity: np.ndarray
    n_node_samples: np.ndarray
    weighted_n_node_samples: np.ndarray
    value: np.ndarray
    bins: np.ndarray
    depth: np.ndarray

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self.feature)

    @property
    def n_leaves(self) -> int:
        """How many of them are leaves."""
        return int((self.children_left == LEAF).sum())

    @property
    def max_depth(self) -> int:
        """The number of splits on the longest way."""
        return int(self.depth.max())

    def packed(self) -> np.ndarray:
        """Nodes as the kernels for prediction take them."""
        made = np.empty(self.node_count, NODE)
        leaf = self.children_left == LEAF
        made["threshold"], made["feature"] = self.threshold, np.where(leaf, 0, self.feature)
        for name, side in (("left", self.children_left), ("right", self.children_right)):
            made[name] = np.where(leaf, np.arange(self.node_count), side)
        made["missing_left"] = self.missing_go_to_left
        return made

    def apply(self, X: Any) -> np.ndarray:
        """The leaf of each row of X, float32 or CSR: [rows] int64."""
        return apply([self], X)[:, 0].astype(np.int64)

    def predict(self, X: Any) -> np.ndarray:
        """The value of each row's leaf: [rows, outputs]."""
        return self.value[self.apply(X), 0]

    def decision_path(self, X: Any) -> sparse.csr_matrix:
        """Which nodes each row passes: [rows, nodes], ones."""
        return self._ways()[self.apply(X)]

    def _ways(self) -> sparse.csr_matrix:
        """The nodes above each node, and itself."""
        above: list[list[int]] = [[0]]
        parent = np.zeros(self.node_count, np.int64)
        inner = np.flatnonzero(self.children_left != LEAF)
        parent[self.children_left[inner]] = parent[self.children_right[inner]] = inner
        for node in range(1, self.node_count):
            above.append([*above[parent[node]], node])
        lengths = np.cumsum([0, *map(len, above)])
        columns = np.concatenate(above).astype(np.int64)
        shape = (self.node_count, self.node_count)
        return sparse.csr_matrix((np.ones(len(columns), np.int64), columns, lengths), shape)

    def place(self, bins: Bins) -> np.ndarray:
        """The leaf of each row in bins: [rows] int32."""
        rows = bins.codes.shape[1]
        made = np.empty(rows, np.int32)
        arrays = (self.feature, self.bins, self.children_left, self.children_right)
        whole = (np.ascontiguousarray(array, np.int32) for array in arrays)
        missing = np.ascontiguousarray(self.missing_go_to_left, np.uint8)
        call("trees_place", bins.codes, Size(rows), Size(bins.count - 1), *whole, missing, made, native.threads())
        return made

    def compute_feature_importances(self, normalize: bool = True) -> np.ndarray:
        """The decrease of impurity by each feature, weighted by the weight of the nodes."""
        inner = np.flatnonzero(self.children_left != LEAF)
        sums = self.weighted_n_node_samples * self.impurity
        decrease = sums[inner] - sums[self.children_left[inner]] - sums[self.children_right[inner]]
        made = np.bincount(self.feature[inner], decrease, self.n_features) / self.weighted_n_node_samples[0]
        return made / made.sum() if normalize and made.sum() > 0 else made


def trees_of(grown: Grown, bins: Bins, targets: Targets) -> list[Tree]:
    """Trees in the order of their numbers."""
    place = _preorder(grown)
    at = np.argsort(place)
    inner = grown.feature >= 0
    threshold = np.full(len(place), float(UNDEFINED))
    threshold[inner] = bins.thresholds(grown.feature[inner], grown.bin[inner], grown.next[inner])
    rows = targets.rows(grown.total)
    missing_left = grown.missing_left == 1
    unseen = np.flatnonzero(inner & (grown.missing_left == 2))
    missing_left[unseen] = rows[grown.left[unseen]] > rows[grown.right[unseen]]
    tree = grown.tree[at]
    starts = np.flatnonzero(np.diff(tree, prepend=-1))
    base = np.repeat(starts, np.diff(starts, append=len(tree)))
    left, right = (np.where(side[at] >= 0, place[side[at]] - base, LEAF) for side in (grown.left, grown.right))
    arrays = {
        "children_left": left,
        "children_right": right,
        "feature": np.where(inner, grown.feature, UNDEFINED)[at],
        "threshold": threshold[at],
        "missing_go_to_left": missing_left[at].astype(np.uint8),
        "impurity": grown.impurity[at],
        "n_node_samples": rows[at],
        "weighted_n_node_samples": targets.weights(grown.total)[at],
        "value": targets.values(grown.total)[at][:, None],
        "bins": grown.bin[at],
        "depth": grown.depth[at],
    }
    ends = [*starts[1:], len(tree)]
    columns = len(bins.codes)
    return [
        Tree(columns, **{name: array[a:b] for name, array in arrays.items()}) for a, b in zip(starts, ends, strict=True)
    ]


def _preorder(grown: Grown) -> np.ndarray:
    """Each node's number when trees follow one another."""
    levels = [np.flatnonzero(grown.depth == depth) for depth in range(grown.depth.max() + 1)]
    inner = [nodes[grown.left[nodes] >= 0] for nodes in levels]
    size = np.ones(len(grown.tree), np.int64)
    for nodes in reversed(inner):
        size[nodes] += size[grown.left[nodes]] + size[grown.right[nodes]]
    place = np.zeros(len(size), np.int64)
    roots = levels[0][np.argsort(grown.tree[levels[0]])]
    place[roots] = np.cumsum(size[roots]) - size[roots]
    for nodes in inner:
        place[grown.left[nodes]] = place[nodes] + 1
        place[grown.right[nodes]] = place[nodes] + 1 + size[grown.left[nodes]]
    return place


def packed(trees: list[Tree]) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of all trees, and where each tree begins."""
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])]).astype(np.int64)
    return np.concatenate([tree.packed() for tree in trees]), roots


def apply(trees: list[Tree], X: Any) -> np.ndarray:
    """The leaf of each row in each tree: [rows, trees] int32."""
    nodes, roots = packed(trees)
    made = np.empty((X.shape[0], len(trees)), np.int32)
    for first, block in blocks(X):
        part = made[first : first + len(block)]
        call("trees_apply", nodes, roots, Size(len(trees)), block, *map(Size, block.shape), part, native.threads())
    return made


def add_up(trees: list[Tree], X: Any, values: np.ndarray, made: np.ndarray, cycle: int = 0) -> None:
    """Add the values of each row's leaves to `made` [rows, outputs]; with a cycle tree t has but one, for output
    t % cycle.

    Args:
        values: [nodes of all trees, outputs], or [nodes] with a cycle.
    """
    nodes, roots = packed(trees)
    values = np.ascontiguousarray(values, np.float64)
    outputs = 1 if cycle else values.shape[1]
    for first, block in blocks(X):
        part = made[first : first + len(block)]
        sizes = Size(outputs), Size(cycle)
        shape = map(Size, block.shape)
        call("trees_sum", nodes, roots, Size(len(trees)), block, *shape, values, *sizes, part, native.threads())


def blocks(X: Any) -> Any:
    """Dense float32 blocks of rows with their first row."""
    if not sparse.issparse(X):
        yield 0, np.ascontiguousarray(X, np.float32)
        return
    X = X.tocsr()
    step = max(1, BLOCK // max(X.shape[1], 1))
    for first in range(0, X.shape[0], step):
        yield first, np.ascontiguousarray(X[first : first + step].toarray(), np.float32)
