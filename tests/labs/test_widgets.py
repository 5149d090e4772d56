"""Widgets of our own."""

import pytest

from labs.widgets import Slider


def test_slider_tells_who_listens():
    seen = []
    slider = Slider("rows", 3, 1, 9)
    slider.observe(lambda change: seen.append(change["new"]), "value")
    slider.value = 4
    assert seen == [4]
    assert Slider("noise", 0.3, 0, 0.8, 0.05, continuous_update=False).value == 0.3


@pytest.mark.parametrize(
    ("value", "words"), [(10, "rows: 10 is not between 1 and 9"), ("3", "rows: '3' is not a number")]
)
def test_slider_keeps_its_limits(value, words):
    slider = Slider("rows", 3, 1, 9)
    with pytest.raises(ValueError, match=words):
        slider.value = value
    with pytest.raises(ValueError, match=words):
        Slider("rows", value, 1, 9)
    assert slider.value == 3
    slider.max = 2
    assert slider.value == 2
