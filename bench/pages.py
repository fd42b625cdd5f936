"""Sections that benchmarks write into a page of the documentation, and replace when they run."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def write_section(page: Path, name: str, body: str, title: str = "Measured") -> None:
    """Put a section into a page file, which is made if it is not there. Raises ValueError."""
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text() if page.exists() else f"# {title}\n"
    page.write_text(replace_section(text, name, body))


def markdown_table(rows: Sequence[Sequence[object]]) -> str:
    """A table from its cells, the heads first; all columns but the first stand right."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


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
