"""The simulation's own judgement of its rounds."""

from demo.simulate import check


def row(number, **changes):
    whole = {
        "round": number,
        "version": f"r{number:04d}-abcdef",
        "labelled": 8 * number,
        "mean_iou": 0.5,
        "wanted": [1, 2, 3],
        "served": [1, 2, 3],
    }
    return {**whole, **changes}


def test_a_loop_that_went_round_has_no_fault():
    assert check([row(1), row(2), row(3)], 3) == []


def test_each_way_not_to_go_round_is_a_fault():
    assert "2 of 3" in check([row(1), row(2)], 3)[0]
    assert "versions" in check([row(1), row(2, version="r0001-abcdef")], 2)[0]
    assert "did not grow" in check([row(1), row(2, labelled=8)], 2)[0]
    assert "not evaluated" in check([row(1, mean_iou=None)], 1)[0]
    assert "order served" in check([row(1, served=[2, 1, 3])], 1)[0]
    assert "order served" in check([row(1, served=[])], 1)[0]
