"""Many trees: random forests and gradient boosting, with scikit-learn's names."""

from frovedis_lite.mllib.ensemble.boosting import GradientBoostingClassifier, GradientBoostingRegressor
from frovedis_lite.mllib.ensemble.forest import RandomForestClassifier, RandomForestRegressor

__all__ = [
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
]
