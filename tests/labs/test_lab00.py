"""The exercises of lab 00, and what it shows."""

import numpy
import pytest
import torch

from labs import doctor, notebooks
from labs.exercise_sets import lab00
from labs.pictures import lab00 as pictures
from solkit.target import VE, host
from tests.labs.three_ways import three_ways


@pytest.fixture(autouse=True)
def _own_progress(monkeypatch, tmp_path):
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path))


def test_vector():
    here = host().vector_length
    three_ways(
        "00-1",
        right=[here, float(here), str(here), f" {here} ", numpy.int64(here), torch.tensor(here)],
        wrong=[
            (32 * here, "Those are bits"),
            (4 * here, "Those are bytes"),
            (here / 2, "That is for float64"),
            (VE.vector_length, "NEC's Vector Engine"),
            (here + 1, "Look at the row SIMD"),
            ("many", "The answer is a number"),
            (True, "The answer is a number"),
            ([here, here], "could not be checked"),
        ],
    )


def test_engines():
    three_ways(
        "00-2",
        right=[8, 8.0, "8", "eight", "Eight "],
        wrong=[
            (2, "two ordinary processors"),
            (24, "24 ordinary cores"),
            (48, "48 GB"),
            (64, "vector registers"),
            (300, "look at the other"),
            (7, "Take a hint"),
            ("some", "The answer is a number"),
        ],
    )


def test_words_are_numbers():
    assert lab00.WORDS["sixteen"] == 16


def test_machine_says_what_mends_it():
    rows = [
        doctor.Row("Python", doctor.PASSED, True, "3.11", "unused"),
        doctor.Row("MPI", doctor.MISSING, False, "no mpiexec", "pip install mpich"),
        doctor.Row("Disk", doctor.WRONG, True, "full", "delete something"),
    ]
    table = pictures.machine(rows)
    assert table.caption == "Not ready: Disk"
    assert table.rows[0] == ("Python", "ok", "3.11")
    assert table.rows[1] == ("MPI", "missing (optional)", "no mpiexec; to mend it: pip install mpich")
    assert table.rows[2] == ("Disk", "wrong", "full; to mend it: delete something")
    assert pictures.machine(rows[:2]).caption == "This machine is ready for the labs"


def test_map_has_every_lab_and_its_link():
    shown = pictures.Map()
    assert [row[0] for row in shown.rows] == [lab.name for lab in notebooks.every()]
    assert 'href="00_welcome.ipynb"' in shown._repr_html_()
    assert "0 of 2" in repr(shown)


def test_bars():
    picture = pictures.bars({"PyTorch": 3.0, "solkit": 1.5}, "solkit", "A network")
    assert picture.text == "A network: PyTorch 3.0 ms, solkit 1.5 ms."
    assert picture._repr_html_().startswith("<figure")
