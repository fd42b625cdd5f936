"""Plain slices, and lines of text drawn over them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, UltrasoundImageStorage

from importer.burned_in.boxes import mask_of


def scanner(**changes):
    """The header of an original CT slice."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.Rows, dataset.Columns = 16, 256, 320
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def ultrasound(*regions, rows=256, columns=320, **changes):
    """The header of an ultrasound image; regions as column0, row0, column1, row1, format."""
    dataset = scanner(SOPClassUID=UltrasoundImageStorage, Modality="US", Rows=rows, Columns=columns)
    items = []
    for column0, row0, column1, row1, spatial_format in regions:
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = column0, row0
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = column1, row1
        item.RegionSpatialFormat, item.RegionDataType = spatial_format, 1
        items.append(item)
    dataset.SequenceOfUltrasoundRegions = items
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def plain(name):
    """One of pydicom's slices, 8 bits, four times as large: text has room, vessels stay soft."""
    stored = dcmread(get_testdata_file(name)).pixel_array.astype(float)
    low, high = np.percentile(stored, (1, 99))
    small = np.clip((stored - low) / (high - low) * 200, 0, 200).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((320, 256), Image.Resampling.BICUBIC))


def written(image, text, row, column, points, ink=255, paper=None):
    """The image with a line of text, and the box of its ink; on a strip of `paper` if given."""
    font = ImageFont.load_default(points)
    sheet = Image.fromarray(image)
    draw = ImageDraw.Draw(sheet)
    left, top, right, bottom = (int(n) for n in draw.textbbox((column, row), text, font=font))
    if paper is not None:
        draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=paper)
    draw.text((column, row), text, font=font, fill=ink)
    return np.array(sheet), (top, left, bottom, right)


def covered(box, boxes):
    """Share of a box that lies inside any of the boxes."""
    row0, column0, row1, column1 = box
    return mask_of(boxes, row1, column1)[row0:row1, column0:column1].mean()
