"""Matrices of jagged diagonals under the name of their format."""

from frovedis_lite.matrix.crs import FrovedisJDSCRSHybridMatrix, FrovedisJDSMatrix

__all__ = ["FrovedisJDSCRSHybridMatrix", "FrovedisJDSMatrix"]
