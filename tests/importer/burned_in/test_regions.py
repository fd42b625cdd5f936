"""The declared regions of ultrasound, and declarations that lie."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from importer.burned_in import Care, blacken, care_for
from importer.burned_in.regions import RegionsError, kept_regions, outside

from .drawing import ultrasound


def test_the_last_pixel_of_a_region_is_inside():
    assert kept_regions(ultrasound((20, 40, 299, 239, 1))) == ((40, 20, 240, 300),)


def test_drawn_regions_are_not_kept():
    dataset = ultrasound((20, 40, 150, 200, 1), (160, 40, 300, 200, 5), (160, 210, 300, 250, 0))
    assert kept_regions(dataset) == ((40, 20, 201, 151),)


def test_what_is_outside_is_black_and_what_is_inside_is_untouched():
    image = np.random.default_rng(0).integers(1, 256, (256, 320), dtype=np.uint8)
    regions = ((40, 20, 120, 150), (100, 100, 200, 300), (210, 10, 220, 30))
    inside = np.zeros(image.shape, dtype=bool)
    for row0, column0, row1, column1 in regions:
        inside[row0:row1, column0:column1] = True
    rest = outside(regions, *image.shape)
    black = blacken(image, rest)
    assert (black[~inside] == 0).all()
    assert np.array_equal(black[inside], image[inside])
    assert sum((r1 - r0) * (c1 - c0) for r0, c0, r1, c1 in rest) == (~inside).sum()


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        ((300, 40, 20, 240, 1), "invalid"),  # ends before it starts
        ((20, 40, 20, 240, 1), "invalid"),  # empty
        ((20, 40, 4_000_000_000, 240, 1), "invalid"),
        ((20, 40, 300, 257, 1), "invalid"),  # below the image
        ((0, 0, 319, 255, 1), "cover-all"),
        ((0, 0, 320, 256, 1), "cover-all"),
        ((20, 40, 300, 240, 5), "without-regions"),
    ],
)
def test_regions_that_cannot_be_trusted_hold_the_image(region, reason):
    verdict = care_for(ultrasound(region))
    assert verdict.care is Care.HOLD
    assert verdict.reason.endswith(reason)


def test_a_good_region_does_not_excuse_a_bad_one():
    with pytest.raises(RegionsError, match="ultrasound-regions-invalid"):
        kept_regions(ultrasound((20, 40, 300, 240, 1), (20, 300, 40, 240, 1)))


def test_regions_that_together_cover_all_are_found_out():
    left, right = (0, 0, 170, 255, 1), (150, 0, 319, 255, 1)
    assert care_for(ultrasound(left, right)).reason == "ultrasound-regions-cover-all"


def test_thousands_of_regions_are_refused_at_once():
    dataset = ultrasound(*[(n % 300, 40, n % 300 + 10, 240, 1) for n in range(3000)])
    assert care_for(dataset).reason == "ultrasound-regions-invalid"


@pytest.mark.parametrize("keyword", ["RegionLocationMinX0", "RegionSpatialFormat"])
def test_a_region_that_lacks_a_number_is_invalid(keyword):
    dataset = ultrasound((20, 40, 300, 240, 1))
    del dataset.SequenceOfUltrasoundRegions[0][keyword]
    assert care_for(dataset).reason == "ultrasound-regions-invalid"


def test_an_image_without_size_is_invalid():
    dataset = ultrasound((20, 40, 300, 240, 1))
    del dataset.Rows
    assert care_for(dataset).reason == "ultrasound-regions-invalid"


def test_a_real_image_that_was_cropped_after_its_regions_were_written_is_held():
    path = get_testdata_file("examples_palette.dcm", download=False)
    if path is None:
        pytest.skip("not inside this pydicom")
    assert care_for(dcmread(path)).reason == "ultrasound-regions-invalid"
