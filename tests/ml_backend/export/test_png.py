"""PNG: what is read back is what was drawn, pixel by pixel."""

import numpy as np
from PIL import Image

from ml_backend.export.png import write

from .slices import pieces, written


def test_images_and_label_maps_come_back_as_they_were(tmp_path):
    records = written(write, tmp_path)
    files = {(record.role, record.tasks[0]): record.path for record in records}
    for piece in pieces():
        image = np.asarray(Image.open(tmp_path / files["image", piece.task_id]))
        mask = np.asarray(Image.open(tmp_path / files["mask", piece.task_id]))
        assert np.array_equal(image, piece.image) and image.dtype == np.uint8
        assert np.array_equal(mask, piece.label_map) and mask.dtype == np.uint8


def test_each_file_is_whole_when_its_record_comes(tmp_path):
    for record in write(iter(pieces()), tmp_path, None):
        with Image.open(tmp_path / record.path) as image:
            image.load()
        (tmp_path / record.path).unlink()  # as a zip does
