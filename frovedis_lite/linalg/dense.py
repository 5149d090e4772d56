"""Solutions, inverses and singular values of dense matrices on the ranks: what `linalg` and `wrapper` are made of."""

from typing import Any

import numpy as np

from frovedis_lite.engine.session import Parts
from frovedis_lite.linalg import lu, qr
from frovedis_lite.matrix.dense import FrovedisDenseMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.layout import EVERYWHERE, PANELS, ROWS, Layout, moved


def factor(a: FrovedisDenseMatrix) -> tuple[Parts, np.ndarray, int]:
    """LU of a matrix, its columns in PANELS; the pivots; LAPACK's info."""
    session = a.session
    made = session.run_parts(_factored, a.blocks, a.shape, a.layout)
    pivots, info = session.run(_second_and_third, made)
    return session.run_parts(_first, made), pivots, info


def solution(factors: Parts, pivots: np.ndarray, b: FrovedisDenseMatrix, transposed: bool = False) -> Parts:
    """X of A X = B, or A^T X = B, in the layout of `b`."""
    if b.shape[0] != len(pivots):
        raise ValueError(f"the right side has {b.shape[0]} rows, the matrix {len(pivots)}")
    return b.session.run_parts(_solved, factors, pivots, b.blocks, b.shape, b.layout, transposed)


def check_square(shape: tuple[int, int]) -> None:
    """
    Raises:
        ValueError: the matrix is not square.
    """
    if shape[0] != shape[1]:
        raise ValueError(f"the matrix must be square, not {shape[0]} x {shape[1]}")


def check_regular(info: int) -> None:
    """
    Raises:
        numpy.linalg.LinAlgError: LAPACK said that the matrix is singular.
    """
    if info > 0:
        raise np.linalg.LinAlgError(f"Singular matrix: element {info - 1} on the diagonal of U is 0")


def inverse(factors: Parts, pivots: np.ndarray, like: FrovedisDenseMatrix) -> Parts:
    """The inverse of the matrix that was factored, in the layout of `like`."""
    return like.session.run_parts(_inverted, factors, pivots, like.layout)


def singular(a: FrovedisDenseMatrix, vectors: bool = True) -> tuple[FrovedisDenseMatrix | None, np.ndarray, np.ndarray]:
    """U (rows shared out), s and V^T of a dense matrix. Its smaller dimension squared must fit into every rank."""
    wide = a.shape[0] < a.shape[1]
    session, least = a.session, min(a.shape)
    made = session.run_parts(_singular, a.blocks, a.shape, a.layout, wide, vectors)
    s, Vh = session.run(_second_and_third, made)
    if not vectors:
        return None, s, Vh
    tall = FrovedisRowmajorMatrix.of(session.run_parts(_first, made), (max(a.shape), least), a.dtype)
    if not wide:
        return tall, s, Vh
    return FrovedisRowmajorMatrix(Vh.T), s, tall.transpose().to_numpy_array()


def least_squares(a: FrovedisDenseMatrix, b: FrovedisDenseMatrix, transposed: bool = False) -> FrovedisDenseMatrix:
    """The X of least norm of residuals, or of least norm where op(A) has more columns than rows; by QR, so of a matrix
    of full rank.

    Raises:
        ValueError: the sizes do not fit.
        numpy.linalg.LinAlgError: the matrix has not full rank.
    """
    rows, columns = a.shape[:: -1 if transposed else 1]
    if b.shape[0] != rows:
        raise ValueError(f"the right side has {b.shape[0]} rows, the matrix {rows}")
    session = a.session
    args = a.blocks, a.shape, a.layout, transposed, b.blocks, b.shape, b.layout
    if rows >= columns:
        X = session.run(_tall_least_squares, *args)
        return type(b)(X)
    blocks = session.run_parts(_wide_least_squares, *args)
    return type(b)(FrovedisRowmajorMatrix.of(blocks, (columns, b.shape[1]), b.dtype))


def _factored(comm: Any, part: np.ndarray, shape: tuple[int, int], layout: Layout) -> tuple:
    return lu.factored(comm, moved(comm, part, shape, layout, PANELS), shape)


def _first(comm: Any, made: tuple) -> Any:
    return made[0]


def _second_and_third(comm: Any, made: tuple) -> tuple:
    return made[1], made[2]


def _solved(
    comm: Any, factors: Any, pivots: np.ndarray, part: np.ndarray, shape: tuple, layout: Layout, transposed: bool
) -> np.ndarray:
    own = moved(comm, part, shape, layout, PANELS)
    return moved(comm, lu.solved(comm, factors, pivots, own, transposed), shape, PANELS, layout)


def _inverted(comm: Any, factors: Any, pivots: np.ndarray, layout: Layout) -> np.ndarray:
    shape = len(pivots), len(pivots)
    columns = PANELS.places(shape, comm.rank, comm.size)[1]
    unit = np.zeros((len(pivots), len(columns)), factors.dtype, "F")
    unit[columns, np.arange(len(columns))] = 1
    return moved(comm, lu.solved(comm, factors, pivots, unit), shape, PANELS, layout)


def _singular(comm: Any, part: np.ndarray, shape: tuple, layout: Layout, wide: bool, vectors: bool) -> tuple:
    return qr.tall_svd(comm, moved(comm, part, shape, layout, ROWS, wide), vectors)


def _tall_least_squares(comm: Any, part: np.ndarray, shape: tuple, layout: Layout, turned: bool, *b: Any) -> np.ndarray:
    Q, R = qr.tall_qr(comm, moved(comm, part, shape, layout, ROWS, turned))
    _check_rank(R)
    return lu.triangle(R, comm.allreduce(Q.T @ moved(comm, *b, ROWS)))


def _wide_least_squares(comm: Any, part: np.ndarray, shape: tuple, layout: Layout, turned: bool, *b: Any) -> np.ndarray:
    Q, R = qr.tall_qr(comm, moved(comm, part, shape, layout, ROWS, not turned))
    _check_rank(R)
    return Q @ lu.triangle(R, moved(comm, *b, EVERYWHERE), trans="T")


def _check_rank(R: np.ndarray) -> None:
    diagonal = np.abs(np.diagonal(R))
    if len(diagonal) and diagonal.min() <= diagonal.max() * len(diagonal) * np.finfo(R.dtype).eps:
        raise np.linalg.LinAlgError("the matrix has not full rank")
