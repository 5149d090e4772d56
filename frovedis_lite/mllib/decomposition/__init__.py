"""Decompositions of a matrix."""

from frovedis_lite.mllib.decomposition.pca import PCA
from frovedis_lite.mllib.decomposition.truncated import TruncatedSVD

__all__ = ["PCA", "TruncatedSVD"]
