"""What pydicom bundles, files made of it, and how tests read them."""

import contextlib
import resource

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from importer.decode import frames

KEY = b"k" * 32
CT, MR = get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small.dcm")


def bundled(name):
    """Path of a file inside pydicom's package, None if this version has it no more."""
    return get_testdata_file(name, download=False)


def decoded(path):
    """The single frame of a file, and its data set."""
    dataset = dcmread(path)
    (pixels,) = frames(dataset)
    return pixels, dataset


@contextlib.contextmanager
def small_files_only(limit_bytes):
    """What is written beyond so many bytes of a file fails halfway, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def image_file(path, pixels, **changes):
    """A file of these pixels, (H, W), (N, H, W) or (H, W, 3) uint8 or uint16."""
    dataset = dcmread(CT)
    colour = pixels.shape[-1] == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    if pixels.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[-2:] if not colour else pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.RescaleIntercept = 0
    del dataset.PixelPaddingValue
    dataset.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def region(column0, row0, column1, row1):
    """A 2D region of an ultrasound's screen, to its last pixel."""
    item = Dataset()
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = column0, row0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = column1, row1
    return item


def image_of(out, task, key="image"):
    """A task's picture in the folder of an import."""
    return np.asarray(Image.open(out / task["data"][key]))
