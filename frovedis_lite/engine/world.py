"""Whether this program is one of several MPI ranks: what mpiexec and srun told it, and what MPI knows.

mpiexec says so in the environment (PMI_SIZE, OMPI_COMM_WORLD_SIZE). So does srun with a PMI of MPI's kind: PMI-2 by
PMI_SIZE, PMIx by a namespace and Slurm's own count. Without one, srun starts programs that know nothing of each other.
"""

import os
from typing import Any

from frovedis_lite.errors import ServerError

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
INSTALL = 'pip install "aurora-labs[mpi]"'


def told() -> int:
    """How many ranks there are by what the starting program said; 1 if it said nothing."""
    sizes = [_number(name) for name in SIZES if os.environ.get(name)]
    if not sizes and "PMIX_NAMESPACE" in os.environ:
        return _number("SLURM_STEP_NUM_TASKS")
    return max(sizes, default=1)


def world() -> Any:
    """MPI's communicator of all ranks if this program was started as several, else None."""
    return _joined() if told() > 1 else None


def ranks() -> Any:
    """The same, for a program that wants the ranks that there are.

    Raises:
        ServerError: the program was started several times, but MPI does not make ranks of that.
    """
    said, tasks = told(), _number("SLURM_STEP_NUM_TASKS")
    if not any(os.environ.get(name) for name in SIZES):
        said = max(said, tasks)  # an MPI that is linked with Slurm's own PMI finds the others with no word about it
    if said == 1:
        return None
    try:
        found = _joined()
    except ImportError as error:
        raise ServerError(f"more than one process needs {error.name}: {INSTALL}") from error
    if found is None:
        raise ServerError(_lonely(said, by_slurm=tasks == said))
    return found


def _joined() -> Any:
    """COMM_WORLD if MPI has joined the ranks. MPICH is asked first what it can do, for it ends a program that was
    started by a PMI it does not have."""
    import mpi4py

    mpi4py.rc(initialize=False, finalize=True)
    from mpi4py import MPI

    if not MPI.Is_initialized():
        about = MPI.Get_library_version()
        by_pmix = "PMIX_NAMESPACE" in os.environ and "PMI_SIZE" not in os.environ
        if by_pmix and "MPICH configure" in about and "pmix" not in about.lower():
            return None
        MPI.Init_thread()
    return MPI.COMM_WORLD if MPI.COMM_WORLD.Get_size() > 1 else None


def _lonely(size: int, by_slurm: bool) -> str:
    """Why there are no ranks, and how to get them."""
    from mpi4py import MPI

    library = MPI.Get_library_version().split(",")[0].split("\n")[0].replace("Version:", "").split()
    kind = "pmix" if library[:2] == ["Open", "MPI"] else "pmi2"
    mpiexec = f"mpiexec -n {size} python program.py, with the mpiexec of this MPI ({' '.join(library)})"
    if not by_slurm:
        return (
            f"this program was started as one of {size} ranks, but MPI has not joined them, so each would compute all "
            f"of it alone. Start it with {mpiexec}"
        )
    return (
        f"srun started this program {size} times, but MPI has not joined the processes, so each would compute all of "
        f"it alone. Start it with srun --mpi={kind} (srun --mpi=list says what this Slurm has), or inside the job with "
        f"{mpiexec}. Programs that are to be independent leave FrovedisServer.initialize() out"
    )


def cores() -> int:
    """The cores that this program may use: those it is bound to, and in a Slurm job no more than the job has here."""
    bound = len(os.sched_getaffinity(0))
    return min(bound, _number("SLURM_CPUS_ON_NODE", bound))


def cores_of_rank() -> int:
    """This program's share of them among the ranks on this machine."""
    here = _number("MPI_LOCALNRANKS", 0) or _number("OMPI_COMM_WORLD_LOCAL_SIZE", 0) or _tasks_here()
    # srun may have bound each task to its share already; mpiexec has not.
    bound = len(os.sched_getaffinity(0))
    return max(1, min(bound, _number("SLURM_CPUS_ON_NODE", bound) // here))


def _tasks_here() -> int:
    """Tasks of Slurm's step on a machine: of "2(x3),1", two on each of three and one on the last, the most."""
    counts = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "").split(",")
    return max((int(text) for text in (count.partition("(")[0] for count in counts) if text.isdigit()), default=1)


def _number(name: str, otherwise: int = 1) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() and int(text) > 0 else otherwise
