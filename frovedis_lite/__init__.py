"""The room for the distributed analytics library; it is empty in this release.

What will move in, over the next releases: distributed vectors (dvector), dense and sparse matrices, machine learning,
DataFrames and graphs, each called the same way on one process and on many MPI ranks. Nothing here can be used yet.
"""

__version__ = "0.1.0"
