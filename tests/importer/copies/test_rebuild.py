"""What a copy is: linked, dated, labelled and useful, and silent about everything else."""

import io
import logging

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from importer.copies import CopyError, date_shift_days, rebuild, replaced_uid
from importer.copies.allowlist import sop_classes
from importer.copies.tables import tag_of
from importer.deidentify import allowed_attributes

from . import specimens
from .specimens import CT, ENHANCED_CT, ENHANCED_MR, KEY

# What an annotator and a model need.
KEPT = {
    "Modality": "CT",
    "PixelSpacing": [0.661468, 0.661468],
    "SliceThickness": 5,
    "ImagePositionPatient": [-158.135803, -179.035797, -75.699997],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "WindowCenter": [40, -600],
    "WindowWidth": [400, 1500],
    "PixelPaddingValue": -2000,
    "KVP": 120,
    "ConvolutionKernel": "STANDARD",
    "PatientPosition": "FFS",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "BodyPartExamined": "CHEST",
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
}


def copy_of(dataset, frames=None, **options):
    options = {"cleaned": False, **options}
    return specimens.opened(rebuild(dataset, frames or specimens.frames(), KEY, **options))


def real_ct():
    from pydicom.data import get_testdata_file

    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
    dataset.BodyPartExamined = "CHEST"
    return specimens.reread(dataset)


def test_geometry_modality_rescale_and_window_survive():
    source = real_ct()
    copy = copy_of(source, [source.pixel_array])
    assert {keyword: copy[keyword].value for keyword in KEPT} == KEPT
    assert np.array_equal(copy.pixel_array, source.pixel_array)


@pytest.mark.parametrize("sop_class", sorted(sop_classes()))
def test_every_allowed_attribute_with_a_good_value_survives(sop_class):
    source = specimens.reread(specimens.instance(sop_class))
    copy = copy_of(source)

    def missing(before, after, path):
        for element in before:
            here = f"{path}{element.keyword}"
            if element.keyword not in after:
                yield here
            elif element.VR == "SQ":
                for old, new in zip(element.value, after[element.tag].value, strict=True):
                    yield from missing(old, new, f"{here}.")

    lost = set(missing(source, copy, ""))
    # The item's samples include what its LUT module has no use for.
    assert {path for path in lost if not path.endswith("ModalityLUTType")} == set()
    assert len(copy) > 80


def test_frames_keep_their_functional_groups():
    source = specimens.instance(ENHANCED_CT)
    source.NumberOfFrames = 3
    groups = []
    for z in (1.5, 3.0, 4.5):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        group.PlanePositionSequence = [position]
        groups.append(group)
    source.PerFrameFunctionalGroupsSequence = groups
    copy = copy_of(specimens.reread(source), specimens.frames(3))
    positions = [
        group.PlanePositionSequence[0].ImagePositionPatient[2]
        for group in copy.PerFrameFunctionalGroupsSequence
    ]
    assert positions == [1.5, 3.0, 4.5]
    assert copy.NumberOfFrames == 3
    assert copy.pixel_array.shape == (3, 4, 6)
    assert copy.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [1, 1]


def test_text_outside_the_table_in_private_tags_and_three_deep_never_survives():
    source = specimens.instance()
    for keyword in ("SeriesDescriptionCodeSequence", "ProcedureCodeSequence"):
        inner, middle, outer = Dataset(), Dataset(), Dataset()
        inner.CodeMeaning = "ZQTHREE"
        inner.private_block(0x0011, "ZQCREATOR", create=True).add_new(1, "LO", "ZQPRIVATE")
        middle.EquivalentCodeSequence = [inner]
        outer.EquivalentCodeSequence = [middle]
        setattr(source, keyword, [outer])
    for keyword in (
        "RequestingService",
        "PhosphorType",
        "GridID",
        "PositionReferenceIndicator",
        "SeriesDescription",
        "ReconstructionAlgorithm",
        "ContrastBolusRoute",
        "WindowCenterWidthExplanation",
    ):
        setattr(source, keyword, "ZQFREE")
    anatomy = source.AnatomicRegionSequence[0]
    anatomy.CodeMeaning, anatomy.CodingSchemeVersion = "ZQMEANING", "ZQVERSION"
    anatomy.private_block(0x0011, "ZQCREATOR", create=True).add_new(1, "LO", "ZQPRIVATE")
    source.private_block(0x0099, "ZQCREATOR", create=True).add_new(1, "SQ", [anatomy])
    source.add_new(0x00189FFE, "LO", "ZQUNKNOWN")
    copy = rebuild(specimens.reread(source), specimens.frames(), KEY, cleaned=False)
    assert b"ZQ" not in copy
    assert specimens.opened(copy).AnatomicRegionSequence[0].CodeMeaning.startswith("Breast")


def test_file_meta_preamble_and_trailing_bytes_are_new():
    source = specimens.instance()
    source.preamble = b"ZQPREAMBLE".ljust(128, b"Z")
    source.file_meta.SourceApplicationEntityTitle = "ZQAE"
    source.file_meta.ImplementationVersionName = "ZQVERSION"
    source.file_meta.PrivateInformationCreatorUID = "1.2.777.1"
    source.file_meta.PrivateInformation = b"ZQPRIVATE "
    source.add_new(0xFFFCFFFC, "OB", b"ZQTRAILING" * 10)
    content = specimens.written(source) + b"ZQTRAILING"
    source = dcmread(io.BytesIO(content), force=True)
    copy = rebuild(source, specimens.frames(), KEY, cleaned=False)
    assert copy[:132] == bytes(128) + b"DICM"
    assert b"ZQ" not in copy
    assert b"1.2.777" not in copy
    assert b"1.2.3.4.5" not in copy
    meta = specimens.opened(copy).file_meta
    assert meta.MediaStorageSOPInstanceUID == replaced_uid(KEY, "1.2.3.4.5")
    assert meta.TransferSyntaxUID == specimens.EXPLICIT
    assert len(meta) == 7


@pytest.mark.parametrize(
    ("keyword", "hidden"),
    [
        ("Modality", "ZQSMITH"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "ZQSMITH"]),
        ("BodyPartExamined", "ZQSMITH"),
        ("PatientPosition", "ZQSMITH"),
        ("PatientOrientation", ["ZQ", "SMITH"]),
        ("Manufacturer", "ZQSMITH"),
        ("ConvolutionKernel", "ZQSMITH"),
        ("RescaleType", "ZQSMITH"),
        ("ScanOptions", "ZQSMITH"),
        ("InstanceNumber", "7719580214"),
        ("SeriesNumber", "195802140"),
        ("KVP", "77195802.14"),
        ("PixelSpacing", ["7719580214", "1"]),
        ("StudyDate", "SMITH"),
        ("StudyTime", "ZQSMITH"),
        ("AcquisitionDateTime", "ZQSMITH"),
        ("ReferencedSOPClassUID", "1.2.826.7719580214"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_identity_hidden_in_an_enumerated_or_numeric_attribute_goes(keyword, hidden):
    source = specimens.instance()
    holder = source.ReferencedImageSequence[0] if keyword.startswith("Referenced") else source
    del holder[keyword]
    # Written as unknown, for pydicom would refuse some of these as what they claim to be.
    text = "\\".join(hidden) if isinstance(hidden, list) else hidden
    holder.add_new(tag_of(keyword), "UN", (text + " " * (len(text) % 2)).encode())
    content = specimens.written(source)
    assert text.encode() in content
    copy = rebuild(dcmread(io.BytesIO(content)), specimens.frames(), KEY, cleaned=False)
    assert text.encode() not in copy
    assert b"SMITH" not in copy
    assert b"77195802" not in copy


def test_uids_follow_each_other_over_files_and_keys_do_not_meet():
    first, second = specimens.instance(), specimens.instance()
    second.SOPInstanceUID = "1.2.3.4.6"
    second.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.4.5"
    a, b = copy_of(first), copy_of(second)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert a[keyword].value == b[keyword].value
    assert b.ReferencedImageSequence[0].ReferencedSOPInstanceUID == a.SOPInstanceUID
    assert a.SOPInstanceUID != b.SOPInstanceUID
    other = specimens.opened(rebuild(first, specimens.frames(), b"o" * 32, cleaned=False))
    assert other.StudyInstanceUID != a.StudyInstanceUID
    assert other.PatientID != a.PatientID


def test_a_replaced_uid_is_a_valid_uuid_derived_uid():
    for index in range(200):
        uid = replaced_uid(KEY, f"1.2.{index}")
        assert uid.startswith("2.25.")
        assert len(uid) <= 44
        assert int(uid[5:]) < 2**128


def test_an_atlas_stays_what_it_is():
    source = specimens.instance()
    source.FrameOfReferenceUID = "1.2.840.10008.1.4.1.1"
    assert copy_of(source).FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"


def test_the_patient_is_the_pseudonym_and_nothing_else():
    source = specimens.instance()
    source.PatientAge, source.PatientSize, source.PatientWeight = "091Y", 1.8, 77
    source.PatientSex, source.EthnicGroup = "F", "ZQ"
    copy = copy_of(source)
    patient = allowed_attributes(source, KEY)["patient"]
    assert (copy.PatientID, str(copy.PatientName)) == (patient, patient)
    present = {e.keyword for e in copy if e.tag.group == 0x0010}
    present -= {"AnatomicalOrientationType"}  # two-legged or four-legged
    assert present == {"PatientName", "PatientID", "PatientBirthDate", "PatientSex"}
    assert copy.PatientSex == ""


def test_dates_move_by_one_number_for_a_patient_and_intervals_stay():
    source = specimens.instance()
    source.StudyDate, source.SeriesDate = "20240101", "20240229"
    source.AcquisitionDateTime = "20240301235959.5+0100"
    source.StudyTime = "235959"
    source.SeriesTime = ""
    copy = copy_of(source)
    shift = specimens.shift_days(source)
    moved = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:8]}") for d in (
        copy.StudyDate, copy.SeriesDate, copy.AcquisitionDateTime)]  # fmt: skip
    # Two of them have a time of day that passes midnight.
    assert [int((d - moved[0]).astype(int)) for d in moved] == [0, 58, 60]
    assert int((moved[0] - np.datetime64("2024-01-01")).astype(int)) == shift + 1
    assert copy.StudyTime != "235959"
    clock = copy.AcquisitionDateTime[8:]
    assert clock[:6] == copy.StudyTime and len(clock) == len("235959.5")
    assert copy.LongitudinalTemporalInformationModified == "MODIFIED"


def test_the_shift_is_keyed_and_never_small():
    shifts = {date_shift_days(KEY, f"{patient}") for patient in range(3000)}
    assert min(shifts) >= -3650
    assert max(shifts) <= -365
    assert len(shifts) > 1500
    assert date_shift_days(KEY, "a") != date_shift_days(b"o" * 32, "a")


@pytest.mark.parametrize("text", ["2024-01-01", "20240230", "2024", "00010101", "20240101-0201"])
@pytest.mark.filterwarnings("ignore")
def test_a_malformed_date_is_dropped(text):
    source = specimens.instance()
    del source.SeriesDate
    source.add_new(0x00080021, "UN", (text + " " * (len(text) % 2)).encode())
    copy = copy_of(specimens.reread(source))
    assert "SeriesDate" not in copy


def test_the_method_is_declared_and_cleaning_only_where_it_was_done():
    for cleaned in (True, False):
        copy = copy_of(specimens.instance(), cleaned=cleaned)
        codes = {code.CodeValue for code in copy.DeidentificationMethodCodeSequence}
        assert copy.PatientIdentityRemoved == "YES"
        assert 0 < len(copy.DeidentificationMethod) <= 64
        assert codes == {"113100", "113107"} | ({"113101"} if cleaned else set())
        assert copy.get("BurnedInAnnotation") == ("NO" if cleaned else None)


def test_a_source_that_claims_to_be_clean_is_not_believed():
    source = specimens.instance()
    source.BurnedInAnnotation = "NO"
    source.PatientIdentityRemoved = "YES"
    assert "BurnedInAnnotation" not in copy_of(source)


def test_old_snomed_codes_come_out_as_sct_and_unknown_ones_not_at_all():
    source = specimens.instance("1.2.840.10008.5.1.4.1.1.1.2")
    breast, view = Dataset(), Dataset()
    breast.CodeValue, breast.CodingSchemeDesignator, breast.CodeMeaning = "T-04000", "SRT", "ZQ"
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "SMITH", "99ZQ", "ZQ"
    source.AnatomicRegionSequence, source.ViewCodeSequence = [breast], [view]
    copy = copy_of(source)
    code = copy.AnatomicRegionSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("76752008", "SCT")
    assert "ViewCodeSequence" not in copy


def test_a_window_without_its_width_is_dropped():
    source = specimens.instance()
    source.WindowCenter, source.WindowWidth = [40, 50], [400]
    copy = copy_of(source)
    assert "WindowCenter" not in copy
    assert "WindowWidth" not in copy


def test_the_source_is_only_read_and_the_copy_the_same_each_time():
    source = specimens.reread(specimens.instance(ENHANCED_MR))
    before = specimens.written(source)
    first = rebuild(source, specimens.frames(), KEY, cleaned=True)
    assert first == rebuild(source, specimens.frames(), KEY, cleaned=True)
    assert specimens.written(source) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "sop-class-not-allowed"),
        ({"SOPClassUID": "1.2.826.0.1.3680043.9.ZQ"}, "sop-class-not-allowed"),
        ({"SOPInstanceUID": ""}, "identifier-missing"),
        ({"NumberOfFrames": 2}, "frame-count"),
        ({"BitsStored": 17}, "bits"),
        ({"HighBit": 15}, "bits"),
        ({"PhotometricInterpretation": "RGB"}, "pixels-mismatch"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_copied_is_refused_by_a_reason_that_quotes_nothing(change, reason):
    source = specimens.instance()
    for keyword, value in change.items():
        setattr(source, keyword, value)
    with pytest.raises(CopyError) as refused:
        rebuild(source, specimens.frames(), KEY, cleaned=True)
    assert refused.value.reason == reason
    assert str(refused.value) == reason


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="key is empty"):
        rebuild(specimens.instance(), specimens.frames(), b"", cleaned=True)


def test_nothing_is_said_on_screen_or_in_the_log(capfd, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    source = specimens.instance()
    source.add_new(0x00080104, "UN", b"ZQ\xff\xfe")
    content = specimens.written(source).replace(b"20240229", b"ZQSMITH ")
    copy = rebuild(dcmread(io.BytesIO(content)), specimens.frames(), KEY, cleaned=True)
    assert b"ZQ" not in copy
    said = "".join(capfd.readouterr()) + caplog.text + "".join(str(w.message) for w in recwarn)
    assert "ZQ" not in said


def test_a_thousand_nested_sequences_do_no_harm():
    source = specimens.instance()
    # Bytes, for pydicom cannot write what it cannot recurse into.
    item = b""
    for _ in range(1500):
        header = b"\x08\x00\x18\x22SQ\x00\x00" + (len(item) + 8).to_bytes(4, "little")
        item = header + b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
    content = specimens.written(source)
    start = content.index(b"\x08\x00\x18\x22SQ")
    length = int.from_bytes(content[start + 8 : start + 12], "little")
    content = content[:start] + item + content[start + 12 + length :]
    copy = rebuild(dcmread(io.BytesIO(content)), specimens.frames(), KEY, cleaned=True)
    assert specimens.opened(copy).SOPClassUID == CT
