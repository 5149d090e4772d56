"""Nearest neighbours."""

from frovedis_lite.mllib.neighbors.nearest import NearestNeighbors
from frovedis_lite.mllib.neighbors.vote import KNeighborsClassifier, KNeighborsRegressor

__all__ = ["KNeighborsClassifier", "KNeighborsRegressor", "NearestNeighbors"]
