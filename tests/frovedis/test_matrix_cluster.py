"""Matrices and linear algebra on ranks that this program has started."""

import numpy as np
import pytest
from clusters import needs_mpi
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence

from frovedis_lite import linalg
from frovedis_lite.engine import session as sessions
from frovedis_lite.engine.cluster import ClusterSession
from frovedis_lite.errors import ReleasedError
from frovedis_lite.matrix.ccs import FrovedisCCSMatrix
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix, FrovedisColmajorMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.jds import FrovedisJDSCRSHybridMatrix
from frovedis_lite.matrix.wrapper import SCALAPACK

pytestmark = needs_mpi


@pytest.fixture(scope="module", autouse=True)
def session():
    made = ClusterSession("mpiexec", 2)
    sessions.use(made)
    yield made
    sessions.use(None)
    made.shut_down()


@pytest.mark.parametrize("kind", [FrovedisRowmajorMatrix, FrovedisColmajorMatrix, FrovedisBlockcyclicMatrix])
def test_dense(kind, tmp_path):
    A = np.random.default_rng(0).normal(size=(150, 150))
    made = kind(A)
    np.testing.assert_array_equal(made.T.to_numpy_array(), A.T)
    np.testing.assert_allclose(linalg.inv(made).to_numpy_array(), np.linalg.inv(A), atol=1e-9)
    np.testing.assert_allclose(linalg.dot(made, made).to_numpy_array(), A @ A, atol=1e-11)
    np.testing.assert_allclose(linalg.svd(made)[1], np.linalg.svd(A)[1], atol=1e-11)
    made.save_binary(tmp_path / "a")
    np.testing.assert_array_equal(kind().load_binary(tmp_path / "a").to_numpy_array(), A)
    right = FrovedisBlockcyclicMatrix(A[:, :2])
    assert SCALAPACK.gesv(FrovedisBlockcyclicMatrix(made), right) == 0
    np.testing.assert_allclose(right.to_numpy_array(), np.eye(150)[:, :2], atol=1e-9)


@pytest.mark.parametrize("kind", [FrovedisCRSMatrix, FrovedisCCSMatrix, FrovedisJDSCRSHybridMatrix])
def test_sparse(kind, tmp_path):
    A = sparse.random(60, 40, 0.2, "csr", rng=np.random.default_rng(0))
    made = kind(A)
    assert made.nnz == A.nnz
    assert (made.T.to_scipy_matrix() != A.T).nnz == 0
    np.testing.assert_allclose(made.dot(np.arange(40.0)), A @ np.arange(40.0))
    np.testing.assert_allclose(linalg.svds(made, 3)[1], np.linalg.svd(A.toarray())[1][:3])
    made.save(tmp_path / "a")
    assert (kind().load_text(tmp_path / "a", columns=40).to_scipy_matrix() != A).nnz == 0


def test_errors_keep_their_types(tmp_path):
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        linalg.inv(np.ones((100, 100)))
    with pytest.raises(FileNotFoundError):
        FrovedisCRSMatrix(tmp_path / "none")
    (tmp_path / "a").write_text("0:1\n0:2\nx\n0:3\n")
    with pytest.raises(ValueError, match="line 3: not column:value"):
        FrovedisCRSMatrix(tmp_path / "a")
    A = sparse.random(90, 90, 0.2, "csr", rng=np.random.default_rng(0))
    with pytest.raises(ArpackNoConvergence):
        linalg.eigsh(A + A.T, 3, maxiter=1, ncv=4, tol=1e-15)
    made = FrovedisCRSMatrix(A)
    made.release()
    with pytest.raises(ReleasedError):
        made.dot(np.ones(90))
