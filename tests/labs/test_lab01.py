"""The exercises of lab 01: what a fused kernel saves, and what that means for a processor."""

import itertools

import numpy
import torch

from labs.exercise_sets import lab01
from tests.labs.three_ways import three_ways

# One trip counted as bytes, all four counted as numbers: each a mistake, with its own answer and words of its message.
BYTES_SAVED = [
    (676_000, "counted once, or four times in floats"),
    (1_352_000, "two trips"),
    (2_028_000, "three trips of four"),
    (4 * 512 * 13 * 13 * 4, "512 channels"),
    (16_000, "one pixel"),
    (21_632_000, "bits"),
    (-2_704_000, "sign"),
    (2.5787, "MiB"),
    (2.704, "MB"),
    (2640.625, "KiB"),
    (2704, "kB"),
    (5_106_112, "what the three layers move"),
    (2_402_112, "what the fused kernel moves"),
    (12, "That is not it"),
    (float("nan"), "That is not it"),
    ("2704000", "without quotes"),
    (True, "without quotes"),
]
INTENSITY = [
    ((0.25, 72.04), "ReLU: That is right for one trip"),
    ((0.5, 72.04), "ReLU: That counts numbers"),
    ((1, 72.04), "ReLU: That is one FLOP for each number"),
    ((8, 72.04), "ReLU: That is bytes for each FLOP"),
    ((72.04, 0.125), "ReLU: That is the fused kernel's"),
    ((3, 72.04), "ReLU: that is not it"),
    ((0.125, 36.02), "Fused: That counts a multiply-add as one"),
    ((0.125, 288.2), "Fused: That counts numbers"),
    ((0.125, 33.89), "Fused: That is with the bytes of three layers"),
    ((0.125, 64.0), "Fused: That is with the bytes that are saved"),
    ((0.125, 494.5), "Fused: That leaves out the weights"),
    ((0.125, 0.01388), "Fused: That is bytes for each FLOP"),
    ((0.125, float("nan")), "Fused: that is not it"),
    (0.125, "a pair of numbers"),
    ((0.125, ...), "a pair of numbers"),
    ((1, 2, 3), "a pair of numbers"),
    ("0.125, 72", "a pair of numbers"),
    ({0.125, 72.04}, "a pair of numbers"),
]


class Strange:
    def __float__(self):
        raise RuntimeError("no number in here")


STRANGE = [[1, 2], numpy.zeros(3), {}, object(), lambda: 0, Strange(), torch.zeros(2)]


def test_bytes_saved():
    numbers = [kind(2_704_000) for kind in (int, float, numpy.int64, numpy.float32, numpy.array, torch.tensor)]
    strange = [(answer, f"of type {type(answer).__name__}") for answer in STRANGE]
    three_ways("01-1", right=numbers, wrong=[*BYTES_SAVED, *strange])


def test_intensity():
    """72.2 is with ReLU, pooling and bias counted, as `explain()` does."""
    pairs = [(0.125, 72), [0.125, 72.2], (1 / 8, lab01.INTENSITY)]
    arrays = [numpy.array([0.125, 72.04]), torch.tensor([0.125, 72.3])]
    three_ways("01-2", right=[*pairs, *arrays], wrong=INTENSITY)


def test_every_known_answer_of_the_table_is_wrong():
    assert lab01.SAVED == 2_704_000
    assert lab01.SAVED not in lab01.KNOWN
    assert len(lab01.KNOWN) == 8  # no two mistakes share a number


def test_no_two_known_mistakes_of_a_pair_are_near_each_other():
    for right, known, count in ((lab01.RELU, lab01.KNOWN_RELU, 5), (lab01.INTENSITY, lab01.KNOWN_FUSED, 6)):
        numbers = sorted([right, *known])
        assert len(known) == count
        assert all(after > 1.05 * before for before, after in itertools.pairwise(numbers))
