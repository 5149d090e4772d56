"""solkit: a compact optimizer for neural networks on CPUs, after NEC's SOL.

import solkit as sol

sol_model = sol.optimize(model, x)
y = sol_model(x)
print(sol_model.explain())
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from solkit import cache
    from solkit.config import config
    from solkit.deploy import deploy, deployment, device
    from solkit.errors import (
        CacheError,
        ConfigError,
        DeployError,
        GraphError,
        InputError,
        ModelError,
        NumericsError,
        SolError,
        ToolchainError,
    )
    from solkit.info import devices, seed, seeds, set_seed, versions
    from solkit.inputs import Input as input
    from solkit.module import SolModule
    from solkit.optimize import optimize
    from solkit.verify import Verification, verify

_ERRORS = "CacheError ConfigError DeployError GraphError InputError ModelError NumericsError SolError ToolchainError"
# Where each public name comes from. It is imported when it is first asked for: frovedis_lite uses the toolchain and the
# cache in here, and has no need of PyTorch, which takes a second to import.
_HOMES = {
    "cache": "cache",
    "config": "config",
    **dict.fromkeys(("deploy", "deployment", "device"), "deploy"),
    **dict.fromkeys(_ERRORS.split(), "errors"),
    **dict.fromkeys(("devices", "seed", "seeds", "set_seed", "versions"), "info"),
    "input": "inputs",
    "SolModule": "module",
    "optimize": "optimize",
    **dict.fromkeys(("Verification", "verify"), "verify"),
}
_OTHER_NAMES = {"input": "Input"}

__all__ = [
    "CacheError",
    "ConfigError",
    "DeployError",
    "GraphError",
    "InputError",
    "ModelError",
    "NumericsError",
    "SolError",
    "SolModule",
    "ToolchainError",
    "Verification",
    "cache",
    "config",
    "deploy",
    "deployment",
    "device",
    "devices",
    "input",
    "optimize",
    "seed",
    "seeds",
    "set_seed",
    "verify",
    "versions",
]


class _Package(ModuleType):
    """This package, in which `optimize` is the function, also when Python has imported the module of that name."""

    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{_HOMES.get(name, name)}"
        try:
            if name.startswith("_"):
                raise ModuleNotFoundError(name=path)
            home = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
        if name not in _HOMES:  # a module, `sol.errors`
            return home
        found = home if name == "cache" else getattr(home, _OTHER_NAMES.get(name, name))
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and name != "cache" and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
