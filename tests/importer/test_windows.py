"""Windows by name."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from importer.windows import Window, apply, asked_for, automatic, choose, lookup_table


def test_the_label_config_says_which_windows_are_wanted():
    config = (
        '<View><Image name="a" value="$image"/><Image name="b" value="$image_lung"/>'
        '<Image name="c" value="$image_bone"/></View>'
    )
    assert asked_for(config) == ("header", "lung", "bone")
    assert asked_for("<View/>") == ("header",)
    with pytest.raises(ValueError, match="choose of"):
        asked_for('<View><Image name="a" value="$image_toe"/></View>')
    with pytest.raises(ValueError, match="no XML"):
        asked_for("<View>")


def test_percentiles_of_a_histogram_are_those_of_its_values():
    generator = np.random.default_rng(0)
    values = generator.integers(-1000, 1000, 100_000)
    distinct, counts = np.unique(values, return_counts=True)
    shuffled = generator.permutation(len(distinct))
    quick = automatic(distinct[shuffled].astype(float), counts[shuffled])
    slow = automatic(values.astype(float))
    assert quick.low == pytest.approx(slow.low, abs=1)
    assert quick.high == pytest.approx(slow.high, abs=1)


def test_a_flat_or_empty_image_has_a_window_too():
    assert automatic(np.array([5.0, 5.0])) == Window(5.0, 6.0)
    assert automatic(np.array([])) == Window(0.0, 1.0)
    assert automatic(np.array([]), np.array([], dtype=np.int64)) == Window(0.0, 1.0)


@pytest.mark.parametrize(
    ("center", "width"), [("abc", "400"), ("40", "0"), ("40", "-5"), ("nan", "inf"), ([], [])]
)
def test_a_window_that_makes_no_sense_is_passed_over(center, width):
    dataset = Dataset()
    for tag, value in ((0x00281050, center), (0x00281051, width)):
        dataset.add_new(tag, "LO", value)
    assert choose("header", dataset) is None


def test_a_window_of_width_one_is_a_threshold():
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = "10", "1"
    shown = apply(np.array([0.0, 9.0, 10.0, 20.0]), choose("header", dataset))
    assert shown.tolist() == [0, 0, 255, 255]


def _sequence(descriptor, data, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if min(descriptor) < 0 else "US", descriptor)
    item.add_new("LUTData", vr, data)
    return [item]


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian]
)
def test_a_table_is_read_alike_from_every_uncompressed_syntax(syntax):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PixelRepresentation = "1.2", "1.2.3", 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    words = np.arange(4096, dtype=f"{order}u2").tobytes()
    dataset.VOILUTSequence = _sequence([4096, 2**16 - 1024, 12], words, "OW")
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    content.seek(0)
    table = lookup_table(dcmread(content).VOILUTSequence, signed=True)
    assert (table.first, table.window) == (-1024, Window(0, 4095))
    assert table.applied(np.array([-2000.0, -1024.0, 0.4, 9999.0])).tolist() == [0, 0, 1024, 4095]


def test_a_table_of_bytes_and_one_of_all_values_are_read():
    table = lookup_table(_sequence([256, 0, 8], bytes(range(256)), "OW"), signed=False)
    assert table.entries.tolist() == list(range(256)) and table.window == Window(0, 255)
    whole = lookup_table(_sequence([0, 0, 16], list(range(2**16))), signed=False)
    assert whole.applied(np.array([65535])).tolist() == [65535]


@pytest.mark.parametrize(
    "sequence",
    [
        None,
        [],
        [Dataset()],
        _sequence([4, 0, 12], [1, 2, 3]),
        _sequence([4, 0, 12], b"abcdefg", "OW"),
        _sequence([4, 0, 0], [1, 2, 3, 4]),
        _sequence([4, 0, 99], [1, 2, 3, 4]),
        _sequence([4, 0], [1, 2, 3, 4]),
    ],
)
def test_a_table_that_makes_no_sense_is_none(sequence):
    assert lookup_table(sequence, signed=False) is None
