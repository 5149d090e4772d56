"""The exercises of lab 05, and what the lab shows and builds."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import solkit as sol
from labs.exercise_sets import lab05 as exercises
from labs.pictures import lab05
from solkit.deploy.folder import HEADER
from tests.labs.three_ways import three_ways


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A deployed network for images of 8 x 8."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    path = tmp_path_factory.mktemp("lab05") / "digits"
    inputs = [torch.zeros(1, 1, 8, 8)]
    return sol.deploy(model, inputs, lib_name="digits", func_name="digits", path=path, device=lab05.here())


RIGHT = "digits_context *c = digits_init(0); digits(c, image, scores); digits_free(c);"
ONCE = """
static digits_context *context;
if (!context) context = digits_init(0);
if (digits(context, image, scores)) return 1;
if (0) digits_free(context);
"""


def test_05_1(folder):
    mistakes = (
        (RIGHT.replace("0);", "0)"), "does not compile"),
        ("digit(context, image, scores);", "does not compile"),
        ("scores[3] = 1;", "never calls the network"),
        (RIGHT.replace("image, scores", "scores, image"), "other digits"),
        (RIGHT.replace("digits_free(c);", ""), "Give the context back"),
        ("int *volatile nothing = 0; *nothing = 1;", "it crashes"),
    )
    wrong = [(lab05.program(lines, folder), words) for lines, words in mistakes]
    right = [lab05.program(lines, folder) for lines in (RIGHT, ONCE)]
    three_ways("05-1", right, [*wrong, (RIGHT, "what lab05.program gives"), (3, "what lab05.program gives")])


def test_dots_stay_dots(folder):
    assert lab05.program(..., folder) is ...


def test_05_2():
    assert exercises.HEADER_BYTES == HEADER
    three_ways(
        "05-2",
        right=[(64, "d", "b"), [64.0, "(D)", " b "], (np.int64(64), "d", "b")],
        wrong=[
            ((52160, "d", "b"), "That is a size"),
            ((16, "d", "b"), "not the difference"),
            ((64, "b", "d"), "exchanged"),
            ((64, "a", "b"), "one copy for each"),
            ((64, "d", "e"), "compression"),
            ((64, "d", "d"), "the other difference"),
            ((64, "z", "b"), "there is no reason"),
            (64, "could not be checked"),
            ("64, d, b", "a number and two letters"),
            ((64, "d"), "a number and two letters"),
        ],
    )


def test_05_3(folder):
    named = re.findall(r"^    digits_([A-Z_]+)(?: = 0)?,? ", (folder / "digits.h").read_text().replace(",", ", "), re.M)
    assert tuple(named[: len(exercises.CODES)]) == exercises.CODES
    three_ways(
        "05-3",
        right=[2, 2.0, np.int32(2), "digits_WRONG_SIZE", "wrong_size"],
        wrong=[
            (0, "all went well"),
            (1, "NULL_POINTER"),
            ("OK", "all went well"),
            (255, "That is no code"),
            ("too short", "no code of that name"),
            (True, "whole number"),
            (1.5, "whole number"),
        ],
    )


def choices(**changed):
    right = {
        "server": (sol.deployment.shared_lib, sol.device.x86),
        "camera": (sol.deployment.static_lib, sol.device.arm64),
        "aurora": (sol.deployment.static_lib, sol.device.ve),
        "distribution": (sol.deployment.source, sol.device.x86),
    }
    return right | changed


def test_05_4():
    three_ways(
        "05-4",
        right=[choices(), choices(server=["shared_lib", "X86"], aurora=("sol.deployment.static_lib", sol.device.ve))],
        wrong=[
            (choices(server=("static_lib", "x86")), "a shared one"),
            (choices(camera=("shared_lib", "arm64")), "in one file"),
            (choices(camera=("static_lib", "x86")), "another processor"),
            (choices(aurora=("shared_lib", "ve")), "No linker here"),
            (choices(distribution=("shared_lib", "x86")), "compile it themselves"),
            (choices(server=("x86", "shared_lib")), "the target comes first"),
            (choices(server="x86"), "a pair"),
            (choices(camera=...), "no choice yet for camera"),
            ([1], "a dictionary"),
        ],
    )


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_the_example_runs_from_a_folder_of_its_own(folder, tmp_path):
    lab05.build_example(folder, tmp_path / "elsewhere")
    assert sorted(file.name for file in (tmp_path / "elsewhere").iterdir()) == ["example", "libdigits.so"]
    assert "the median of 20" in lab05.run_example(tmp_path / "elsewhere")


def test_the_files_of_a_folder(folder):
    table = repr(lab05.folder(folder))
    for words in ("libdigits.so", "as a shared library", "the header", "digits/"):
        assert words in table
    assert all(row[2] for row in lab05.folder(folder).rows)
    assert lab05.weights_of(folder) >= 4 * 640
    assert lab05.levels_of(folder)


def test_pictures():
    for picture, words in (
        (lab05.digits(np.zeros((3, 8, 8)), [1, 2, 3]), "1, 2, 3"),
        (lab05.levels({"x86-64-v4": 0.01, "x86-64": 0.02}), "x86-64-v4 0.0100 ms"),
        (lab05.starts(), "14.8 ms"),
    ):
        assert words in picture.text
        assert "<img alt=" in picture._repr_html_()
    assert "Shipped result" in lab05.starts().caption


def test_a_verdict_is_a_picture_with_a_text():
    scores = np.zeros(10, np.float32)
    scores[7] = 20
    page = lab05.verdict(np.zeros((1, 8, 8), np.float32), scores, 3)
    assert page.count("<rect") == 64 + 10
    assert 'aria-label="The library says 7, with 100.0%; it is a 3."' in page
