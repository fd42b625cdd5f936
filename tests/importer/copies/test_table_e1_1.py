"""PS3.15 Table E.1-1, edition 2026d, row by row: what each row asks for is what a copy does."""

from datetime import date
from functools import cache

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from importer.copies import rebuild, replaced_uid
from importer.copies.allowlist import sop_classes, table_for
from importer.copies.checks import Essential, Identifier, Moment, Nothing, Typed
from importer.copies.tables import CodeItems, Items, tag_of

from . import specimens

ROWS = specimens.rows()
ACTION = {tag: action for tag, action, *_ in ROWS}
VR = {tag: vr for tag, _, vr, _ in ROWS}
# One class of each kind of table.
REPRESENTATIVE = [
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.12.1",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.130",
]


def walked(table):
    """Every (keyword, check) of a table and of the tables below it."""
    for keyword, entry in table.entries.items():
        check = entry.check if isinstance(entry, Typed) else entry
        check = check.check if isinstance(check, Essential) else check
        yield keyword, entry, check
        if isinstance(check, Items):
            yield from walked(check.table)
        elif isinstance(check, CodeItems) and check.further:
            yield from walked(check.further)


def plant(dataset, elements):
    """Canaries beside what passes, in the data set and in every item below it."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                plant(item, elements)
    for tag, element in elements.items():
        if tag not in dataset or VR[tag] != "SQ":
            dataset[tag] = element


def planted(sop_class, syntax):
    """A source with every row's canary at the top and in every item, and what to seek."""
    elements, sought = specimens.canaries()
    dataset = specimens.instance(sop_class, syntax=syntax)
    plant(dataset, elements)
    holder = Dataset()  # below a sequence that no table names, three deep
    plant(holder, elements)
    middle = Dataset()
    middle.RequestAttributesSequence = [holder]
    # New elements: the canaries are shared by all that holds them.
    dataset[0x04000561] = DataElement(0x04000561, "SQ", Sequence([middle]))
    return specimens.reread(dataset), sought


def everything(dataset):
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from everything(item)


def test_the_copy_of_the_table_is_whole():
    assert len(ROWS) == 653
    assert len({tag for tag, *_ in ROWS}) == 653


@pytest.mark.parametrize("sop_class", sorted(sop_classes()))
def test_a_row_is_allowed_only_as_its_action_says(sop_class):
    for keyword, entry, check in walked(table_for(sop_class)):
        tag = tag_of(keyword)
        action = ACTION.get(tag)
        if action is None:
            continue
        if VR[tag] in ("DA", "TM", "DT"):  # Retain Longitudinal ... with Modified Dates: C
            assert isinstance(check, Moment | Nothing), keyword
        elif action == "U":
            assert isinstance(check, Identifier), keyword
        elif action == "X/Z/U*":  # the option of Table E.1-1 that replaces the UIDs below
            assert isinstance(check, Items), keyword
        else:
            assert "Z" in action or "D" in action, keyword
            allowed = getattr(check, "allowed", None)
            assert isinstance(check, Nothing) or allowed == frozenset(), keyword
            if action in ("D", "Z/D", "X/D", "X/Z/D") and "Z" not in action:
                assert isinstance(entry, Typed) and entry.instead, keyword


@cache
def copied(sop_class, syntax):
    """The copy of a planted source, the days its dates moved by, and what to seek."""
    source, sought = planted(sop_class, syntax)
    before = specimens.written(source)
    assert all(any(form in before for form in forms) for forms in sought.values())
    copy = rebuild(source, specimens.frames(), specimens.KEY, cleaned=True)
    return copy, specimens.shift_days(source), sought


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("sop_class", "syntax"),
    [(sop_class, specimens.EXPLICIT) for sop_class in REPRESENTATIVE]
    + [(specimens.CT, specimens.IMPLICIT), (specimens.CT, specimens.BIG)],
)
def test_no_canary_of_any_row_survives_at_the_top_or_below_any_sequence(sop_class, syntax):
    copy, shift, sought = copied(sop_class, syntax)
    assert shift % 11, "the planted dates are 11 days apart"
    assert len(sought) > 600
    survivors = {tag for tag, forms in sought.items() if any(form in copy for form in forms)}
    assert survivors == set()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sop_class", REPRESENTATIVE)
def test_each_row_is_removed_emptied_replaced_or_moved_as_it_asks(sop_class):
    copy, shift, _ = copied(sop_class, specimens.EXPLICIT)
    elements, _ = specimens.canaries()
    seen = set()
    for element in everything(specimens.opened(copy)):
        action = ACTION.get(element.tag)
        if action is None:
            continue
        seen.add(element.tag)
        was = elements[element.tag].value
        if action == "U":
            assert element.value == replaced_uid(specimens.KEY, was), element.keyword
        elif VR[element.tag] in ("DA", "DT") and element.value:
            # A day more if the time of day beside it passed midnight.
            assert days(element.value) - days(was) in (shift, shift + 1), element.keyword
        elif VR[element.tag] == "TM" and element.value:
            assert element.value != was, element.keyword
        elif action != "X/Z/U*":
            assert action != "X", element.keyword
            assert element.value != was, element.keyword
    assert {0x00080018, 0x0020000D, 0x0020000E, 0x00080020, 0x00100010, 0x00100020} <= seen


def days(text):
    return date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()


@pytest.mark.parametrize("group", [0x5000, 0x501E, 0x6000, 0x601E, 0x0009, 0x7FDF])
def test_curves_overlays_and_private_groups_are_never_copied(group):
    source = specimens.instance()
    for element in (0x0010, 0x0040, 0x1001, 0x3000, 0x4000):
        source.add_new((group << 16) | element, "LO" if element != 0x3000 else "OB", b"ZQGROUP ")
    copy = rebuild(specimens.reread(source), specimens.frames(), specimens.KEY, cleaned=False)
    assert b"ZQGROUP" not in copy
    assert all(element.tag.group != group for element in specimens.opened(copy))


@pytest.mark.parametrize(
    ("keyword", "dummy"),
    [
        ("DeviceSerialNumber", "0"),
        ("SoftwareVersions", "UNKNOWN"),
        ("ManufacturerModelName", "UNKNOWN"),
        ("Manufacturer", "UNKNOWN"),
        ("PulseSequenceName", "UNKNOWN"),
    ],
)
def test_type_1_elements_get_a_dummy(keyword, dummy):
    source = specimens.instance(specimens.ENHANCED_MR)
    setattr(source, keyword, "ZQDEVICE")
    copy = rebuild(source, specimens.frames(), specimens.KEY, cleaned=False)
    assert b"ZQDEVICE" not in copy
    assert specimens.opened(copy)[keyword].value == dummy


@pytest.mark.parametrize(
    "keyword",
    ["PatientBirthDate", "PatientSex", "ReferringPhysicianName", "AccessionNumber", "StudyID"],
)
def test_type_2_elements_that_identify_are_present_and_empty(keyword):
    source = specimens.instance()
    setattr(source, keyword, {"PatientBirthDate": "19500101", "PatientSex": "F"}.get(keyword, "Q"))
    copy = specimens.opened(rebuild(source, specimens.frames(), specimens.KEY, cleaned=False))
    assert keyword in copy
    assert copy[keyword].is_empty
