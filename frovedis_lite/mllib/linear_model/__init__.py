"""Linear models with scikit-learn's interface, fitted on the ranks that have the rows."""

from frovedis_lite.mllib.linear_model.logistic import LogisticRegression
from frovedis_lite.mllib.linear_model.regression import LinearRegression, Ridge

__all__ = ["LinearRegression", "LogisticRegression", "Ridge"]
