"""sol.config: known names, checked values, defaults."""

import pytest

import solkit as sol
from solkit.config import OPTIONS


@pytest.fixture(autouse=True)
def _as_before():
    before = {name: sol.config[name] for name in sol.config}
    yield
    for name, value in before.items():
        sol.config[name] = value


BAD = {
    "threads": [0, -1, 2.0, "2", True, 10**6],
    "verify": [1, "yes", None],
    "cache::path": [3],
    "compiler::name": ["", "  ", 7],
    "log::level": ["LOUD", 10],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_values_are_refused_with_what_is_allowed(name, value):
    with pytest.raises(sol.ConfigError, match="it takes"):
        sol.config[name] = value


@pytest.mark.parametrize(("wrong", "meant"), [("thread", "threads"), ("compiler:name", "compiler::name")])
def test_unknown_names_get_the_nearest(wrong, meant):
    with pytest.raises(sol.ConfigError, match=f"did you mean '{meant}'"):
        sol.config[wrong] = 1
    with pytest.raises(sol.ConfigError):
        sol.config[wrong]


def test_setting_and_forgetting():
    sol.config["threads"] = 3
    assert sol.config["threads"] == 3
    del sol.config["threads"]
    assert sol.config["threads"] is OPTIONS["threads"].default is None


def test_printing_shows_every_option(capsys):
    sol.config["threads"] = 5
    sol.config.print()
    shown = capsys.readouterr().out
    assert all(name in shown for name in OPTIONS)
    assert "5" in shown
    assert dict(sol.config)["threads"] == 5
