"""Commands of ./quorum in a document's code, as a shell would take them apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

# Where a command ends: at a pipe, a redirection, the next command.
_END = re.compile(r"^[|&;<>()]+$")
_PROGRAMS = ("./quorum", "/usr/local/sbin/quorum")
_SCRIPT = "quorum"  # docs/operations.md has it; elsewhere a user, a folder or a host has this name
# What a person puts something of their own for. A number goes for a path, a name or a host too.
_PLACEHOLDER = re.compile(r"^(?:[A-Z]{1,20}|…|\.\.\.|\$@)$")


def commands(code: str) -> Iterator[list[str]]:
    """Each command of ./quorum in a block of code, or of the script that runs it for a service.

    Its words without the program; NAME=VALUE before it, loops and pipes around it are left away.
    """
    for line in code.replace("\\\n", " ").splitlines():
        if not re.search(r"(?<![\w.])(?:\./|/usr/local/sbin/)?quorum\s", line):
            continue
        found: list[str] | None = None
        first = True
        for word in [*_words(line), ";"]:
            if _END.match(word):
                if found is not None:
                    yield found
                found, first = None, True
                continue
            if found is not None:
                found.append("1" if _PLACEHOLDER.match(word) else word)
            elif word in _PROGRAMS or (first and word == _SCRIPT):
                found = []
            first = False


def _words(line: str) -> list[str]:
    split = shlex.shlex(line, posix=True, punctuation_chars=True)
    split.whitespace_split = True
    try:
        return list(split)
    except ValueError:  # prose with an apostrophe
        return line.split()
