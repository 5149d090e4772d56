"""Choices between implementations: measured once, kept, measured again when damaged, and never when turned off."""

import json
from collections import Counter

import pytest
import torch
from compare import Calls, images
from torch import nn

import solkit as sol
from solkit import autotune
from solkit.codegen.winograd import ALGORITHMS

NAMES = {*ALGORITHMS, "direct"}


@pytest.fixture(autouse=True)
def _measuring(settings, cache_folder):
    settings["autotuning"] = "on"


@pytest.fixture
def measured(monkeypatch):
    """How many kinds of cluster each measurement was about."""
    found, measure = [], autotune._measure

    def count(graph, clusters, unknown, *others):
        found.append(len(unknown))
        return measure(graph, clusters, unknown, *others)

    monkeypatch.setattr(autotune, "_measure", count)
    return found


def model_of(channels=16, outputs=16):
    return nn.Sequential(nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()).eval()


X = images(1, 16, 8, 9)


def chosen(made):
    """The row with a choice."""
    (row,) = (row for row in made.explain().rows if row.choice)
    return row


def choices(cache_folder):
    return sorted(cache_folder.glob("*/choice.json"))


def test_the_fastest_is_chosen_and_the_others_are_shown(measured):
    row = chosen(sol.optimize(model_of(), X))
    assert measured == [1]
    assert {row.choice, *(name for name, _ in row.losers)} == NAMES
    assert all(ms > 0 for _, ms in row.losers)
    assert row.choice in row.implementation
    assert "slower: " in row.implementation


def test_a_choice_is_kept_and_found_again(measured, cache_folder):
    first = chosen(sol.optimize(model_of(), X))
    (kept,) = choices(cache_folder)
    times = json.loads(kept.read_text())
    assert set(times) == NAMES
    assert min(times, key=times.get) == first.choice
    again = chosen(sol.optimize(model_of(), X))  # other weights, the same shapes
    assert (again.choice, again.losers) == (first.choice, first.losers)
    assert measured == [1]


def test_what_the_file_says_is_done(cache_folder):
    """Each implementation by its turn: it is the one in the code, and the result is the same."""
    model, results = model_of(), []
    sol.optimize(model, X)
    (kept,) = choices(cache_folder)
    for name in sorted(NAMES):
        rewrite(kept, json.dumps({other: 1.0 + (other != name) for other in NAMES}))
        made = sol.optimize(model, X)
        assert chosen(made).choice == name
        assert ("winograd.h" in made.explain().source()) == (name != "direct")
        results.append(made(X))
    torch.testing.assert_close(results[1:], results[:1] * 2, rtol=1e-4, atol=1e-4)


def rewrite(path, text):
    """Put another text into a file of the cache, and into the manifest beside it."""
    import hashlib

    path.write_text(text)
    manifest = path.parent / "manifest.json"
    listed = json.loads(manifest.read_text())
    listed[path.name] = hashlib.sha256(text.encode()).hexdigest()
    manifest.write_text(json.dumps(listed))


def test_a_damaged_file_is_measured_again(measured, cache_folder):
    sol.optimize(model_of(), X)
    (kept,) = choices(cache_folder)
    kept.write_text(kept.read_text()[:-9])
    assert chosen(sol.optimize(model_of(), X)).choice in NAMES
    assert measured == [1, 1]
    assert set(json.loads(kept.read_text())) == NAMES


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"none such": 1.0}', '{"direct": "fast"}'], ids=repr)
def test_a_file_that_says_something_else_is_measured_again(text, measured, cache_folder):
    sol.optimize(model_of(), X)
    (kept,) = choices(cache_folder)
    rewrite(kept, text)
    assert chosen(sol.optimize(model_of(), X)).choice in NAMES
    assert measured == [1, 1]


def test_off_measures_nothing(measured, settings, cache_folder):
    settings["autotuning"] = "off"
    row = chosen(sol.optimize(model_of(), X))
    assert (row.choice, row.losers) == ("winograd 4x4", ())
    assert measured == []
    assert choices(cache_folder) == []


def test_what_has_one_implementation_is_not_measured(measured):
    made = sol.optimize(nn.Sequential(nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Linear(9, 4)).eval(), X)
    assert measured == []
    assert all(row.choice is None for row in made.explain().rows)


def test_clusters_of_one_kind_are_measured_together(measured, cache_folder):
    """Three convolutions of one kind, one of another: two choices, the same for the three."""
    alike = Calls(lambda m, x: [torch.relu(layer(x)) for layer in m.layers] + [m.other(x)])
    alike.layers, alike.other = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)), nn.Conv2d(16, 20, 3)
    made = sol.optimize(alike.eval(), X)
    assert measured == [2]
    assert len(choices(cache_folder)) == 2
    counted = Counter((row.choice, row.losers) for row in made.explain().rows if row.choice)
    assert sorted(counted.values()) == [1, 3]


@pytest.mark.parametrize("change", ["shape", "batch", "epilogue", "channels"])
def test_another_kind_is_measured_anew(change, measured):
    sol.optimize(model_of(), X)
    other, x = {
        "shape": (model_of(), images(1, 16, 8, 10)),
        "batch": (model_of(), images(2, 16, 8, 9)),
        "epilogue": (model_of()[0], X),
        "channels": (model_of(16, 20), X),
    }[change]
    sol.optimize(other, x)
    assert measured == [1, 1]


def test_threads_are_part_of_the_key(measured, settings, monkeypatch):
    for threads in (1, 2, 1):
        settings["threads"] = threads
        sol.optimize(model_of(), X)
    assert measured == [1, 1]
    del settings["threads"]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    sol.optimize(model_of(), X)
    assert measured == [1, 1, 1]


def test_full_is_measured_for_itself(measured, settings):
    sol.optimize(model_of(), X)
    settings["autotuning"] = "full"
    sol.optimize(model_of(), X)
    assert measured == [1, 1]


@pytest.mark.parametrize("value", ["yes", True, None, "ON"])
def test_other_settings_are_refused(value):
    with pytest.raises(sol.ConfigError, match=r"autotuning.*'off', 'on' or 'full'"):
        sol.config["autotuning"] = value
