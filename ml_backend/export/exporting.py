"""One export from beginning to end: slices through a format's writer, manifest and data sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..label_studio import LabelStudio
from ..settings import Settings
from ..store import Store, StoreError
from .archive import MANIFEST, SHEET, whole
from .dataset import Choice, Dataset
from .formats import FORMATS, About, ExportError, FileRecord, Slice
from .release import commit, release
from .sheet import data_sheet

# (step, how many are done, of how many); whoever raises here ends the export.
Progress = Callable[[str, int, int], None]


def _silent(step: str, done: int, total: int) -> None:
    """No one watches."""


def export_to(
    settings: Settings,
    label_studio: LabelStudio,
    project_id: int,
    format_name: str,
    target: Path,
    progress: Progress = _silent,
    choice: Choice | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Export a project into a folder, or a zip if `target` is named ``….zip``; the manifest.

    Slices pass through one after another. If it fails or is killed nothing is there. `options` are
    the format's own (Format.options). Raises ExportError, also where not one of the slices can be
    exported, LabelStudioError, MaskError, SettingsError, StoreError, OSError.
    """
    if format_name not in FORMATS:
        raise ExportError(f"there is no format {format_name[:40]!r}: {', '.join(FORMATS)}")
    write, given = FORMATS[format_name].writer(), dict(options or {})
    for name in given.keys() - FORMATS[format_name].options:
        raise ExportError(f"--{name} means nothing to the format {format_name}: leave it out")
    choice = choice or Choice()
    with whole(target) as sink:  # a place that cannot be used is found before anything is read
        store = Store(settings.store_root, project_id)
        own = settings.of_project(store.overrides())
        dataset = Dataset.of(own, label_studio, project_id, choice)
        ledger = Ledger(dataset.about)
        progress("export", 0, dataset.total)

        def watched() -> Iterator[Slice]:
            for done, piece in enumerate(dataset.slices(), start=1):
                ledger.add(piece)
                yield piece
                progress("export", done, dataset.total)

        for record in write(watched(), sink.folder, dataset.about, **given):
            ledger.file(record, sink.add(record.path))
        contents = ledger.contents()
        if dataset.total and not contents["slices"]:
            raise ExportError(_nothing(dataset.total, contents["problems"]))
        manifest = {
            "format": format_name,
            "quorum": {"release": release(), "commit": commit()},
            "made_at": dataset.about.made_at,
            "project": project_id,
            "include": choice.include,
            "labels": {str(n): label for n, label in enumerate(dataset.about.labels, start=1)},
            "held_out_unit": dataset.about.held_out_unit,
            "quality": quality_of(store, dataset.about.version),
            "trial": store.figures("trial") or None,
            **contents,
        }
        sink.add_text(SHEET, data_sheet(manifest))
        sink.add_text(MANIFEST, json.dumps(manifest, indent=1, allow_nan=False))
    progress("export", dataset.total, dataset.total)
    return manifest


def _nothing(total: int, problems: Sequence[Mapping[str, Any]]) -> str:
    """Why there is no data set, which must not take the place of an earlier one."""
    first = next((f"; task {one['task_id']}: {one['reason']}" for one in problems), "")
    return f"not one of {total} slices has a mask that could be exported, so none is written{first}"


class Ledger:
    """What went by: an entry a slice, a record a file."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._slices: dict[int, dict[str, Any]] = {}
        self._files: list[dict[str, Any]] = []
        self._masked: set[int] = set()

    def add(self, piece: Slice) -> None:
        """Note a slice."""
        counts = np.bincount(piece.label_map.ravel(), minlength=len(self._about.labels) + 1)
        self._slices[piece.task_id] = {
            "task": piece.task_id,
            "split": piece.split,
            "files": {},
            "size": list(piece.label_map.shape),
            "pixels": {
                label: int(counts[n]) for n, label in enumerate(self._about.labels, start=1)
            },
            "made": piece.made.as_json(),
            "consensus": piece.consensus,
            "agreement": piece.agreement,
            "ground_truth": piece.ground_truth,
            "updated_at": piece.updated_at,
            "data": dict(piece.data),
        }

    def file(self, record: FileRecord, measured: dict[str, Any]) -> None:
        """Note a finished file."""
        for task_id in record.tasks:
            self._slices[task_id]["files"][record.role] = record.path
        if record.role in ("mask", "annotations"):
            self._masked.update(record.tasks)
        entry = {"path": record.path, "role": record.role, **measured, "tasks": list(record.tasks)}
        self._files.append({**entry, "notes": dict(record.notes)} if record.notes else entry)

    def contents(self) -> dict[str, Any]:
        """The manifest's slices, files and problems, and the tasks of which there is no mask."""
        left_out = self._slices.keys() - self._masked
        said = {problem["task_id"] for problem in self._about.problems}
        silent = [
            {"task_id": task_id, "reason": "the format cannot hold it"}
            for task_id in sorted(left_out - said)
        ]
        return {
            "slices": [e for task_id, e in self._slices.items() if task_id not in left_out],
            "files": self._files,
            "problems": [*map(dict, self._about.problems), *silent],
            "without_mask": sorted(self._about.without_mask),
        }


def quality_of(store: Store, version: str | None) -> dict[str, Any] | None:
    """Held-out figures of a version, None if it has none or cannot be read."""
    try:
        metadata = store.metadata(version) if version else {}
    except StoreError:
        return None
    if not metadata.get("quality"):
        return None
    return {
        "version": version,
        "published_at": metadata.get("published_at"),
        "held_out_unit": metadata.get("held_out_unit"),
        "training": len(metadata.get("training_tasks") or ()),
        "evaluation": len(metadata.get("evaluation_tasks") or ()),
        **metadata["quality"],
        "interval": (metadata.get("stopping") or {}).get("quality"),
    }
