"""Brush masks and other regions against label maps."""

import numpy as np
import pytest
from label_studio_sdk.converter import brush

from ml_backend.masks import (
    BrushConfig,
    MaskError,
    decode_rle,
    encode_rle,
    to_label_map,
    to_regions,
)

CONFIG = BrushConfig("mask", "image", "image", ("Grey matter", "White matter"))


def masks_of_all_kinds():
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:61, :83]
    yield "disc", (y - 30) ** 2 + (x - 40) ** 2 < 400
    yield "noise", generator.random((61, 83)) < 0.5
    yield "empty", np.zeros((61, 83), bool)
    yield "full", np.ones((61, 83), bool)
    yield "one pixel", (y == 60) & (x == 82)
    yield "a single row", generator.random((1, 7)) < 0.5
    yield "a run longer than 2**16", np.ones((300, 300), bool)


@pytest.mark.parametrize(("name", "mask"), list(masks_of_all_kinds()))
def test_a_mask_survives_the_round_trip_exactly(name, mask):
    assert np.array_equal(decode_rle(encode_rle(mask), *mask.shape), mask)


@pytest.mark.parametrize(("name", "mask"), list(masks_of_all_kinds()))
def test_the_code_is_the_sdk_s_and_fully_opaque(name, mask):
    encoded = encode_rle(mask)
    assert encoded == brush.mask2rle(mask.astype(np.uint8) * 255)
    alpha = brush.decode_rle(encoded).reshape(*mask.shape, 4)[:, :, 3]
    assert set(np.unique(alpha)) <= {0, 255}


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (0, 5)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(MaskError, match="H, W"):
        encode_rle(np.zeros(shape, bool))


def test_a_code_of_another_size_or_a_damaged_one_is_refused():
    encoded = encode_rle(np.eye(16, dtype=bool))
    with pytest.raises(MaskError, match="does not belong"):
        decode_rle(encoded, 16, 17)
    with pytest.raises(MaskError, match="damaged"):
        decode_rle(encoded[:12], 16, 16)
    with pytest.raises(MaskError, match="too short"):
        decode_rle([1, 2], 16, 16)


def test_a_label_map_survives_the_round_trip_through_regions():
    label_map = np.random.default_rng(1).integers(0, 3, (40, 56), dtype=np.uint8)
    regions = to_regions(label_map, CONFIG)
    assert [region["value"]["brushlabels"] for region in regions] == [
        ["Grey matter"],
        ["White matter"],
    ]
    assert np.array_equal(to_label_map(regions, CONFIG, 40, 56), label_map)


def test_a_class_that_does_not_occur_gets_no_region():
    assert to_regions(np.zeros((8, 8), np.uint8), CONFIG) == []


def region(kind, **value):
    return {"type": kind, "value": {**value, kind: ["White matter"]}}


def test_polygons_rectangles_and_ellipses_are_painted():
    square = [[25, 25], [75, 25], [75, 75], [25, 75]]
    for painted in (
        region("polygonlabels", points=square),
        region("rectanglelabels", x=25, y=25, width=50, height=50),
        region("ellipselabels", x=50, y=50, radiusX=28, radiusY=28),
    ):
        label_map = to_label_map([painted], CONFIG, 100, 200)
        assert label_map[50, 100] == 2, painted["type"]
        assert label_map[10, 20] == 0, painted["type"]
        assert 0.2 < (label_map == 2).mean() < 0.3, painted["type"]


def test_several_strokes_of_a_class_are_joined():
    left, right = np.zeros((2, 10, 10), bool)
    left[:, :3], right[:, 7:] = True, True
    regions = [region("brushlabels", rle=encode_rle(m)) for m in (left, right)]
    assert np.array_equal(to_label_map(regions, CONFIG, 10, 10) == 2, left | right)


def test_a_rotated_image_or_another_size_is_refused():
    stroke = region("brushlabels", rle=encode_rle(np.ones((10, 10), bool)))
    with pytest.raises(MaskError, match="rotated"):
        to_label_map([{**stroke, "image_rotation": 90}], CONFIG, 10, 10)
    with pytest.raises(MaskError, match="another size"):
        to_label_map([{**stroke, "original_width": 12}], CONFIG, 10, 10)


def test_other_region_types_and_foreign_labels_are_no_masks():
    others = [
        {"type": "choices", "value": {"choices": ["bad quality"]}},
        {"type": "brushlabels", "value": {"rle": [0], "brushlabels": ["Bone"]}},
    ]
    assert not to_label_map(others, CONFIG, 10, 10).any()


def test_the_brush_config_of_the_demo_is_read():
    from pathlib import Path

    config = (Path(__file__).parents[2] / "label_config.xml").read_text()
    assert BrushConfig.parse(config) == CONFIG


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View><Image name='i' value='$i'/></View>", "no BrushLabels"),
        ("<View><BrushLabels name='m' toName='i'><Label value='A'/></BrushLabels></View>", "no Br"),
        ("<View><Image", "well-formed"),
        ("", "well-formed"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><View/>", "DOCTYPE"),
    ],
)
def test_a_label_config_that_cannot_be_used_is_refused_with_the_reason(config, words):
    with pytest.raises(MaskError, match=words):
        BrushConfig.parse(config)
