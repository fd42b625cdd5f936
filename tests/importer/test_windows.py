"""Windows by name."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from importer.windows import Window, apply, asked_for, automatic, choose


def test_the_label_config_says_which_windows_are_wanted():
    config = (
        '<View><Image name="a" value="$image"/><Image name="b" value="$image_lung"/>'
        '<Image name="c" value="$image_bone"/></View>'
    )
    assert asked_for(config) == ("header", "lung", "bone")
    assert asked_for("<View/>") == ("header",)
    with pytest.raises(ValueError, match="choose of"):
        asked_for('<View><Image name="a" value="$image_toe"/></View>')
    with pytest.raises(ValueError, match="no XML"):
        asked_for("<View>")


def test_percentiles_of_a_histogram_are_those_of_its_values():
    generator = np.random.default_rng(0)
    values = generator.integers(-1000, 1000, 100_000)
    distinct, counts = np.unique(values, return_counts=True)
    shuffled = generator.permutation(len(distinct))
    quick = automatic(distinct[shuffled].astype(float), counts[shuffled])
    slow = automatic(values.astype(float))
    assert quick.low == pytest.approx(slow.low, abs=1)
    assert quick.high == pytest.approx(slow.high, abs=1)


def test_a_flat_or_empty_image_has_a_window_too():
    assert automatic(np.array([5.0, 5.0])) == Window(5.0, 6.0)
    assert automatic(np.array([])) == Window(0.0, 1.0)
    assert automatic(np.array([]), np.array([], dtype=np.int64)) == Window(0.0, 1.0)


@pytest.mark.parametrize(
    ("center", "width"), [("abc", "400"), ("40", "0"), ("40", "-5"), ("nan", "inf"), ([], [])]
)
def test_a_window_that_makes_no_sense_is_passed_over(center, width):
    dataset = Dataset()
    for tag, value in ((0x00281050, center), (0x00281051, width)):
        dataset.add_new(tag, "LO", value)
    assert choose("header", dataset) is None


def test_a_window_of_width_one_is_a_threshold():
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = "10", "1"
    shown = apply(np.array([0.0, 9.0, 10.0, 20.0]), choose("header", dataset))
    assert shown.tolist() == [0, 0, 255, 255]
