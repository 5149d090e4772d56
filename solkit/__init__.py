"""solkit: a compact optimizer for neural networks on CPUs, after NEC's SOL.

import solkit as sol

sol_model = sol.optimize(model, x)
y = sol_model(x)
print(sol_model.explain())
"""

__version__ = "0.1.0"

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
