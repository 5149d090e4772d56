"""Deployed networks for the tests of this folder, each made once."""

import sys
from pathlib import Path

import pytest

import solkit as sol

sys.path.insert(0, str(Path(__file__).parent))
import networks


@pytest.fixture(scope="session", autouse=True)
def _no_tuning():
    before = sol.config["autotuning"]
    sol.config["autotuning"] = "off"
    yield
    sol.config["autotuning"] = before


@pytest.fixture(scope="session")
def deployed(tmp_path_factory):
    """A function that gives the folder of a network deployed with these options."""
    made = {}

    def deploy(name, **options):
        key = (name, *sorted(options.items(), key=str))
        if key not in made:
            model, inputs = networks.make(name)
            folder = tmp_path_factory.mktemp("deployed") / name
            made[key] = sol.deploy(model, inputs, lib_name=name, func_name=f"run_{name}", path=folder, **options)
        return made[key]

    return deploy
