"""Every error frovedis_lite raises on purpose that scikit-learn and NumPy have no type for."""


class FrovedisError(Exception):
    """Base of the errors of this package."""


class ServerError(FrovedisError, RuntimeError):
    """The ranks cannot be started, are up already, or one of them died."""


class RankError(FrovedisError, RuntimeError):
    """A rank raised an exception that cannot be brought here as it is; the text has its type and traceback."""


class ReleasedError(FrovedisError, RuntimeError):
    """Data on the ranks that was released, or whose ranks were shut down."""
