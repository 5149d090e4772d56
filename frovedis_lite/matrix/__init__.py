"""Vectors and matrices on the ranks, behind the interface of Frovedis' Python client."""
