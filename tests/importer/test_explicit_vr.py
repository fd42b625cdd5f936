"""The quick reader gives what pydicom gives, or leaves the file to it."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from bench.mutations import mutate, sources
from bench.planted import plant
from dicom.functional_groups import attribute
from dicom.quiet import quiet
from importer.burned_in import care_for
from importer.burned_in.banners import banner_boxes
from importer.decode import DecodeError, parse
from importer.explicit_vr import quick_read
from importer.objects import process
from importer.recipe import BurnedIn, Recipe

from .files import CT, KEY

pytestmark = pytest.mark.filterwarnings("ignore")

MUTATIONS = 400


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sound files of pydicom's and planted ones, and mutations of them, by name."""
    sound = sources(plant(tmp_path_factory.mktemp("planted") / "corpus", seed=5).folder)
    mutations = (mutate(sound, 11, index) for index in range(MUTATIONS))
    # Bombs have tests of their own, and take seconds here.
    hostile = [(f"{m.kind}-{m.index}", m.content) for m in mutations if len(m.content) < 2**20]
    return [*sound, *hostile]


def asked(get, keyword):
    """A value as text, or that it cannot be had."""
    try:
        value = get(keyword)
        return value, f"{value!r}"  # first: a number can be NaN, and an item's value unreadable
    except Exception as error:
        return None, type(error).__name__


def test_every_public_attribute_is_as_pydicom_reads_it(files):
    read = 0
    for name, content in files:
        with quiet():
            quick = quick_read(content)
            if quick is None:
                continue
            read += 1
            whole = dcmread(io.BytesIO(content))
            public = [tag for tag in whole.keys() if not tag.is_private]  # noqa: SIM118
            assert list(quick.keys()) == public, name
            assert quick.original_encoding == whole.original_encoding, name
            assert quick.original_character_set == whole.original_character_set, name
            assert care_for(quick) == care_for(whole), name
            assert banner_boxes(quick, 400, 300) == banner_boxes(whole, 400, 300), name
            assert list(quick.file_meta.keys()) == list(whole.file_meta.keys()), name
            for keyword in map(keyword_for_tag, public):
                if tag_for_keyword(keyword) is None:  # unknown, or of a repeating group
                    continue
                expected, shown = asked(whole.get, keyword)
                for get in (partial(attribute, quick), quick.get):
                    found, also_shown = asked(get, keyword)
                    assert shown == also_shown or found == expected, (name, keyword)
    assert read > len(files) / 3  # else this shows nothing


def test_what_an_object_becomes_does_not_depend_on_who_read_it(files, tmp_path, monkeypatch):
    # Text is looked for in the pictures, which are compared, and as the header says: see above.
    recipes = [
        Recipe(key=KEY, images=tmp_path / side, burned_in=BurnedIn.OFF)
        for side in ("quick", "whole")
    ]
    for recipe in recipes:
        recipe.images.mkdir()
    made = 0
    for name, content in files:
        quick = process(content, "", recipes[0])
        with monkeypatch.context() as patch:
            patch.setattr("importer.decode.quick_read", lambda _: None)
            patch.setattr("importer.decode._plain_frame", lambda *_: None)
            patch.setattr("importer.render._ramp", lambda *_: None)
            whole = process(content, "", recipes[1])
        quick.where = whole.where = ""
        assert repr(quick) == repr(whole), name
        for entry in quick.slices:
            file = Path(entry.data["image"]).name
            pictures = [recipe.images / file for recipe in recipes]
            if quick.kind == "slices":
                made += 1
                assert pictures[0].read_bytes() == pictures[1].read_bytes(), name
            for picture in pictures:
                picture.unlink(missing_ok=True)
    assert made > 50


def explicit(**attributes):
    dataset = dcmread(CT)
    dataset.update(attributes)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def nested(depth):
    item = Dataset()
    item.StudyDate = "20260101"
    for _ in range(depth):
        outer = Dataset()
        outer.RequestAttributesSequence = Sequence([item])
        outer["RequestAttributesSequence"].is_undefined_length = True
        item.is_undefined_length_sequence_item = True
        item = outer
    return item.RequestAttributesSequence


@pytest.mark.parametrize("depth", [1, 3, 12])
def test_a_sequence_is_read_when_it_is_asked_for(depth):
    content = explicit(RequestAttributesSequence=nested(depth))
    quick, again = quick_read(content), quick_read(content)  # the second knows the sequence's end
    whole = dcmread(io.BytesIO(content))
    assert quick.RequestAttributesSequence == whole.RequestAttributesSequence
    assert again.RequestAttributesSequence == whole.RequestAttributesSequence
    assert len(quick.RequestAttributesSequence) == 1


def test_sequences_without_end_are_left_to_pydicom():
    start = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = explicit()
    place = content.index(b"\xe0\x7f\x10\x00OW")
    assert quick_read(content[:place] + start * 5000 + content[place:]) is None


@pytest.mark.parametrize("cut", [1, 7, 9, 100, 33_000])
def test_a_file_that_ends_too_early_is_left_to_pydicom(cut):
    assert quick_read(explicit()[:-cut]) is None


@pytest.mark.parametrize(
    "name", ["MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]
)
def test_other_codings_are_left_to_pydicom(name):
    found = list(Path(pydicom.__file__).parent.rglob(name))
    if not found:
        pytest.skip("not inside this pydicom")
    content = found[0].read_bytes()
    assert quick_read(content) is None
    assert parse(content, whole=False) == parse(content)


def test_only_who_asks_for_the_whole_gets_private_attributes():
    content = explicit()
    assert any(element.tag.is_private for element in parse(content).values())
    assert not any(element.tag.is_private for element in parse(content, whole=False).values())


def test_a_damaged_file_is_told_either_way():
    content = explicit()[:150]
    for whole in (True, False):
        with pytest.raises(DecodeError, match="damaged"):
            parse(content, whole=whole)


def test_the_same_bytes_under_another_character_set_are_another_value():
    names = {}
    for charset in ("ISO_IR 100", "ISO_IR 144"):
        dataset = dcmread(CT)
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller"
        stream = io.BytesIO()
        dataset.save_as(stream)
        content = stream.getvalue().replace(b"ISO_IR 100", charset.encode())
        names[charset] = str(attribute(quick_read(content), "PatientName"))
    assert names["ISO_IR 100"] == "Müller"
    assert names["ISO_IR 144"] == b"M\xfcller".decode("iso8859-5")


def test_encapsulated_pixels_are_read_to_their_delimiter():
    found = list(Path(pydicom.__file__).parent.rglob("MR_small_jpeg_ls_lossless.dcm"))
    if not found:
        pytest.skip("not inside this pydicom")
    quick, whole = quick_read(found[0].read_bytes()), dcmread(found[0])
    assert quick.file_meta.TransferSyntaxUID == JPEGLSLossless != ExplicitVRLittleEndian
    assert quick.PixelData == whole.PixelData
    assert np.array_equal(quick.Rows, whole.Rows)
