"""What the header alone says about how carefully pixels must be read."""

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from importer.burned_in import Care, Verdict, care_for

from .drawing import scanner, ultrasound

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_LABEL = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]


@pytest.mark.parametrize(
    ("changes", "care", "reason"),
    [
        ({}, "scan", "original-measurement"),
        ({"Modality": "MR"}, "scan", "original-measurement"),
        ({"Modality": "PT"}, "scan", "original-measurement"),
        ({"Modality": "NM", "BitsAllocated": 8}, "scan", "original-measurement"),
        # Filtered, reformatted: still a scanner's grey values.
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, "scan", "original-measurement"),
        ({"ImageType": ["DERIVED", "PRIMARY"]}, "scan", "original-measurement"),
        # A NO is worth nothing, a YES is.
        ({"BurnedInAnnotation": "NO"}, "scan", "original-measurement"),
        ({"BurnedInAnnotation": "YES"}, "read", "burned-in-annotation"),
        ({"SOPClassUID": SECONDARY}, "read", "secondary-capture"),
        ({"SOPClassUID": SECONDARY + ".4"}, "read", "secondary-capture"),
        ({"SOPClassUID": SECONDARY, "BurnedInAnnotation": "NO"}, "read", "secondary-capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "read", "screen-capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "VOLREN"]}, "read", "screen-capture"),
        ({"SamplesPerPixel": 3}, "read", "screen-capture"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "read", "screen-capture"),
        ({"ConversionType": "DF"}, "read", "converted-image"),
        ({"ImageType": None}, "read", "image-type-missing"),
        ({"ImageType": "ORIGINAL"}, "read", "image-type-missing"),
        ({"BitsAllocated": 8}, "read", "eight-bit-image"),
        ({"Modality": "CR"}, "read", "projection-image"),
        ({"Modality": "MG", "BurnedInAnnotation": "NO"}, "read", "projection-image"),
        ({"Modality": "DX", "BurnedInAnnotation": "YES"}, "read", "burned-in-annotation"),
        ({"Modality": "OT"}, "read", "unknown-device"),
        ({"Modality": ""}, "read", "unknown-device"),
        ({"RecognizableVisualFeatures": "YES"}, "hold", "recognizable-visual-features"),
        ({"Modality": "SM"}, "read", "unknown-device"),
        ({"Modality": "SM", "ImageType": _LABEL}, "hold", "slide-label"),
        ({"SOPClassUID": WHOLE_SLIDE, "Modality": "", "ImageType": _LABEL}, "hold", "slide-label"),
        (
            {"Modality": "SM", "ImageType": ["DERIVED", "PRIMARY", "OVERVIEW", "NONE"]},
            "hold",
            "slide-label",
        ),
        ({"Modality": "GM", "SpecimenLabelInImage": "YES"}, "hold", "slide-label"),
        ({"ImageType": _LABEL}, "scan", "original-measurement"),  # of an MR's spins, for one
    ],
)
def test_each_kind_of_image_gets_its_care(changes, care, reason):
    assert care_for(scanner(**changes)) == Verdict(Care(care), reason)


def test_ultrasound_is_kept_to_its_regions_whatever_its_flag_or_class_says():
    expected = Verdict(Care.REGIONS, "ultrasound-regions")
    region = (20, 40, 300, 240, 1)
    assert care_for(ultrasound(region)) == expected
    assert care_for(ultrasound(region, BurnedInAnnotation="YES")) == expected
    assert care_for(ultrasound(region, SOPClassUID=SECONDARY)) == expected
    assert care_for(ultrasound(region, Modality="OT")) == expected


def test_ultrasound_without_regions_is_held():
    held = Verdict(Care.HOLD, "ultrasound-without-regions")
    assert care_for(ultrasound()) == held
    assert care_for(ultrasound(BurnedInAnnotation="NO")) == held
    assert care_for(ultrasound(SOPClassUID=SECONDARY)) == held


def test_pydicoms_own_slices_are_scanned():
    for name in ("CT_small.dcm", "MR_small.dcm"):
        assert care_for(dcmread(get_testdata_file(name))).care is Care.SCAN


def test_headers_that_cannot_be_read_are_read_with_care_and_never_raise():
    assert care_for(Dataset()) == Verdict(Care.READ, "unknown-device")
    dataset = scanner()
    for keyword in ("BitsAllocated", "ImageType", "SamplesPerPixel"):
        tag = Tag(keyword)
        raw = RawDataElement(tag, "US", 1, b"\xff", 0, ImplicitVRLittleEndian.is_implicit_VR, True)
        dataset._dict[tag] = raw
    assert care_for(dataset).care is Care.READ
