"""Every command that a document shows is one that the program takes."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from launcher import CLONE
from launcher.cli import _BENCHES, _COMMANDS
from launcher.reference.commands import _PLAIN, commands, parser_of
from ml_backend.settings import Settings, SettingsError, parse_setting

from .markdown import Markdown
from .shell import commands as shown
from .test_readme import documents

# Written from the parsers themselves.
_GENERATED = CLONE / "docs" / "reference"
# Of former times, too.
_HISTORY = CLONE / "CHANGELOG.md"
_CONTAINERS = CLONE / "docker"
DOCUMENTS = [
    path
    for path in documents()
    if path != _HISTORY and not path.is_relative_to(_GENERATED) and "quorum" in path.read_text()
]


class Refused(Exception):
    """What a parser says of its arguments."""


@cache
def parser(name: str) -> argparse.ArgumentParser:
    found = parser_of(name, commands()[name])
    assert found is not None, f"./quorum {name} has no parser"
    return found


def trouble(words: list[str]) -> str:
    """Why ./quorum would not take these words, "" if it would."""
    if not words or words[0].startswith("-"):
        return "" if words in ([], ["--help"], ["-h"]) else "it has no such option"
    name, rest = words[0], words[1:]
    if name == "COMMAND" or name == "1":  # a placeholder
        return ""
    if name not in _COMMANDS:
        return f"there is no command {name}"
    if name == "bench":
        if not rest:
            return "its arguments are required"
        if rest[0] not in _BENCHES:
            return f"there is no bench {rest[0]}"
        name, rest = f"bench {rest[0]}", rest[1:]
    if name in _PLAIN or "--help" in rest:
        return ""

    def refuse(self: argparse.ArgumentParser, message: str) -> None:
        raise Refused(message)

    with patch.object(argparse.ArgumentParser, "error", refuse):
        try:
            given = parser(name).parse_args(rest)
        except Refused as refused:
            return str(refused)
    return settings_trouble(getattr(given, "assignments", None) or [])


def settings_trouble(assignments: list[str]) -> str:
    """Why a project would not take these settings."""
    for assignment in assignments:
        setting, _, value = assignment.partition("=")
        try:
            if value:
                Settings().of_project({setting: parse_setting(setting, value)})
        except SettingsError as error:
            # Of several that belong together one alone may be refused.
            if "must be at least" not in str(error):
                return str(error)
    return ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CLONE)))
def test_every_command_in_a_block_of_code_is_taken(document: Path):
    wrong = [
        (" ".join(words), why)
        for block in Markdown(document.read_text()).code
        for words in shown(block)
        if (why := trouble(words))
    ]
    assert wrong == []


def test_most_documents_show_commands():
    found = [
        words
        for document in DOCUMENTS
        for block in Markdown(document.read_text()).code
        for words in shown(block)
    ]
    assert len(found) > 80
    assert {words[0] for words in found if words} >= set(_COMMANDS) - {"reveal", "rotate-key"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CLONE)))
def test_every_command_in_the_prose_has_options_and_settings_that_there_are(document: Path):
    """It may be named without all of its arguments."""
    prose = Markdown(document.read_text()).prose
    wrong = [
        (" ".join(words), why)
        for code in re.findall(r"`([^`]+)`", prose)
        if code.startswith(("./quorum ", "quorum "))
        for words in shown(re.sub(r"\s+", " ", code))
        if (why := trouble(words)) and "are required" not in why
    ]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CLONE)))
def test_modules_are_run_by_the_interpreter_that_has_their_packages(document: Path):
    if document.is_relative_to(_CONTAINERS):
        pytest.skip("an image has one interpreter")
    run = re.findall(
        r"(\S*)python(?:3)? -m (?:ml_backend|launcher|demo|importer)", document.read_text()
    )
    assert [where for where in run if not where.strip("`(").endswith(".venv/bin/")] == []


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("./quorum backup", "required"),
        ("until ./quorum project 2 versoins | grep r0; do sleep 1; done", "invalid choice"),
        ("QUORUM_K=1 ./quorum up --port 9091 --wrokers 2", "unrecognized"),
        ("./quorum conect 12", "no command"),
        ("./quorum project 12 set network=mynets.models:Tiny", "only the deployment"),
        ("./quorum project 12 set labels_a_round=4", "cannot be set"),
        ("0 2 * * *  /usr/local/sbin/quorum backup --hopsital a.tar.gz", "unrecognized"),
        ("./quorum bench strom", "no bench"),
    ],
)
def test_a_command_that_would_be_refused_is_found(code, why):
    [words] = shown(code)
    assert why in trouble(words)


@pytest.mark.parametrize(
    "code",
    [
        "./quorum export PROJECT --out FOLDER",
        "./quorum import /path/to/dicom \\\n  --project 12",
        "QUORUM_STORE_URL= ./quorum restore FILE && ls",
        "./quorum project 12 set K=96 k=16",
    ],
)
def test_a_command_that_is_taken_is_not(code):
    [words] = shown(code)
    assert trouble(words) == ""
