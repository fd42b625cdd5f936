"""The two READMEs say the same, and no link of the documentation leads nowhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from launcher import CLONE

from .markdown import Markdown

_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")
_NOT_OURS = {".git", ".venv", ".venv-label-studio", ".quorum", "node_modules", "shared"}

ENGLISH, CHINESE = (CLONE / name for name in ("README.md", "README.zh.md"))


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    found = []
    for folder in [CLONE, *(p for p in CLONE.iterdir() if p.is_dir() and p.name not in _NOT_OURS)]:
        pattern = "*.md" if folder == CLONE else "**/*.md"
        found += [path for path in folder.glob(pattern) if ".pytest_cache" not in path.parts]
    return sorted(found)


def broken(document: Path, text: str) -> list[str]:
    """Relative links of a document that lead to no file, or to no heading of it."""
    wrong = []
    for link in Markdown(text).links:
        if _ELSEWHERE.match(link) or link.startswith("//"):
            continue
        place, _, fragment = unquote(link).partition("#")
        target = (document.parent / place).resolve() if place else document
        if place and not (target.exists() and target.is_relative_to(CLONE)):
            wrong.append(f"{link}: there is no such file")
        elif fragment and target.suffix == ".md":
            there = Markdown(text if target == document else target.read_text()).anchors
            if fragment not in there:
                wrong.append(f"{link}: there is no such heading")
    return wrong


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(CLONE)))
def test_every_relative_link_leads_to_a_file_and_a_heading(document):
    assert broken(document, document.read_text()) == []


def test_a_link_that_leads_nowhere_is_found():
    text = "# Top\n[a](LICENSE) [b](nowhere.md) [c](#top) [d](#bottom) [e](../outside) `[f](no.md)`"
    assert [wrong.split(":")[0] for wrong in broken(CLONE / "x.md", text)] == [
        "nowhere.md",
        "#bottom",
        "../outside",
    ]


@pytest.fixture(scope="module")
def both():
    return Markdown(ENGLISH.read_text()), Markdown(CHINESE.read_text())


def test_the_chinese_readme_has_the_same_sections(both):
    english, chinese = ([level for level, _ in each.headings] for each in both)
    assert english == chinese


def test_the_chinese_readme_shows_the_same_commands(both):
    english, chinese = both
    assert english.code == chinese.code


def test_the_chinese_readme_links_to_the_same_places(both):
    # An anchor of a translated heading is another; the file is the same.
    english, chinese = (
        sorted(link for link in each.links if link not in (ENGLISH.name, CHINESE.name))
        for each in both
    )
    assert english == chinese


def test_the_chinese_readme_names_the_same_settings_commands_and_figures(both):
    """A row that is added to one table must be added to the other."""

    def told(text: str) -> list[list[str]]:
        rows = [line for line in text.splitlines() if line.startswith("|")]
        return [sorted(re.findall(r"`([^`]+)`|(?<![\w.])(\d+(?:\.\d+)?)", row)) for row in rows]

    english, chinese = (told(each.prose) for each in both)
    assert len(english) == len(chinese)
    different = [pair for pair in zip(english, chinese, strict=True) if pair[0] != pair[1]]
    assert different == []


def test_the_chinese_readme_names_the_same_things_in_each_sections_prose(both):
    """Commands, settings, files and values in `code`, whatever their order in a sentence."""

    def told(document: Markdown) -> list[Counter[str]]:
        prose = "\n".join(x for x in document.prose.splitlines() if not x.startswith("|"))
        return [
            Counter(re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", section))
            for section in re.split(r"^#+ .*$", prose, flags=re.MULTILINE)
        ]

    english, chinese = map(told, both)
    assert sum(map(len, english)) > 30
    assert english == chinese


def test_each_readme_leads_to_the_other(both):
    english, chinese = both
    assert CHINESE.name in english.links and ENGLISH.name in chinese.links
