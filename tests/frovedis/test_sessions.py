"""Communicators and sessions: the same calls on one process and on ranks."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse

from frovedis_lite.engine.comm import Alone
from frovedis_lite.engine.session import Here, current
from frovedis_lite.errors import ReleasedError


def total(comm, X, factor=1):
    return comm.allreduce(X.sum(0)) * factor


@pytest.mark.parametrize("X", [np.arange(12.0).reshape(6, 2), sparse.csr_matrix(np.arange(12.0).reshape(6, 2))])
def test_one_process(X):
    session = current()
    assert isinstance(session, Here)
    parts = session.scatter(X)
    np.testing.assert_array_equal(np.ravel(session.run(total, parts, factor=2)), [60, 72])
    assert len(session.gather(parts)) == session.size == 1


def test_released():
    parts = Here().scatter(np.ones(3))
    parts.release()
    with pytest.raises(ReleasedError, match="released"):
        Here().gather(parts)
    parts.release()


def test_shut_down():
    session = Here()
    parts = session.scatter([1, 2])
    session.shut_down()
    with pytest.raises(ReleasedError, match="shut down"):
        session.gather(parts)


def test_unknown_operation():
    with pytest.raises(ValueError, match="'sum', 'max', 'min'"):
        Alone().allreduce(1, "mean")


@pytest.mark.parametrize("size", [2, 3])
def test_ranks(size):
    said = on_ranks(
        size,
        """
        import numpy as np
        from frovedis_lite.engine.session import current

        def parts_of(comm, X):
            assert comm.allreduce(len(X)) == 10
            assert comm.exscan(len(X)) == X[0]
            assert comm.allreduce(float(X.max()), "max") == 9
            assert [list(x) for x in comm.allgather(X)][comm.rank] == list(X)
            came = comm.alltoall([(comm.rank, to) for to in range(comm.size)])
            assert came == [(rank, comm.rank) for rank in range(comm.size)]
            assert comm.bcast(comm.rank, root=comm.size - 1) == comm.size - 1
            return comm.allreduce(X.astype(np.float32).reshape(-1)[:2])

        session = current()
        X = session.scatter(np.arange(10))
        made = session.run(parts_of, X)
        squares = session.run_parts(lambda comm, X: X**2, X)
        assert list(np.concatenate(session.gather(squares))) == [i * i for i in range(10)]
        if session.comm.rank == 0:
            print(session.size, made.dtype, made[0] > 0)
        """,
    )
    assert said.split() == [str(size), "float32", "True"]
