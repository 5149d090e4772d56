"""Losses of linear models over the local rows: kernels/compute/linear.c from Python."""

import ctypes
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.matrix.products import indices_of
from frovedis_lite.native import address, library, threads

LOGISTIC, SQUARED, SQUARED_HINGE, SQUARED_EPSILON = range(4)


class Rows:
    """Rows of this rank as the kernels take them.

    Args:
        X: [rows, columns], a row-major array or a CSR matrix, of float32 or float64.
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self.rows, self.columns = X.shape
        self.name = "f32" if X.dtype == np.float32 else "f64"
        none = ctypes.c_void_p(None)
        if sparse.issparse(X):
            self.kept = np.ascontiguousarray(X.indptr, np.int64), indices_of(X), np.ascontiguousarray(X.data)
            starts, index, values = self.kept
            self.matrix = none, address(starts, np.int64), address(index, np.int32), address(values, X.dtype)
        else:
            self.kept = (np.ascontiguousarray(X),)
            self.matrix = address(self.kept[0], X.dtype), none, none, none
        self.sums = np.zeros(threads())
        # Large memory that is new at each call costs more to map than to fill.
        self.gradients = np.empty((threads(), self.columns + 1))
        self.pairs = np.empty((threads(), self.columns, 2)) if sparse.issparse(X) else None

    def loss(
        self,
        w: np.ndarray,
        bias: float,
        y: np.ndarray | None,
        weights: np.ndarray | None,
        loss: int,
        parameter: float = 0.0,
        curvature: np.ndarray | None = None,
    ) -> tuple[float, np.ndarray]:
        """The loss of the local rows at the margins X w + bias, and its gradient.

        Args:
            w: [columns] float64.
            y, weights: [rows] float64; None: zeros, ones.
            loss: LOGISTIC and so on.
            parameter: epsilon of the loss, where it has one.
            curvature: [rows] float64, to be filled with weighted second derivatives.
        Returns:
            The sum, and [columns + 1] float64, the bias at the end; it stands until the next call.
        """
        getattr(library("linear"), f"linear_loss_{self.name}")(
            *self._head(),
            _place(w),
            ctypes.c_double(bias),
            _place(y),
            _place(weights),
            ctypes.c_int(loss),
            ctypes.c_double(parameter),
            _place(self.gradients),
            _place(self.sums),
            _place(curvature),
            _place(self.pairs),
            ctypes.c_int64(len(self.sums)),
            ctypes.c_int(threads()),
        )
        return float(self.sums[0]), self.gradients[0]

    def softmax(self, W: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        """The multinomial logistic loss of the local rows, and its gradient.

        Args:
            W: [columns + 1, classes] float64, biases in the last row.
            y: [rows] int32, numbers of classes.
            weights: [rows] float64; None: ones.
        Returns:
            The sum, and [columns + 1, classes] float64.
        """
        gradients = np.empty((threads(), *W.shape))
        getattr(library("linear"), f"linear_softmax_{self.name}")(
            *self._head(),
            ctypes.c_int64(W.shape[1]),
            _place(W),
            address(y, np.int32),
            _place(weights),
            _place(gradients),
            _place(self.sums),
            ctypes.c_int64(threads()),
            ctypes.c_int(threads()),
        )
        return float(self.sums[0]), gradients[0]

    def squares(self, weights: np.ndarray | None) -> np.ndarray:
        """Sums of squares of each column [columns], each times the weight of its row: [rows] float64; None: ones."""
        sums = np.empty((threads(), self.columns))
        getattr(library("linear"), f"linear_squares_{self.name}")(
            *self._head(), _place(weights), _place(sums), ctypes.c_int64(len(sums)), ctypes.c_int(threads())
        )
        return sums[0]

    def _head(self) -> tuple:
        return ctypes.c_int64(self.rows), ctypes.c_int64(self.columns), *self.matrix


def _place(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None) if array is None else address(array, np.float64)
