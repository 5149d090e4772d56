"""Support vector machines with scikit-learn's interface."""

from frovedis_lite.mllib.svm.linear import LinearSVC, LinearSVR

__all__ = ["LinearSVC", "LinearSVR"]
