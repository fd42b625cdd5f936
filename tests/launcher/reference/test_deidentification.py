"""The page of attributes agrees with what the importer really makes."""

import re

import numpy as np
import pytest
from pydicom import dcmread

from importer.burned_in import Care
from importer.copies.errors import CopyError
from importer.deidentify import _USED
from importer.recipe import BurnedIn
from launcher.reference import deidentification, pixels, standard
from launcher.reference.checks_in_words import in_words


def test_each_attribute_of_every_allowlist_has_words():
    said = {keyword: in_words(keyword, entry) for keyword, entry in standard.everywhere()}
    assert len(said) > 400
    assert all(said.values())


def test_a_check_without_words_is_refused():
    class Unknown:
        def accepted(self, values, context):
            return values

    with pytest.raises(TypeError, match="PatientComments"):
        in_words("PatientComments", Unknown())


def test_the_keys_of_a_task_are_those_that_the_importer_makes():
    made_elsewhere = {"image", "slice", "frame", "slice_position_mm"}  # objects and journal
    assert deidentification.attribute_keys() | made_elsewhere == set(deidentification.TASK_DATA)


def test_all_653_rows_of_the_standard_are_on_the_page_once():
    tags = re.findall(r"^\| (\([0-9A-F]{4},[0-9A-F]{4}\)) ", deidentification.page(), re.MULTILINE)
    assert len(tags) == len(set(tags)) == 653


def test_of_the_standards_list_only_identifiers_decide_a_task():
    decided = standard.in_tasks()
    assert set(decided.values()) == {"`patient`", "`study`", "`series`", "`instance`"}
    named = {standard.keyword_of(tag) for tag in decided}
    assert named & _USED == set()


def test_what_is_said_to_be_left_out_is_not_in_a_copy():
    source = standard._image()
    source.PatientComments, source.InstitutionName = "ZQ", "ZQ"
    content = standard.rebuild(source, [np.zeros((4, 4), np.uint16)], standard._KEY, cleaned=True)
    assert b"ZQ" not in content
    said = standard.in_copies()
    copy = dcmread(standard.io.BytesIO(content))
    assert {int(element.tag) for element in copy} <= set(said) | set(standard.written_anew())
    assert 0x00104000 not in said
    assert said[0x00100010] == "the patient's pseudonym"


def test_each_way_of_looking_at_pixels_is_shown():
    assert set(pixels.CARE) == set(Care)
    assert set(deidentification._MODES) == set(BurnedIn)
    shown = pixels.burned_in()
    assert all(words in shown for words in pixels.CARE.values())


def test_the_reasons_why_there_is_no_copy_are_all_told():
    codes = set(re.findall(r'"([a-z-]+)"', CopyError.__doc__ or ""))
    assert codes == set(deidentification.COPY_PROBLEMS)
