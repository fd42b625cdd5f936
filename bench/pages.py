"""Sections that benchmarks write into a page of the documentation, and replace when they run."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CLONE = Path(__file__).resolve().parents[1]
_CODE = ("bench", "demo", "dicom", "importer", "launcher", "ml_backend")


def replace_section(text: str, name: str, body: str) -> str:
    """A page with the section of that name replaced, or added at its end.

    Raises ValueError if the section's end is gone.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    block = f"{start}\n{body.strip()}\n{end}"
    before, found, rest = text.partition(start)
    if not found:
        return text.rstrip() + "\n\n" + block + "\n"
    _, closed, after = rest.partition(end)
    if not closed:
        raise ValueError(f"the page has {start} without {end}: put it back")
    return before + block + after


def write_section(
    page: Path, name: str, body: str, title: str = "Measured", says_commit: bool = False
) -> None:
    """Put a section into a page file, which is made if it is not there. Raises ValueError.

    Below it stands the commit that was measured, unless the body says it (`says_commit`).
    """
    if not says_commit:
        body = f"{body.strip()}\n\nCommit: {commit()}."
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text() if page.exists() else f"# {title}\n"
    page.write_text(replace_section(text, name, body))


def markdown_table(rows: Sequence[Sequence[object]]) -> str:
    """A table from its cells, the heads first; all columns but the first stand right."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


def commit() -> str:
    """The clone's commit, with + if code differs from it; "unknown" where there is no git."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=_CLONE, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *_CODE)
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware(device: torch.device | None = None) -> str:
    """A GPU's name, or the processor's and how many cores there are, for under a table."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    cores = f"{os.cpu_count()} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {cores}"
