"""Keras' backend is chosen when it is first imported: torch, unless the environment says otherwise."""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(autouse=True, scope="session")
def _no_measuring():
    """Which implementation is chosen must not depend on what else the machine does."""
    import solkit as sol

    sol.config["autotuning"] = "off"
    yield
    del sol.config["autotuning"]


@pytest.fixture(autouse=True)
def _own_names():
    """Keras numbers layers through a whole process; each test begins anew."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
