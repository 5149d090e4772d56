"""Started ranks: data there and back, and what goes wrong in a function."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
from clusters import forever, leftovers, many_sums, needs_mpi, total
from scipy import sparse

from frovedis_lite.engine import cluster as engine
from frovedis_lite.engine import wire
from frovedis_lite.engine.cluster import ClusterSession
from frovedis_lite.engine.session import use
from frovedis_lite.errors import RankError, ReleasedError
from frovedis_lite.matrix.dense import FrovedisRowmajorMatrix
from frovedis_lite.mllib.base import to_ranks

pytestmark = needs_mpi
rng = np.random.default_rng(0)
X = rng.standard_normal((1001, 7))
S = sparse.random_array((500, 40), density=0.1, format="csr", rng=rng, dtype=np.float32)


@pytest.fixture(scope="module")
def session():
    made = ClusterSession("mpiexec", 2)
    yield made
    folders = made._processes.folder
    made.shut_down()
    assert leftovers(folders) == []


class OneArgument(Exception):
    """Can be pickled, but not read again."""

    def __init__(self, first, second):
        super().__init__(first)


def raises(comm, error, ranks):
    """Some ranks raise, the others wait for them."""
    if comm.rank in ranks:
        raise error
    comm.allreduce(1)
    return comm.gather(comm.rank)


def raises_here(comm):
    if comm.rank == 1:
        raise OneArgument(1, 2)
    comm.barrier()


def sleeps(comm, seconds):
    if comm.rank == 0:
        raise KeyError("early")
    time.sleep(seconds)


def scale(comm, X, by):
    X *= by  # what came over the wire can be written to
    return X


@pytest.mark.parametrize(
    "rows",
    [
        X,
        X.astype(np.float32),
        np.asfortranarray(X),
        X[::2, 1:],
        np.arange(3),
        np.zeros((1, 4)),
        np.zeros((0, 4)),
        np.array(["a", "bc", "d"]),
        np.array([1, "x", None], object),
        rng.standard_normal((300, 1000)),  # large enough for files
    ],
    ids=lambda rows: f"{rows.dtype}-{rows.shape}",
)
def test_arrays(session, rows):
    came = session.gather(session.scatter(rows))
    assert len(came) == 2
    assert all(part.dtype == rows.dtype and part.flags.writeable for part in came)
    np.testing.assert_array_equal(np.concatenate(came), rows)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
def test_sparse(session, kind):
    came = session.gather(session.scatter(kind(S)))
    assert all(isinstance(part, kind) and part.dtype == np.float32 for part in came)
    assert (sparse.vstack(came) != S).nnz == 0


def test_list(session):
    assert session.gather(session.scatter(["a", {"b": 1}, None])) == [["a"], [{"b": 1}, None]]


def test_aligned_and_writable(session):
    def look(comm, X):
        return X.ctypes.data % 16, X.flags.writeable

    for rows in (X, rng.standard_normal((3000, 100))):
        assert session.run(look, session.scatter(rows)) == (0, True)


def test_data_stays(session):
    """Parts are the same from one call to the next, and results may stay too."""
    parts = session.scatter(X)
    for _ in range(3):
        session.run_parts(scale, parts, 2.0)
    np.testing.assert_allclose(np.concatenate(session.gather(parts)), 8 * X)
    squares = session.run_parts(lambda comm, X: X**2, X=parts)
    np.testing.assert_allclose(np.concatenate(session.gather(squares)), 64 * X**2)
    assert session.run(lambda comm, A, B: comm.allreduce(int((A**2 == B).all())), parts, squares) == 2


def test_to_ranks(session):
    use(session)
    try:
        table = to_ranks(FrovedisRowmajorMatrix(X), y=X[:, 0])
    finally:
        use(None)
    assert session.run(lambda comm, X, y: comm.allreduce(int((X[:, 0] == y).all())), table.X, table.y) == 2


def test_sizes_agree(session):
    made = [session.run(total, session.scatter(X), factor=3)]
    for size in (1, 4):
        other = ClusterSession("mpiexec", size)
        with contextlib.closing(types.SimpleNamespace(close=other.shut_down)):
            made.append(other.run(total, other.scatter(X), factor=3))
            assert other.run(lambda comm: (comm.rank, comm.size)) == (0, size)
    for result in made:
        np.testing.assert_allclose(result, 3 * X.sum(0), rtol=1e-12)


def test_dropped(session):
    """The ranks forget what nobody holds any more, and parts of calls that failed."""

    def parts_and_bytes():
        return [line[4:] for line in session.describe()]

    gc.collect()
    before = parts_and_bytes()
    parts = session.scatter(X)
    assert parts_and_bytes()[0] == (before[0][0] + 1, before[0][1] + X[:500].nbytes)
    del parts
    assert parts_and_bytes() == before
    with pytest.raises(ValueError, match="bad"):
        session.run_parts(raises, ValueError("bad"), [1])
    assert parts_and_bytes() == before
    parts = session.scatter(X)
    parts.release()
    with pytest.raises(ReleasedError):
        session.run(total, parts)
    assert parts_and_bytes() == before


def test_prints_and_warnings(session, capsys):
    """What a function says on the ranks is seen here: prints with the rank, warnings once."""

    def says(comm):
        print("hello")
        warnings.warn(f"careful at {comm.size}", RuntimeWarning, stacklevel=1)
        return np.zeros(1) / np.zeros(1)

    with pytest.warns(RuntimeWarning) as caught:
        session.run(says)
    assert sorted(str(warning.message) for warning in caught) == [
        "careful at 2",
        "invalid value encountered in divide",
    ]
    assert capsys.readouterr().out == "rank 0: hello\nrank 1: hello\n"


def test_same_bits(session):
    """Sums are the same on all ranks to the last bit, so that all take the same decisions."""

    def differ(comm):
        X = np.random.default_rng(comm.rank).standard_normal(50_000)
        made = comm.allgather((comm.allreduce(X), comm.allreduce(X[:7]), comm.allreduce(float(X[0]))))
        return [any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(made[0], one, strict=True)) for one in made]

    assert session.run(differ) == [False, False]


def test_estimator(session):
    """An estimator finds the ranks by itself, and says the same as on one process."""
    from frovedis_lite.engine.session import use
    from frovedis_lite.mllib.naive_bayes import GaussianNB

    y = (X[:, 0] > 0).astype(int)
    alone = GaussianNB().fit(X, y)
    try:
        use(session)
        model = GaussianNB().fit(X, y)
        assert (model.predict(X) == alone.predict(X)).all()
    finally:
        use(None)
    np.testing.assert_allclose(model.theta_, alone.theta_, rtol=1e-12)


def test_another_session(session):
    from frovedis_lite.engine.session import Here

    with pytest.raises(ValueError, match="another session"):
        session.run(total, Here().scatter(X))


@pytest.mark.parametrize("ranks", [[0], [1], [0, 1]])
def test_exception(session, ranks):
    """The type and text of the exception survive, with the traceback; so does what is on the ranks."""
    parts, pids = session.scatter(X), session.pids
    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="too small") as caught:
        session.run(raises, ZeroDivisionError("too small", 7), ranks)
    assert time.monotonic() - begin < engine.GRACE
    assert caught.value.args == ("too small", 7)
    assert f"On rank {ranks[0]} of 2:\n" in caught.value.__notes__[0]
    assert "raise error" in caught.value.__notes__[0]
    assert session.pids == pids
    np.testing.assert_allclose(session.run(total, parts), X.sum(0))


def test_exception_that_cannot_travel(session):
    with pytest.raises(RankError, match=r"(?s)On rank 1 of 2.*OneArgument"):
        session.run(raises_here)
    with pytest.raises(RankError, match="SystemExit"):
        session.run(lambda comm: sys.exit(3))
    with pytest.raises(TypeError, match="pickle"):
        session.run(lambda comm: threading.Lock())
    with pytest.raises(TypeError, match="pickle"):
        session.run(lambda comm, lock: 1, threading.Lock())
    assert session.run(many_sums, 3) == 3


def test_hangs(monkeypatch):
    """A rank that does not come back is ended, and the next call finds new ones."""
    monkeypatch.setattr(engine, "GRACE", 1.0)
    session = ClusterSession("mpiexec", 2)
    try:
        parts, pids, folder = session.scatter(X), session.pids, session._processes.folder
        with pytest.raises(KeyError, match="early"):
            session.run(sleeps, 100)
        assert leftovers(folder) == []
        with pytest.raises(ReleasedError, match="restarted"):
            session.run(total, parts)
        assert session.run(many_sums, 3) == 3
        assert not set(session.pids) & set(pids)
        with pytest.raises(ReleasedError, match="restarted"):
            session.gather(parts)
    finally:
        session.shut_down()


@pytest.mark.parametrize("function", [forever, lambda comm: time.sleep(60)], ids=["forever", "sleep"])
def test_interrupt(session, function):
    """Control-C stops the ranks, and they can be used again."""
    parts, pids = session.scatter(X), session.pids
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        session.run(function)
    timer.join()
    assert session.pids == pids
    np.testing.assert_allclose(session.run(total, parts), X.sum(0))


def test_module_the_ranks_do_not_have(session):
    module = types.ModuleType("only_here")
    exec(
        "import numpy as np\ndef double(comm, X): return np.asarray(X) * helper()\ndef helper(): return 2", vars(module)
    )
    sys.modules["only_here"] = module
    try:
        assert list(session.run(module.double, [1, 2])) == [2, 4]
    finally:
        del sys.modules["only_here"]


def test_threads_share_the_session(session):
    made = []
    threads = [threading.Thread(target=lambda i=i: made.append(session.run(many_sums, i))) for i in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(1, 9))


def test_threads_of_ranks(session):
    names = ("FROVEDIS_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    said = session.run(lambda comm: [os.environ[name] for name in names])
    assert said == [str(max(1, len(os.sched_getaffinity(0)) // 2))] * 3


def test_no_files_left(session):
    """Large data goes through files, which are gone when the call is over, and no room for them is no error."""
    large = rng.standard_normal((1000, 1000))
    session.gather(session.scatter(large))
    assert list(session._processes.folder.glob("part-*")) == []


def test_no_room_for_files(tmp_path):
    packed = wire.Packed(large := rng.standard_normal((300, 1000)), tmp_path / "nowhere")
    assert not packed.files
    np.testing.assert_array_equal(wire.unpack(packed.frames), large)
