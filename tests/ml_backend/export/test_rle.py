"""COCO's run-length code, read by COCO's own tools."""

import numpy as np
import pytest
from pycocotools import mask as coco

from ml_backend.export.rle import bounding_box, encode, runs

from .slices import label_maps


def masks():
    return [
        pytest.param(label_map == label, id=f"{name}, class {label}")
        for name, label_map in label_maps().items()
        for label in range(4)
    ]


def code(mask):
    made = encode(mask)
    return {**made, "counts": made["counts"].encode()}


@pytest.mark.parametrize("mask", masks())
def test_coco_s_own_reader_and_writer_agree(mask):
    assert np.array_equal(coco.decode(code(mask)).astype(bool), mask)
    assert coco.encode(np.asfortranarray(mask.astype(np.uint8))) == code(mask)
    assert coco.area(code(mask)) == mask.sum()
    assert coco.toBbox(code(mask)).tolist() == bounding_box(mask)


def test_random_masks_of_any_size_come_back():
    generator = np.random.default_rng(3)
    for _ in range(300):
        shape = generator.integers(1, 90, 2)
        mask = generator.random(shape) < generator.choice([0.01, 0.5, 0.99])
        assert np.array_equal(coco.decode(code(mask)).astype(bool), mask)


def test_runs_longer_than_sixteen_bits_come_back():
    mask = np.zeros((2000, 1500), bool)
    mask[:, 700:] = True
    assert runs(mask).tolist() == [1_400_000, 1_600_000]
    assert np.array_equal(coco.decode(code(mask)).astype(bool), mask)


def test_a_mask_that_is_not_two_dimensional_is_refused():
    with pytest.raises(ValueError, match="shape"):
        encode(np.zeros((2, 2, 2), bool))
