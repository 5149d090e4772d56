"""`FrovedisELLMatrix` under the name of its format."""

from frovedis_lite.matrix.crs import FrovedisELLMatrix

__all__ = ["FrovedisELLMatrix"]
