"""frovedis_lite: a compact Frovedis, NEC's framework for distributed and vectorised data analytics.

Distributed vectors, matrices, machine learning behind scikit-learn's interface, and graphs: the same call in one
process and on many MPI ranks. Paths and names are Frovedis' own, `frovedis` being `frovedis_lite`.

    from frovedis_lite.exrpc.server import FrovedisServer
    from frovedis_lite.mllib.linear_model import LogisticRegression

    FrovedisServer.initialize("mpirun -np 4")  # without it: this process
    model = LogisticRegression().fit(X, y)
"""

__version__ = "0.1.0"
