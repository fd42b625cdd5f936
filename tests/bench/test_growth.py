"""Growth of the pool: what is measured, and sections of a page."""

import json
import re

import numpy as np
import pytest

from bench.growth import Generated, Measured, main, section
from bench.pages import commit, markdown_table, replace_section, write_section


def test_descriptors_are_the_same_however_they_are_asked_for():
    descriptors = Generated(4500, 8)
    everything = descriptors.read(np.arange(4500))
    places = np.array([4400, 3, 2100, 2])
    assert np.array_equal(descriptors.read(places), everything[places])
    assert len(np.unique(everything[:, 0])) > 4000


def test_a_size_is_measured_in_a_process_of_its_own(tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "growth.json"
    words = ["--sizes", "3000", "--descriptor", "16", "--strategies", "two-stage"]
    assert main([*words, "--page", str(page), "--json", str(figures)]) == 0
    (row,) = json.loads(figures.read_text())
    # Of the descriptors only the K of the first stage were read.
    assert (row["size"], row["described"]) == (3000, 48)
    assert row["peak_mib"] > 10
    assert page.read_text().count("<!-- growth -->") == 1
    assert "| 3,000 | 48 |" in page.read_text()


def test_the_section_says_how_both_grow_and_whether_the_limit_holds():
    small = Measured(1000, "two-stage", 48, 0.1, 0.0, 0.1, 1000.0)
    large = Measured(10_000, "two-stage", 48, 1.0, 0.0, 0.8, 4097.0)
    text = section([small, large], 16, "./quorum bench growth")
    assert "×10: time ×9.0, memory ×4.1" in text and "**above** the 4 GiB" in text
    assert "within the 4 GiB" in section([small], 16, "./quorum bench growth")


def test_a_section_is_replaced_and_the_rest_left_alone():
    text = "# Title\n\nbefore\n\n<!-- a -->\nold\n<!-- /a -->\n\nafter\n"
    assert replace_section(text, "a", "new") == text.replace("old", "new")
    added = replace_section(text, "b", "more")
    assert added.startswith(text.rstrip()) and added.endswith("<!-- b -->\nmore\n<!-- /b -->\n")
    with pytest.raises(ValueError, match="put it back"):
        replace_section("<!-- a -->\nold", "a", "new")


def test_a_section_names_the_commit_that_was_measured(tmp_path):
    assert re.fullmatch(r"[0-9a-f]{10}\+?|unknown", commit())
    write_section(tmp_path / "page.md", "a", "body\n")
    assert f"body\n\nCommit: {commit()}.\n<!-- /a -->" in (tmp_path / "page.md").read_text()
    write_section(tmp_path / "page.md", "a", "body, commit: x", says_commit=True)
    assert commit() not in (tmp_path / "page.md").read_text()


def test_a_table_has_a_rule_below_its_heads():
    assert markdown_table([["a", "b"], [1, 2]]) == "| a | b |\n| --- | --: |\n| 1 | 2 |"
