"""Polygons, rectangles and ellipses against the pixels that they mean."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml_backend.masks.shapes import ShapeError, inside

SQUARE = [[25, 25], [75, 25], [75, 75], [25, 75]]


def rectangle(**changed):
    return {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0, **changed}


def ellipse(**changed):
    return {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0, **changed}


def test_a_square_has_exactly_its_pixels_neither_more_nor_fewer():
    expected = np.zeros((100, 200), bool)
    expected[25:75, 50:150] = True
    assert np.array_equal(inside("polygonlabels", {"points": SQUARE}, 100, 200), expected)
    assert np.array_equal(inside("rectanglelabels", rectangle(), 100, 200), expected)


def test_an_ellipse_has_the_area_of_one():
    mask = inside("ellipselabels", ellipse(radiusX=20, radiusY=40), 200, 300)
    assert mask.sum() == pytest.approx(np.pi * 60 * 80, rel=0.003)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 179, 90, 209)


@pytest.mark.parametrize("angle", [30, 90, 200, -45, 390])
def test_a_turned_rectangle_has_the_corners_that_label_studio_gives_it(angle):
    from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb

    value = rectangle(x=45, y=40, width=30, height=15, rotation=angle)
    size = {"original_width": 300, "original_height": 200}
    corners = np.array(convert_annotation_to_yolo_obb({**value, **size}))
    polygon = {"points": (corners * 100).tolist()}
    expected = inside("polygonlabels", polygon, 200, 300)
    assert expected.sum() == pytest.approx(90 * 30, rel=0.02)
    assert (inside("rectanglelabels", value, 200, 300) != expected).sum() <= 2


def test_a_turned_ellipse_turns_clockwise_in_pixels_not_in_percent():
    upright = inside("ellipselabels", ellipse(radiusX=10, radiusY=40), 100, 200)
    turned = inside("ellipselabels", ellipse(radiusX=10, radiusY=40, rotation=90), 100, 200)
    assert upright[:, 100].sum() == 80 and upright[50].sum() == 40
    assert turned[:, 100].sum() == 40 and turned[50].sum() == 80
    slanted = inside("ellipselabels", ellipse(radiusX=20, radiusY=5, rotation=45), 100, 200)
    assert slanted[60, 110] and not slanted[40, 110]  # down to the right: y points down


@pytest.mark.parametrize("seed", range(5))
def test_a_polygon_is_filled_as_a_finely_drawn_one_is(seed):
    points = np.random.default_rng(seed).uniform(-10, 110, (7, 2))
    angle = np.arctan2(*(points - points.mean(0)).T)
    points = points[np.argsort(angle)]  # does not cross itself
    mask = inside("polygonlabels", {"points": points.tolist()}, 60, 90)
    fine = Image.new("L", (90 * 16, 60 * 16))
    ImageDraw.Draw(fine).polygon([tuple(p) for p in points * [0.9 * 16, 0.6 * 16]], fill=1)
    share = np.asarray(fine).reshape(60, 16, 90, 16).mean((1, 3))
    assert mask[share > 0.9].all() and not mask[share < 0.1].any()
    assert mask.sum() == pytest.approx(share.sum(), rel=0.02)


def test_an_outline_that_winds_twice_is_filled_as_in_the_editor():
    turns = np.arange(5) * 2 * 2 * np.pi / 5  # a five-pointed star in one stroke
    star = [[50 + 40 * np.sin(a), 50 - 40 * np.cos(a)] for a in turns]
    assert inside("polygonlabels", {"points": star}, 100, 100)[50, 50]
    hole = [[10, 10], [90, 10], [90, 90], [10, 90], [10, 10]]
    hole += [[30, 30], [30, 70], [70, 70], [70, 30], [30, 30]]  # wound the other way
    assert not inside("polygonlabels", {"points": hole}, 100, 100)[50, 50]


def test_what_lies_outside_of_the_image_is_cut_off():
    left = inside("rectanglelabels", rectangle(x=-20, width=40), 10, 10)
    assert np.array_equal(np.nonzero(left.any(0))[0], [0, 1])
    assert not inside("ellipselabels", ellipse(x=150), 10, 10).any()
    around = [[-50, -50], [150, -50], [150, 150], [-50, 150]]
    assert inside("polygonlabels", {"points": around}, 10, 10).all()


def test_shapes_without_area_have_no_pixels():
    assert not inside("polygonlabels", {"points": [[1, 1], [50, 50]]}, 10, 10).any()
    assert not inside("polygonlabels", {"points": []}, 10, 10).any()
    assert not inside("rectanglelabels", rectangle(width=0), 10, 10).any()
    assert not inside("ellipselabels", ellipse(radiusX=0), 10, 10).any()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("polygonlabels", {}, "no points"),
        ("polygonlabels", {"points": 7}, "no points"),
        ("polygonlabels", {"points": [[1, 2, 3]]}, "no numbers"),
        ("polygonlabels", {"points": [["a", "b"]] * 3}, "no numbers"),
        ("polygonlabels", {"points": [[NAN, 1], [2, 2], [3, 1]]}, "outside"),
        ("polygonlabels", {"points": [[1e300, 1], [2, 2], [3, 1]]}, "outside"),
        ("polygonlabels", {"points": [[10**400, 1], [2, 2], [3, 1]]}, "no numbers"),
        ("polygonlabels", {"points": SQUARE * 5001}, "20004 points"),
        ("polygonlabels", {"points": SQUARE, "closed": False}, "closed"),
        ("rectanglelabels", rectangle(width=-5), "negative"),
        ("rectanglelabels", rectangle(x=NAN), "impossible x"),
        ("rectanglelabels", rectangle(rotation=INF), "impossible rotation"),
        ("rectanglelabels", {"x": 1, "y": 1, "width": 5}, "height"),
        ("ellipselabels", ellipse(radiusX=-1), "negative"),
        ("ellipselabels", ellipse(radiusY="9"), "radiusY"),
        ("ellipselabels", ellipse(y=None), "no number as its y"),
        ("ellipselabels", ellipse(x=10**400), "impossible x"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_refused_with_the_reason(kind, value, words):
    with pytest.raises(ShapeError, match=words):
        inside(kind, value, 10, 10)


def test_as_many_points_as_are_allowed_are_filled_piece_by_piece():
    angles = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = (50 + 40 * np.stack([np.cos(angles), np.sin(angles)], 1)).tolist()
    assert inside("polygonlabels", {"points": circle}, 300, 300).mean() == pytest.approx(
        np.pi * 0.16, rel=0.002
    )


def test_whatever_numbers_come_there_are_pixels_or_a_complaint():
    generator = np.random.default_rng(3)
    odd = [0, -1, 50, 100.5, NAN, INF, 1e308, 5e-324, -0.0, None, "1", True, [], {}, 10**400]
    drawn = 0
    for _ in range(2000):
        picks = iter(generator.integers(0, len(odd), 20).tolist())
        for kind, names in (
            ("rectanglelabels", ("x", "y", "width", "height", "rotation")),
            ("ellipselabels", ("x", "y", "radiusX", "radiusY", "rotation")),
        ):
            likely = {name: float(generator.uniform(0, 60)) for name in names}
            value = likely | {names[next(picks) % 5]: odd[next(picks)]}
            with contextlib.suppress(ShapeError):
                drawn += inside(kind, value, 9, 11).any()
        points = [[odd[next(picks)], 5], [8, 60], [60, odd[next(picks)]]]
        with contextlib.suppress(ShapeError):
            drawn += inside("polygonlabels", {"points": points}, 9, 11).any()
    assert drawn > 500


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("polygonlabels", {"points": [[50, 50], [51, 50], [51, 51]]}),
        ("rectanglelabels", {"x": 50, "y": 50, "width": 1, "height": 1, "rotation": 30}),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 1, "radiusY": 1, "rotation": 30}),
    ],
)
def test_a_small_shape_on_a_large_image_costs_little_more_than_its_mask(kind, value):
    tracemalloc.start()
    mask = inside(kind, value, 2000, 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.any() and peak < 1.5 * mask.nbytes
