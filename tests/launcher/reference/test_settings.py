"""The page of settings leaves none out, and none that the code does not read."""

import re
from dataclasses import fields

import pytest

from importer.limits import Limits
from launcher import CLONE
from launcher.reference import settings as page
from ml_backend.settings import PROJECT_SETTINGS, Settings, SettingsError
from ml_backend.settings.bounds import bounds

# Beginnings of names, and what is no variable at all.
_NOT_SETTINGS = {"QUORUM_CHECK", "QUORUM_COPY_", "QUORUM_DICOMWEB_", "QUORUM_IMPORT_"}


def test_each_setting_stands_in_one_group():
    names = [name for group in page.groups() for name in group.names]
    assert sorted(names) == sorted(setting.name for setting in fields(Settings))


def test_each_variable_that_a_program_reads_is_on_the_page():
    on_page = set(re.findall(r"`((?:QUORUM|LABEL_STUDIO)_\w+)`", page.page()))
    read = set()
    for folder in ("dicom", "importer", "ml_backend", "demo"):
        for path in (CLONE / folder).rglob("*.py"):
            read |= set(re.findall(r"\bQUORUM_[A-Z_]+", path.read_text(encoding="utf-8")))
    assert read - on_page - _NOT_SETTINGS == set()


def test_a_bound_is_told_in_the_words_of_the_refusal():
    assert "| from 2 to 64 | `members` |" in page.page()
    assert "| at least QUORUM_BATCH (8) | `K` |" in page.page()
    with pytest.raises(SettingsError, match="must be from 2 to 64"):
        Settings(members=1)


def test_each_bound_is_of_a_setting():
    assert {name for name, _, _ in bounds(Settings())} <= {each.name for each in fields(Settings)}


def test_what_one_project_may_set_is_marked():
    marked = set(re.findall(r"\| `(\w+)` \|$", page.page(), re.MULTILINE))
    assert marked >= set(PROJECT_SETTINGS)


def test_each_limit_of_the_importer_has_words():
    assert set(page._LIMITS) == {limit.name for limit in fields(Limits)}
