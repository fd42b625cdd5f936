"""Counts of what each import into a project set aside, for the project's page on this machine.

``DATA_DIR/imports/PROJECT.jsonl``, one line an import: numbers and reason codes alone, no path, no
value and no pseudonym. If the backend runs elsewhere nobody reads them, and nothing is sent.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from .quarantine import Held
from .report import ImportReport

Decision = Literal["released", "refused"]


def counts_of(
    before: Sequence[Held],
    after: Sequence[Held],
    report: ImportReport | None = None,
    *,
    decision: Decision | None = None,
) -> dict[str, int | dict[str, int]]:
    """What an import or a decision changed, from what waited for a person before and after it.

    Only what is new counts as held, by its reason: an import that is run again holds the same
    objects once more. What waits no longer met with the `decision`; if none was taken, with that
    of another command, which counts it.
    """
    known, left = {entry.instance for entry in before}, {entry.instance for entry in after}
    came = Counter(entry.reason for entry in after if entry.instance not in known)
    gone = len(known - left)
    skipped = 0
    if report is not None:
        skipped = report.not_dicom + sum(report.without_pixels.values())
    return {
        "imported": 0 if report is None else report.imported,
        "skipped": skipped,
        "unreadable": 0 if report is None else len(report.unreadable),
        "held": sum(came.values()),
        "released": gone if decision == "released" else 0,
        "refused": gone if decision == "refused" else 0,
        "reasons": dict(came.most_common()),
    }


def note(data_folder: Path, project_id: int, counts: dict[str, Any]) -> None:
    """Append the counts of one import, unless all are 0; readable by this user only.

    Raises OSError.
    """
    if not any(counts.values()):
        return
    folder = data_folder / "imports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = json.dumps({"at": now, **counts}, separators=(",", ":")).encode() + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    handle = os.open(folder / f"{int(project_id)}.jsonl", flags, 0o600)
    try:
        os.write(handle, line)  # at once: imports at the same time do not mix their lines
    finally:
        os.close(handle)
