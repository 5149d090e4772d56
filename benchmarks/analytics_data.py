"""Data for `benchmarks.analytics`, made by seeded generators: nothing is downloaded, and every run sees the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

SEED = 2020


@dataclass(frozen=True)
class Set:
    """A set of data.

    Attributes:
        about: what tables say of it.
        make: gives X, and y or None.
    """

    about: str
    make: Callable[[], tuple[Any, Any]]


def dense_classes(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal features float64 [rows, columns] and classes int64 [rows] of a noisy linear rule."""
    random = np.random.default_rng(SEED)
    X = random.normal(size=(rows, columns))
    weights = random.normal(size=columns)
    return X, (X @ weights + random.normal(scale=columns**0.5, size=rows) > 0).astype(np.int64)


def blobs(rows: int, columns: int, centers: int) -> tuple[np.ndarray, None]:
    """Overlapping clouds, float64 [rows, columns]."""
    random = np.random.default_rng(SEED)
    middle = random.uniform(-3, 3, size=(centers, columns))
    return middle[random.integers(centers, size=rows)] + random.normal(scale=2, size=(rows, columns)), None


def sparse_classes(rows: int, columns: int, each: int, skew: float = 1.0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """CSR float64 [rows, columns] with `each` ones a row, and classes int64 [rows] of a noisy linear rule.

    Args:
        skew: 1 chooses columns evenly; the larger, the more often the first: as one-hot categories of click logs, few
            of which are frequent.
    """
    random = np.random.default_rng(SEED)
    indices = (columns * random.random(size=(rows, each), dtype=np.float32) ** skew).astype(np.int32)
    np.minimum(indices, columns - 1, out=indices)
    indices.sort(axis=1)
    X = sparse.csr_matrix(
        (np.ones(rows * each), indices.reshape(-1), np.arange(0, rows * each + 1, each)), shape=(rows, columns)
    )
    X.sum_duplicates()
    weights = random.normal(size=columns)
    score = X @ weights
    return X, (score + random.normal(scale=score.std(), size=rows) > 0).astype(np.int64)


def documents(rows: int, terms: int, mean_length: int) -> tuple[sparse.csr_matrix, None]:
    """A document-term matrix, CSR float64 [rows, terms], of counts: terms by Zipf's law (exponent 1.1), lengths
    log-normal."""
    random = np.random.default_rng(SEED)
    lengths = np.maximum(1, random.lognormal(np.log(mean_length), 0.6, size=rows)).astype(np.int64)
    share = 1 / np.arange(1, terms + 1) ** 1.1
    drawn = np.searchsorted(np.cumsum(share / share.sum()), random.random(lengths.sum())).astype(np.int32)
    where = np.concatenate([[0], np.cumsum(lengths)])
    X = sparse.csr_matrix((np.ones(len(drawn)), np.minimum(drawn, terms - 1), where), shape=(rows, terms))
    X.sum_duplicates()
    return X, None


def links(nodes: int, edges: int) -> tuple[np.ndarray, None]:
    """Directed edges int64 [edges, 2]; some nodes are linked to far more often than others."""
    random = np.random.default_rng(SEED)
    sources = random.integers(nodes, size=edges)
    return np.stack([sources, (nodes * random.random(edges) ** 3).astype(np.int64)], axis=1), None


SETS = {
    "dense": Set("200k x 50 dense", lambda: dense_classes(200_000, 50)),
    "blobs": Set("200k x 20 dense", lambda: blobs(200_000, 20, 10)),
    "sparse": Set("500k x 10k, 20 a row", lambda: sparse_classes(500_000, 10_000, 20)),
    "clicks": Set("2M x 1M, 40 a row, as Criteo's", lambda: sparse_classes(2_000_000, 1_000_000, 40, 3.0)),
    "documents": Set("200k documents x 50k terms, by Zipf", lambda: documents(200_000, 50_000, 100)),
    "links": Set("100k nodes, 500k edges", lambda: links(100_000, 500_000)),
}
