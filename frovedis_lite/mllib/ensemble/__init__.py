"""Many trees: random forests and gradient boosting, with scikit-learn's names."""

from frovedis_lite.mllib.ensemble.forest import RandomForestClassifier, RandomForestRegressor

__all__ = ["RandomForestClassifier", "RandomForestRegressor"]
