"""Recommendations by matrix factorisation: ALS.

Each rank has the ratings of its users, and of its items in a transposed copy. One side's factors are known to all ranks
while each solves for those of its own rows of the other side, a small least-squares problem per row.
"""

from ctypes import c_double, c_int64
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.graph.rows import transposed
from frovedis_lite.mllib.base import Estimator, is_distributed, to_ranks, validated
from frovedis_lite.native import address, library, threads


class ALS(Estimator):
    """Factors of users and items by alternating least squares, so that their products are the ratings.

    Explicit ratings: minimises sum (r_ui - u.i)^2 + reg_param (sum n_u |u|^2 + sum n_i |i|^2) over the ratings that are
    there, n being how many a user or an item has (Zhou, Wilkinson, Schreiber and Pan, 2008). Implicit ones (how often,
    how long): minimises sum (1 + alpha r_ui) (p_ui - u.i)^2 + reg_param (sum |u|^2 + sum |i|^2) over all pairs, p being
    1 where there is a rating above 0 and else 0 (Hu, Koren and Volinsky, 2008).

    Args:
        max_iter: the most steps; one step solves for all users, then for all items.
        rank: how many factors.
        alpha: how fast confidence grows with an implicit rating.
        reg_param: the penalty, above 0.
        implicit: what the ratings are.
        tol: it ends when a step lowers the objective by less than this part of it.
        seed: of the factors to begin with.
        nonnegative: only False.

    Attributes:
        user_factors_ [users, rank], item_factors_ [items, rank]: of the dtype of the ratings.
        objective_ [steps]: the objective after each step, float64; it never rises but by rounding.
        n_iter_: steps.
    """

    def __init__(
        self,
        max_iter: int = 100,
        rank: int = 10,
        alpha: float = 1.0,
        reg_param: float = 0.01,
        *,
        implicit: bool = False,
        tol: float = 1e-5,
        seed: int = 0,
        nonnegative: bool = False,
    ) -> None:
        self.max_iter = max_iter
        self.rank = rank
        self.alpha = alpha
        self.reg_param = reg_param
        self.implicit = implicit
        self.tol = tol
        self.seed = seed
        self.nonnegative = nonnegative

    def fit(self, X: Any, rank: int | None = None) -> Self:
        """Find the factors.

        Args:
            X: [users, items], ratings: a SciPy sparse matrix or a distributed CSR matrix, float32 or float64. What is
                not stored was not rated.
            rank: sets the parameter `rank` (Frovedis' way).

        Raises:
            TypeError: X is not sparse.
            ValueError: a parameter or a rating that cannot be used.
        """
        if rank is not None:
            self.rank = rank
        self._check_parameters()
        X = self._checked(X, reset=True)
        table = to_ranks(X)
        options = {name: getattr(self, name) for name in ("max_iter", "rank", "alpha", "reg_param", "implicit", "tol")}
        made = table.session.run(_fit, table.X, seed=self.seed, **options)
        self.user_factors_, self.item_factors_, self.objective_ = made
        self.n_iter_ = len(self.objective_)
        return self

    def predict(self, ids: Any) -> np.ndarray:
        """[pairs] predicted ratings; of implicit ones, how much a user likes an item, mostly from 0 to 1.

        Args:
            ids: [pairs, 2] numbers of a user and an item each, or the same in a row.

        Raises:
            IndexError: there is no such user or item.
        """
        check_is_fitted(self)
        pairs = np.asarray(ids)
        if pairs.size % 2 or (pairs.size and pairs.dtype.kind not in "iu"):
            raise ValueError("ids are pairs of whole numbers: a user and an item")
        users, items = pairs.reshape(-1, 2).astype(np.int64).T
        for what, found, factors in (("user", users, self.user_factors_), ("item", items, self.item_factors_)):
            _check_ids(what, found, len(factors))
        return np.einsum("ij,ij->i", self.user_factors_[users], self.item_factors_[items])

    def recommend_products(self, uid: int, k: int) -> list[tuple[int, float]]:
        """The k items of the highest predicted ratings for a user, and these, highest first; all if there are fewer.

        Raises:
            IndexError: there is no such user.
        """
        check_is_fitted(self)
        return _highest("user", uid, self.user_factors_, self.item_factors_, k)

    def recommend_users(self, pid: int, k: int) -> list[tuple[int, float]]:
        """The k users of the highest predicted ratings for an item, and these, highest first; all if there are fewer.

        Raises:
            IndexError: there is no such item.
        """
        check_is_fitted(self)
        return _highest("item", pid, self.item_factors_, self.user_factors_, k)

    def rmse(self, X: Any) -> float:
        """The root of the mean squared error of the ratings in X, [users, items] as in `fit`; implicit ratings above 0
        count as 1."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        if X.shape[0] != len(self.user_factors_):
            raise ValueError(f"X has {X.shape[0]} users, but ALS was fitted with {len(self.user_factors_)}")
        table = to_ranks(X)
        given = (self.user_factors_, self.item_factors_, self.implicit)
        return table.session.run(_rmse, table.X, *given)

    def score(self, X: Any, y: None = None) -> float:
        """Minus `rmse(X)`: more is better."""
        return -self.rmse(X)

    def _checked(self, X: Any, reset: bool) -> Any:
        if not is_distributed(X) and not sparse.issparse(X):
            raise TypeError("ratings are a sparse matrix: scipy.sparse.csr_matrix(X), if 0 is no rating")
        return validated(self, X, reset=reset, accept_sparse="csr")

    def _check_parameters(self) -> None:
        whole = {"max_iter": 1, "rank": 1, "seed": 0}
        for name, least in whole.items():
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is a whole number from {least}, not {value!r}")
        for name in ("alpha", "reg_param", "tol"):
            value = getattr(self, name)
            fits = isinstance(value, Real) and np.isfinite(value) and (value > 0 if name == "reg_param" else value >= 0)
            if not fits:
                raise ValueError(f"{name} is a number {'above' if name == 'reg_param' else 'from'} 0, not {value!r}")
        if not isinstance(self.implicit, (bool, np.bool_)):
            raise ValueError(f"implicit is True or False, not {self.implicit!r}")
        if self.nonnegative is not False:
            raise NotImplementedError(
                "nonnegative: only False; sklearn.decomposition.NMF has factors that are not negative"
            )


def _highest(what: str, index: int, of: np.ndarray, among: np.ndarray, count: int) -> list[tuple[int, float]]:
    if not isinstance(count, Integral) or count < 1:
        raise ValueError(f"k is a whole number from 1, not {count!r}")
    _check_ids(what, np.asarray([index]), len(of))
    scores = among @ of[index]
    best = np.argsort(-scores, kind="stable")[:count]
    return list(zip(best.tolist(), scores[best].tolist(), strict=True))


def _check_ids(what: str, found: np.ndarray, count: int) -> None:
    wrong = found[(found < 0) | (found >= count)]
    if len(wrong):
        raise IndexError(f"there is no {what} {wrong[0]}: they are 0 to {count - 1}")


def _rmse(comm: Communicator, X: sparse.csr_matrix, users: np.ndarray, items: np.ndarray, implicit: bool) -> float:
    first = comm.exscan(X.shape[0])
    row = np.repeat(np.arange(first, first + X.shape[0]), np.diff(X.indptr))
    squares, block = 0.0, 1 << 16
    for at in range(0, X.nnz, block):
        here = slice(at, at + block)
        ratings = (X.data[here] > 0) if implicit else X.data[here]
        errors = ratings - np.einsum("ij,ij->i", users[row[here]], items[X.indices[here]])
        squares += float(np.square(errors, dtype=np.float64).sum())
    count = comm.allreduce(X.nnz)
    return float(np.sqrt(comm.allreduce(squares) / count)) if count else 0.0


def _fit(
    comm: Communicator,
    X: sparse.csr_matrix,
    *,
    max_iter: int,
    rank: int,
    alpha: float,
    reg_param: float,
    implicit: bool,
    tol: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All users' factors, all items', and the objective after each step."""
    if implicit and comm.allreduce(float(X.data.min()) if X.nnz else 0.0, "min") < 0:
        raise ValueError("implicit ratings say how often or how long: they are not negative")
    # both sides' ratings, and how many each row has: the explicit penalty
    sides = [_Side(X, rank), _Side(transposed(comm, X), rank)]
    start = np.abs(np.random.default_rng(seed).standard_normal((X.shape[1], rank))) / np.sqrt(rank)
    items, objectives = start.astype(X.dtype), []
    if not np.issubdtype(X.dtype, np.floating):
        raise TypeError(f"ratings are float32 or float64, not {X.dtype}")
    gram = _gram(comm, items) if implicit else None
    with progress("alternating least squares", total=max_iter) as step:
        for _ in range(max_iter):
            users, _, user_gram, user_penalty = sides[0].solve(comm, items, gram, reg_param, alpha)
            items, loss, gram, item_penalty = sides[1].solve(comm, users, user_gram, reg_param, alpha)
            objectives.append(loss + reg_param * (user_penalty + item_penalty))
            if implicit:  # the squares of all pairs: of u . i over all u and i
                objectives[-1] += float((user_gram * gram).sum())
            if not np.isfinite(objectives[-1]):
                raise MemoryError("no memory for the normal equations, or ratings too large for their dtype")
            step(len(objectives))
            if len(objectives) > 1 and objectives[-2] - objectives[-1] <= tol * abs(objectives[-2]):
                break
    return users, items, np.array(objectives)


def _gram(comm: Communicator, factors: np.ndarray) -> np.ndarray:
    first, last = (len(factors) * rank // comm.size for rank in (comm.rank, comm.rank + 1))
    own = factors[first:last].astype(np.float64)
    return comm.allreduce(own.T @ own)


class _Side:
    """The ratings of this rank's users, or of its items."""

    def __init__(self, ratings: Any, rank: int) -> None:
        if ratings.nnz > np.iinfo(np.int32).max:
            raise ValueError(f"{ratings.nnz} ratings on one rank are too many for 32-bit indices: use more ranks")
        self.start = np.ascontiguousarray(ratings.indptr, np.int32)
        self.columns = np.ascontiguousarray(ratings.indices, np.int32)
        self.ratings = np.ascontiguousarray(ratings.data)
        self.counts = np.diff(self.start)
        self.out = np.empty((len(self.counts), rank), self.ratings.dtype)
        self.losses = np.empty(len(self.counts))

    def solve(
        self, comm: Communicator, factors: np.ndarray, gram: np.ndarray | None, reg_param: float, alpha: float
    ) -> tuple[np.ndarray, float, np.ndarray | None, float]:
        """All ranks' factors of this side, the loss of all ratings, the factors' gram matrix (implicit ratings), and
        the sum of their squares, explicit ones times how many ratings they have."""
        kind = self.ratings.dtype
        function = getattr(library("als"), "als_float" if kind == np.float32 else "als_double")
        function.restype = None
        arrays = [(self.start, np.int32), (self.columns, np.int32), (self.ratings, kind), (factors, kind)]
        known = None if gram is None else address(gram, np.float64)
        function(
            c_int64(len(self.counts)), c_int64(self.out.shape[1]), *(address(array, made) for array, made in arrays),
            known, c_double(reg_param), c_double(alpha), address(self.out, kind), address(self.losses, np.float64),
            c_int64(threads()),
        )  # fmt: skip
        own = self.out.astype(np.float64)
        squares = np.einsum("ij,ij->i", own, own)
        penalty = float(squares.sum() if gram is not None else squares @ self.counts)
        loss, penalty = comm.allreduce(np.array([self.losses.sum(), penalty])).tolist()
        every = np.concatenate(comm.allgather(self.out))
        return every, loss, None if gram is None else comm.allreduce(own.T @ own), penalty
