"""Smaller trees out of grown ones: no more than so many leaves, or no branch that is not worth its size."""

import heapq
from dataclasses import fields, replace

import numpy as np

from frovedis_lite.mllib.trees.tree import LEAF, UNDEFINED, Tree


def limit_leaves(tree: Tree, leaves: int) -> Tree:
    """What growing the best leaf first would have given: which leaf is next depends only on each node's own split."""
    sums = tree.weighted_n_node_samples * tree.impurity
    queue: list[tuple[float, int]] = []

    def offer(node: int) -> None:
        left, right = tree.children_left[node], tree.children_right[node]
        if left != LEAF:
            heapq.heappush(queue, (sums[left] + sums[right] - sums[node], node))

    offer(0)
    split = np.zeros(tree.node_count, bool)
    for _ in range(leaves - 1):
        if not queue:
            break
        _, node = heapq.heappop(queue)
        split[node] = True
        offer(int(tree.children_left[node]))
        offer(int(tree.children_right[node]))
    return _cut(tree, split)


def by_cost(tree: Tree, alpha: float) -> Tree:
    """Minimal cost-complexity pruning (L. Breiman et al.: Classification and Regression Trees, 1984, chapter 3)."""
    inner = tree.children_left != LEAF
    cost = tree.weighted_n_node_samples / tree.weighted_n_node_samples[0] * tree.impurity
    branch, leaves, parent = cost.copy(), np.ones(tree.node_count), np.full(tree.node_count, -1)
    for node in np.flatnonzero(inner)[::-1]:
        children = [tree.children_left[node], tree.children_right[node]]
        branch[node], leaves[node] = branch[children].sum(), leaves[children].sum()
        parent[children] = node
    ends = _ends(tree)
    while inner.any():
        worth = np.full(tree.node_count, np.inf)
        worth[inner] = (cost[inner] - branch[inner]) / (leaves[inner] - 1)
        weakest = int(np.argmin(worth))
        if worth[weakest] > alpha:
            break
        gained, lost = cost[weakest] - branch[weakest], leaves[weakest] - 1
        node = weakest
        while node >= 0:
            branch[node] += gained
            leaves[node] -= lost
            node = parent[node]
        inner[weakest : ends[weakest]] = False
    return _cut(tree, inner)


def _ends(tree: Tree) -> np.ndarray:
    """The number behind the last node that hangs on each."""
    made = np.arange(1, tree.node_count + 1)
    for node in np.flatnonzero(tree.children_left != LEAF)[::-1]:
        made[node] = made[tree.children_right[node]]
    return made


def _cut(tree: Tree, split: np.ndarray) -> Tree:
    """The tree with these nodes split, and no others."""
    stays = np.zeros(tree.node_count, bool)
    stays[0] = True
    for node in np.flatnonzero(split):
        if stays[node]:
            stays[[tree.children_left[node], tree.children_right[node]]] = True
    number = np.cumsum(stays) - 1
    leaf = ~split[stays]
    made = {field.name: getattr(tree, field.name)[stays].copy() for field in fields(Tree) if field.name != "n_features"}
    for name in ("children_left", "children_right"):
        made[name] = np.where(leaf, LEAF, number[made[name]])
    made["feature"][leaf] = made["threshold"][leaf] = UNDEFINED
    made["bins"][leaf] = -1
    made["missing_go_to_left"][leaf] = 0
    return replace(tree, **made)
