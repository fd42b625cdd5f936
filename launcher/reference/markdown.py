"""Tables and headings as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Text that cannot leave its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a line for each row."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell(text) for text in cells) + " |"


def document(title: str, source: str, *parts: str) -> str:
    """A whole page; the first line says that nobody should edit it."""
    note = f"<!-- Written by python -m launcher.reference from {source}. Edit that. -->"
    body = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    return f"{note}\n\n# {title}\n\n{body}\n"
