"""A program for many ranks: srun --mpi=pmi2 -n 4 python slurm/spmd.py, or mpiexec -n 4, or python alone.

All ranks run these same lines, each with its own part of the data (SPMD: single program, multiple data). They
find pi from the share of random points that fall into a circle, and fit a model to rows that are dealt out to them.
"""

import numpy as np

from frovedis_lite.core import scatter
from frovedis_lite.exrpc.server import FrovedisServer
from frovedis_lite.mllib.linear_model import LinearRegression

POINTS = 200_000  # on each block
BLOCKS = 8


def inside(seed: int) -> int:
    """How many of the points in a square are in the circle."""
    points = np.random.default_rng(seed).random((POINTS, 2))
    return int(((points**2).sum(axis=1) < 1).sum())


def main() -> None:
    """Every rank comes by here; the first one prints."""
    FrovedisServer.initialize()  # no command: the ranks that there are
    ranks = FrovedisServer.getSize()
    blocks = scatter(list(range(BLOCKS)))  # each rank keeps its own
    pi = 4 * blocks.map(inside).sum() / (POINTS * BLOCKS)

    random = np.random.default_rng(0)  # the same numbers on all ranks
    x = random.random((1000, 3))
    model = LinearRegression().fit(x, x @ [1.0, 2.0, 3.0] + 4)

    sizes = blocks.sizes()  # this, too, takes all ranks

    if first():
        print(f"{ranks} ranks, blocks on each: {sizes}")
        print(f"pi is about {pi:.4f}")
        print(f"coefficients {np.round(model.coef_, 3).tolist()}, intercept {model.intercept_:.3f}")


def first() -> bool:
    """Whether this is rank 0."""
    from frovedis_lite.engine.session import current

    return current().comm.rank == 0


if __name__ == "__main__":
    main()
