"""Links of the how-tos, the reference and the troubleshooting lead somewhere."""

import re

import pytest

from launcher import CLONE

DOCS = CLONE / "docs"
PAGES = [
    DOCS / "troubleshooting.md",
    *sorted((DOCS / "how-to").glob("*.md")),
    *sorted((DOCS / "reference").glob("*.md")),
]


def prose(path):
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(path):
    """What headings can be linked to by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_each_relative_link_and_anchor_resolves(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_of_the_how_tos_names_each():
    index = (DOCS / "how-to" / "README.md").read_text(encoding="utf-8")
    for page in (DOCS / "how-to").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index


def test_each_command_that_a_page_names_exists():
    from launcher.cli import _COMMANDS

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)\./quorum ([a-z][a-z-]+)", text, re.MULTILINE))
        assert named <= set(_COMMANDS), page.name
