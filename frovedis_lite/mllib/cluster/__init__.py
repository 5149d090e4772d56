"""Clustering."""

from frovedis_lite.mllib.cluster.kmeans import KMeans
from frovedis_lite.mllib.cluster.minibatch import MiniBatchKMeans

__all__ = ["KMeans", "MiniBatchKMeans"]
