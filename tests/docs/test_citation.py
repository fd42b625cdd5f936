"""CITATION.cff and CONTRIBUTING.md hold to the code beside them."""

from __future__ import annotations

import re

import pytest
import yaml

from launcher import CLONE


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((CLONE / "CITATION.cff").read_text())


def test_the_citation_has_what_its_format_requires(citation):
    """Citation File Format 1.2.0: the required keys, of the file and of each reference."""
    assert citation["cff-version"] == "1.2.0"
    assert {"authors", "message", "title"} <= citation.keys()
    for reference in citation["references"]:
        assert {"authors", "title", "type"} <= reference.keys()
        assert all({"family-names", "name"} & author.keys() for author in reference["authors"])


def test_the_citation_is_of_this_version_and_licence(citation):
    project = (CLONE / "pyproject.toml").read_text()
    for key in ("version", "license"):
        assert re.search(rf'^{key} = "(.+)"$', project, re.MULTILINE)[1] == citation[key]


def test_both_papers_are_cited(citation):
    titles = " ".join(reference["title"] for reference in citation["references"])
    assert "Semi-automatic Labeling System for Medical Images" in titles
    assert "Suggestive Annotation" in titles


def test_contributing_points_at_folders_and_files_that_exist():
    text = re.sub(r"```.*?```", "", (CLONE / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    places = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)`", text))
    roots = ("", "ml_backend", "ml_backend/learning", "importer")
    for place in places:
        found = [
            path
            for root in roots
            for path in (CLONE / root / place, CLONE / root / f"{place}.py")
            if path.exists()
        ]
        assert found, f"CONTRIBUTING.md names {place}, which is not there"
    assert len(places) > 15
