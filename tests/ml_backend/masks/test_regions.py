"""Brush masks and other regions against label maps."""

import numpy as np
import pytest

from ml_backend.masks import BrushConfig, MaskError, encode_rle, to_label_map, to_regions

from .test_brush import bitmask

CONFIG = BrushConfig("mask", "image", "image", ("Grey matter", "White matter"))


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


def stroke(mask, label="White matter", **changed):
    height, width = mask.shape
    return {
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_rle(mask), "brushlabels": [label]},
        **changed,
    }


HALF = np.zeros((10, 20), bool)
HALF[2:, :10] = True


def test_a_later_region_covers_an_earlier_one():
    regions = [stroke(np.ones((10, 20), bool)), stroke(HALF, "Grey matter")]
    assert np.array_equal(to_label_map(regions, CONFIG, 10, 20), np.where(HALF, 1, 2))


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_view_that_was_rotated_changes_nothing(angle):
    box = region("rectanglelabels", x=0, y=20, width=50, height=80, rotation=0)
    for drawn in (stroke(HALF), {**box, "original_width": 20, "original_height": 10}):
        rotated = {**drawn, "image_rotation": angle}
        assert np.array_equal(to_label_map([rotated], CONFIG, 10, 20) == 2, HALF)


def test_what_was_drawn_on_a_rotated_view_lies_where_it_was_drawn():
    """Drawn in Label Studio 1.23.2 on a 300 x 200 image whose view was turned by 90 degrees, from
    (20 %, 20 %) to (50 %, 30 %) of the screen's picture; the numbers are what it stored."""
    value = {"x": 19.97533908754624, "y": 49.93834771886561, "rotation": 0}
    value |= {"width": 9.987669543773116, "height": 30.147965474722575}
    drawn = region("rectanglelabels", **value)
    drawn |= {"original_width": 300, "original_height": 200, "image_rotation": 90}
    on_screen = np.rot90(to_label_map([drawn], CONFIG, 200, 300), -1)  # clockwise: 300 x 200
    expected = np.zeros((300, 200), np.uint8)
    expected[60:90, 40:100] = 2
    assert np.array_equal(on_screen, expected)


def test_hidden_and_locked_regions_and_those_with_notes_count():
    for more in ({"hidden": True}, {"readonly": True}, {"meta": {"text": ["unsure"]}, "score": 1}):
        assert np.array_equal(to_label_map([stroke(HALF, **more)], CONFIG, 10, 20) == 2, HALF)


def test_a_bitmask_is_a_mask_like_a_stroke():
    value = {"imageDataURL": bitmask(HALF), "bitmasklabels": ["Grey matter"]}
    drawn = {**stroke(HALF), "type": "bitmasklabels", "value": value}
    assert np.array_equal(to_label_map([drawn], CONFIG, 10, 20), HALF)


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_a_mask_drawn_on_a_copy_of_another_scale_is_resized(factor):
    size = int(10 * factor), int(20 * factor)
    drawn = np.zeros(size, bool)
    drawn[int(2 * factor) :, : int(10 * factor)] = True
    box = region("rectanglelabels", x=0, y=20, width=50, height=80)
    for kind in (stroke(drawn), {**box, "original_width": size[1], "original_height": size[0]}):
        assert np.array_equal(to_label_map([kind], CONFIG, 10, 20) == 2, HALF)


def test_a_copy_s_size_may_be_rounded_to_whole_pixels():
    assert to_label_map([stroke(np.ones((767, 1023), bool))], CONFIG, 192, 256).all()


@pytest.mark.parametrize("size", [(20, 10), (10, 21), (11, 20), (20, 20), (200, 360)])
def test_a_mask_of_another_shape_than_the_image_is_refused(size):
    with pytest.raises(MaskError, match=rf"{size[1]} x {size[0]} .* 20 x 10: draw it again"):
        to_label_map([stroke(np.ones(size, bool))], CONFIG, 10, 20)


@pytest.mark.parametrize("size", [0, -10, 1e9, 10**9, "10", True, float("nan"), [10]])
def test_an_impossible_original_size_is_refused(size):
    with pytest.raises(MaskError, match="how large the image was"):
        to_label_map([stroke(HALF, original_height=size)], CONFIG, 10, 20)


def test_regions_that_are_no_masks_of_this_image_are_passed_over():
    others = [
        {"type": "choices", "value": {"choices": ["bad quality"]}},
        {"type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["White matter"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"type": "textarea", "value": {"text": ["note"]}},
        stroke(HALF, to_name="previous slice"),
    ]
    assert not to_label_map(others, CONFIG, 10, 20).any()
    assert not to_label_map(None, CONFIG, 10, 20).any()


def test_a_label_that_the_config_has_lost_is_named():
    with pytest.raises(MaskError, match="region 2: the label config has no label 'Bone'"):
        to_label_map([stroke(HALF), stroke(HALF, "Bone")], CONFIG, 10, 20)


def test_a_label_of_another_tool_is_no_mask_but_one_that_no_tool_has_is_named():
    config = BrushConfig.parse(
        "<View><Image name='image' value='$image'/><BrushLabels name='mask' toName='image'>"
        "<Label value='Grey matter'/></BrushLabels><RectangleLabels name='box' toName='image'>"
        "<Label value='Artefact'/><Label value='Grey matter'/></RectangleLabels></View>"
    )
    assert config.labels == ("Grey matter",) and config.other_labels == {"Artefact"}

    def box(label, tool="box"):
        value = {"x": 0, "y": 20, "width": 50, "height": 80, "rectanglelabels": [label]}
        return {"type": "rectanglelabels", "from_name": tool, "to_name": "image", "value": value}

    assert not to_label_map([box("Artefact")], config, 10, 20).any()
    assert np.array_equal(to_label_map([box("Grey matter")], config, 10, 20), HALF)
    for lost in (box("Bone"), box("Artefact", tool="mask")):
        with pytest.raises(MaskError, match="has no label"):
            to_label_map([lost], config, 10, 20)


TWO_CONTROLS = """<View><Image name="image" value="$image"/><Image name="other" value="$other"/>
<BitmaskLabels name="vessels" toName="image"><Label value="vessel"/></BitmaskLabels>
<BrushLabels name="organs" toName="image"><Label value="liver"/><Label value="tumour"/>
</BrushLabels><BrushLabels name="lesions" toName="image"><Label value="tumour"/>
<Label value="cyst"/></BrushLabels>
<BrushLabels name="elsewhere" toName="other"><Label value="bone"/></BrushLabels></View>"""


def test_all_brush_and_bitmask_labels_of_one_image_are_the_classes_in_the_config_s_order():
    config = BrushConfig.parse(TWO_CONTROLS)
    assert config.labels == ("vessel", "liver", "tumour", "cyst")
    assert (config.to_name, config.image_key) == ("image", "image")
    cyst = stroke(HALF, "cyst", from_name="lesions")
    assert np.array_equal(to_label_map([cyst], config, 10, 20), HALF * 4)
    for control in ("organs", "lesions"):  # one name is one class
        tumour = stroke(HALF, "tumour", from_name=control)
        assert np.array_equal(to_label_map([tumour], config, 10, 20), HALF * 3)


def test_a_draft_is_of_the_control_that_has_its_label():
    config = BrushConfig.parse(TWO_CONTROLS)
    label_map = np.random.default_rng(4).integers(0, 5, (10, 20), dtype=np.uint8)
    regions = to_regions(label_map, config)
    assert [(each["from_name"], each["type"]) for each in regions] == [
        ("vessels", "bitmasklabels"),
        ("organs", "brushlabels"),
        ("organs", "brushlabels"),
        ("lesions", "brushlabels"),
    ]
    assert all(each["value"][each["type"]] for each in regions)
    assert np.array_equal(to_label_map(regions, config, 10, 20), label_map)


@pytest.mark.parametrize(
    "drawn",
    [
        stroke(HALF, "bone", from_name="elsewhere"),
        {**stroke(HALF), "type": "brush", "value": {"format": "rle", "rle": encode_rle(HALF)}},
        {**stroke(HALF), "type": "labels", "value": {"rle": encode_rle(HALF), "labels": ["x"]}},
        {**stroke(HALF), "type": "bitmask", "value": {"imageDataURL": bitmask(HALF)}},
    ],
)
def test_pixels_of_a_control_that_is_not_read_are_no_empty_mask(drawn):
    with pytest.raises(MaskError, match=r"region 1: .*BrushLabels"):
        to_label_map([drawn], BrushConfig.parse(TWO_CONTROLS), 10, 20)


def test_more_labels_than_a_byte_counts_are_refused_over_all_controls():
    controls = "".join(
        f"<BrushLabels name='{name}' toName='i'>"
        + "".join(f"<Label value='{name}{n}'/>" for n in range(128))
        + "</BrushLabels>"
        for name in "ab"
    )
    with pytest.raises(MaskError, match="256 labels"):
        BrushConfig.parse(f"<View><Image name='i' value='$i'/>{controls}</View>")


def labelled(*names, **changed):
    drawn = stroke(HALF, **changed)
    return {**drawn, "value": {**drawn["value"], "brushlabels": list(names)}}


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (labelled("Grey matter", "White matter"), "at once"),
        (labelled(), "no label: give it one"),
        (labelled(7), "no text"),
        (labelled("White matter", item_index=1), "another image"),
        ({"type": "brushlabels"}, "no value"),
        ({"type": "brushlabels", "value": {"brushlabels": ["White matter"]}}, "carries no mask"),
        ("nonsense", "no region"),
        (region("vectorlabels", vertices=[]), "polygon or with the brush"),
        (region("polygonlabels", points=[[1, 1]] * 3, closed=False), "the polygon was not closed"),
        (region("rectanglelabels", x=1, y=1, width=-1, height=1), "the rectangle has a negative"),
    ],
)
def test_a_region_that_cannot_become_what_was_meant_is_refused_by_its_number(drawn, words):
    with pytest.raises(MaskError, match=f"region 1: .*{words}"):
        to_label_map([drawn], CONFIG, 10, 20)


def test_a_label_named_twice_is_one():
    drawn = labelled("White matter", "White matter")
    assert np.array_equal(to_label_map([drawn], CONFIG, 10, 20) == 2, HALF)


def test_whatever_a_region_holds_there_is_a_label_map_or_a_complaint():
    generator = np.random.default_rng(11)
    odd = [None, 0, -1, 90, 1e300, float("nan"), "", "White matter", [], ["x"], {}, True, 10**400]
    kinds = ["brushlabels", "bitmasklabels", "polygonlabels", "ellipselabels", "vectorlabels"]
    complaints = 0
    for _ in range(2000):
        drawn = labelled("White matter")
        drawn["type"] = kinds[int(generator.integers(0, 5))]
        drawn["value"][drawn["type"]] = ["White matter"]
        for _ in range(int(generator.integers(0, 3))):
            where = drawn if generator.random() < 0.5 else drawn["value"]
            if isinstance(where, dict):
                keys = [*where, "points", "x", "radiusX", "imageDataURL", "item_index"]
                where[keys[int(generator.integers(0, len(keys)))]] = odd[
                    int(generator.integers(0, len(odd)))
                ]
        try:
            assert to_label_map([drawn], CONFIG, 10, 20).shape == (10, 20)
        except MaskError:
            complaints += 1
    assert 500 < complaints < 2000


def test_regions_go_by_a_label_s_alias():
    config = (
        "<View><Image name='image' value='$image'/><BrushLabels name='mask' toName='image'>"
        "<Label value='Grey matter' alias='GM'/><Label value='WM'/></BrushLabels></View>"
    )
    assert BrushConfig.parse(config).labels == ("GM", "WM")


def test_the_brush_config_of_the_demo_is_read():
    from pathlib import Path

    config = (Path(__file__).parents[3] / "label_config.xml").read_text()
    assert BrushConfig.parse(config) == CONFIG


@pytest.mark.parametrize("key", ["image", "image.url", "image-url", "image url"])
def test_an_image_may_be_under_a_key_with_a_dot(key):
    config = (
        f"<View><Image name='i' value='${key}'/>"
        "<BrushLabels name='m' toName='i'><Label value='A'/></BrushLabels></View>"
    )
    assert BrushConfig.parse(config).image_key == key


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View><Image name='i' value='$i'/></View>", "no BrushLabels"),
        ("<View><BrushLabels name='m' toName='i'><Label value='A'/></BrushLabels></View>", "no Br"),
        ("<View><Image", "well-formed"),
        ("", "well-formed"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><View/>", "DOCTYPE"),
        *(
            (
                f"<View><Image name='i' value='{value}'/>"
                "<BrushLabels name='m' toName='i'><Label value='A'/></BrushLabels></View>",
                "no plain key of a task's data.*value='\\$image'",
            )
            for value in ("$images[0]", "$meta.images[0]", "$", "$host/$name", "${image}")
        ),
    ],
)
def test_a_label_config_that_cannot_be_used_is_refused_with_the_reason(config, words):
    with pytest.raises(MaskError, match=words):
        BrushConfig.parse(config)
