"""Which Quorum made an export: its release, and the commit if it runs from a clone."""

from __future__ import annotations

import re
from pathlib import Path

_CLONE = Path(__file__).resolve().parents[2]
_HASH = re.compile(r"[0-9a-f]{40,64}")


def release(clone: Path = _CLONE) -> str | None:
    """The release in pyproject.toml, None if it is not there."""
    try:
        text = (clone / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    return found[1] if found else None


def commit(clone: Path = _CLONE) -> str | None:
    """The commit that is checked out, None outside of a clone; git itself is not needed."""
    try:
        git = clone / ".git"
        if git.is_file():  # a worktree's says where it is
            git = (clone / git.read_text().partition("gitdir:")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if _HASH.fullmatch(head):
            return head
        name = head.partition("ref:")[2].strip()
        common = git / "commondir"
        places = [git, (git / common.read_text().strip()).resolve()] if common.exists() else [git]
        for place in places:
            if (place / name).is_file():
                return (place / name).read_text().strip()
            packed = place / "packed-refs"
            for line in packed.read_text().splitlines() if packed.exists() else ():
                if line.endswith(f" {name}") and _HASH.match(line):
                    return line.split()[0]
    except OSError:
        pass
    return None
