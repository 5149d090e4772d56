"""Matrix products on the ranks. Each rank computes its own part of the result with one call of BLAS, of the rows and
columns that it needs for it."""

from typing import Any

import numpy as np

from frovedis_lite.matrix.dense import (
    FrovedisBlockcyclicMatrix,
    FrovedisColmajorMatrix,
    FrovedisDenseMatrix,
    FrovedisRowmajorMatrix,
)
from frovedis_lite.matrix.layout import (
    COLUMNS,
    COLUMNS_OF_GRID,
    CYCLIC,
    EVERYWHERE,
    ROWS,
    ROWS_OF_GRID,
    Layout,
    moved,
)

# What a rank needs of A and of B for its part of A B in each layout.
NEEDED = {ROWS: (ROWS, EVERYWHERE), COLUMNS: (EVERYWHERE, COLUMNS), CYCLIC: (ROWS_OF_GRID, COLUMNS_OF_GRID)}


def product(
    a: FrovedisDenseMatrix,
    b: FrovedisDenseMatrix,
    transpose_a: bool = False,
    transpose_b: bool = False,
    factor: float = 1.0,
) -> FrovedisDenseMatrix:
    """factor * op(A) op(B), where op transposes if asked to.

    Returns:
        block-cyclic if one of them is, else in the layout of `a`.
    Raises:
        ValueError: the sizes do not fit.
    """
    (rows, inner), (other, columns) = (m.shape[:: -1 if t else 1] for m, t in ((a, transpose_a), (b, transpose_b)))
    if inner != other:
        raise ValueError(f"matrices of {rows} x {inner} and {other} x {columns} elements have no product")
    kinds = (FrovedisBlockcyclicMatrix, FrovedisColmajorMatrix)
    kind = FrovedisBlockcyclicMatrix if FrovedisBlockcyclicMatrix in (type(a), type(b)) else type(a)
    kind = kind if kind in kinds else FrovedisRowmajorMatrix
    operands = (a.blocks, a.shape, a.layout, transpose_a), (b.blocks, b.shape, b.layout, transpose_b)
    # Only the arguments themselves may be Parts, so the operands are laid out flat.
    blocks = a.session.run_parts(_product, kind.layout, factor, *operands[0], *operands[1])
    dtype = np.result_type(a.dtype, b.dtype)
    return kind.of(blocks, (rows, columns), dtype)


def _product(
    comm: Any,
    layout: Layout,
    factor: float,
    a: np.ndarray,
    a_shape: tuple[int, int],
    a_layout: Layout,
    transpose_a: bool,
    b: np.ndarray,
    b_shape: tuple[int, int],
    b_layout: Layout,
    transpose_b: bool,
) -> np.ndarray:
    need_a, need_b = NEEDED[layout]
    left = moved(comm, a, a_shape, a_layout, need_a, transpose_a)
    right = moved(comm, b, b_shape, b_layout, need_b, transpose_b)
    made = left @ right
    if factor != 1:
        made *= made.dtype.type(factor)
    return np.asarray(made, order="F" if layout == COLUMNS else "C")
