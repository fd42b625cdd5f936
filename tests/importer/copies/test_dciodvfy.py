"""A validator of another house (dicom3tools) finds nothing in a copy that was not in its source."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data.data_manager import DATA_ROOT
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from importer.copies import CopyError, rebuild
from importer.copies.allowlist import sop_classes
from importer.decode import DecodeError, frames

from . import specimens


@pytest.fixture
def dciodvfy():
    found = shutil.which("dciodvfy")
    if found is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    return found


def images():
    """pydicom's own images, those that come inside its package, of the classes copied."""
    for path in sorted((Path(DATA_ROOT) / "test_files").rglob("*")):
        if not path.is_file():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = dcmread(path)
                if dataset.SOPClassUID in sop_classes() and "PixelData" in dataset:
                    yield path
        except Exception:
            continue


def errors(dciodvfy, path):
    """Its complaints of the severity "Error", without the values that they quote."""
    run = subprocess.run([dciodvfy, str(path)], capture_output=True, timeout=60)
    lines = (run.stdout + run.stderr).decode("latin-1").splitlines()
    assert lines, "the validator said nothing at all"
    return {re.sub(r"<[0-9.]*>", "<>", line) for line in lines if "Error" in line}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", list(images()), ids=lambda path: path.name)
def test_a_copy_of_a_real_image_has_no_new_error(path, tmp_path, dciodvfy):
    source = dcmread(path)
    try:
        pixels = list(frames(source))
    except DecodeError:
        pytest.skip("the file's pixels are damaged on purpose")
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(rebuild(source, pixels, specimens.KEY, cleaned=True))
    original = path
    if source.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        original = tmp_path / "inflated.dcm"  # the validator reads no deflated files
        source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        source.save_as(original)
    assert errors(dciodvfy, copy) - errors(dciodvfy, original) == set()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sop_class", sorted(sop_classes()))
def test_a_copy_of_each_class_has_no_new_error(sop_class, tmp_path, dciodvfy):
    source = specimens.instance(sop_class)
    original, copy = tmp_path / "original.dcm", tmp_path / "copy.dcm"
    original.write_bytes(specimens.written(source))
    try:
        copy.write_bytes(rebuild(source, specimens.frames(), specimens.KEY, cleaned=True))
    except CopyError:
        pytest.fail("a valid sample is refused")
    assert errors(dciodvfy, copy) - errors(dciodvfy, original) == set()
