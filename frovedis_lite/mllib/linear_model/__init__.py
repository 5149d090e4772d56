"""Linear models with scikit-learn's interface, fitted on the ranks that have the rows."""

from frovedis_lite.mllib.linear_model.lasso import ElasticNet, Lasso
from frovedis_lite.mllib.linear_model.logistic import LogisticRegression
from frovedis_lite.mllib.linear_model.regression import LinearRegression, Ridge
from frovedis_lite.mllib.linear_model.sgd import SGDClassifier, SGDRegressor

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "Ridge", "SGDClassifier", "SGDRegressor"]
