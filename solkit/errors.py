"""Every error solkit raises on purpose. Each names what was wrong and says what to do about it."""


def first_line(error: Exception) -> str:
    """The first line of what an error says that is not empty, or its name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class SolError(Exception):
    """Base of all errors raised by solkit."""


class ModelError(SolError, TypeError):
    """The thing to optimize is no `torch.nn.Module`, or does something solkit cannot capture."""


class InputError(SolError, ValueError):
    """Inputs differ in number, structure, shape, dtype or device from those the model was optimized for."""


class DeployError(SolError, ValueError):
    """A model cannot be deployed as asked, or its folder not be written."""


class ConfigError(SolError, ValueError):
    """An unknown option of `sol.config`, or a value it cannot take."""


class ToolchainError(SolError, RuntimeError):
    """No C compiler was found, or the one in use failed."""


class CacheError(SolError, OSError):
    """The cache directory cannot be used and no replacement could be made."""


class GraphError(SolError, AssertionError):
    """An invariant of the intermediate representation does not hold: a bug in a frontend or a pass."""


class NumericsError(SolError, ArithmeticError):
    """The compiled model does not agree with PyTorch on the example inputs."""
