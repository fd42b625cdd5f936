"""What pydicom bundles, and how tests read it."""

import contextlib
import resource

from pydicom import dcmread
from pydicom.data import get_testdata_file

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
