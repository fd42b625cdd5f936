"""De-identifies DICOM and creates Label Studio tasks: sources → deidentify → render → tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .burned_in import review_reason
from .decode import DecodeError, frames, parse, quiet, to_rgb
from .deidentify import allowed_attributes, position_along_normal_mm, relative_positions
from .keys import load_or_make_key
from .pseudonyms import pseudonym
from .render import render, to_png
from .report import ImportReport, Problem
from .sources import SourceObject, iter_objects
from .tasks import read_tasks, write_atomically, write_tasks

__all__ = ["ImportReport", "import_dicom"]


def import_dicom(
    sources: Path | str | Sequence[Path | str],
    out: Path | str,
    key: bytes | Path | str,
    *,
    accept: Collection[str] = (),
    progress: bool = False,
) -> ImportReport:
    """De-identify DICOM into `out`/images/*.png and `out`/tasks.json; what became of each object.

    Sources are files, folders and zips; `key` is the hospital's key, or the file that holds it
    (made on first use). `accept` names modalities that a person has looked at for burned-in text.
    Objects imported before are recognised and left as they are. Whatever is wrong with an object
    is reported, and the rest goes on.
    Raises KeyFileError, TasksError, ValueError for an empty key, or OSError if `out` cannot be
    written.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    out = Path(out)
    secret = key if isinstance(key, bytes) else load_or_make_key(Path(key))
    pseudonym(secret, "patient", "")  # an unusable key is told before anything is read
    (out / "images").mkdir(parents=True, exist_ok=True)
    report = ImportReport()
    tasks = {task["data"]["slice"]: task for task in read_tasks(out)}
    # Absolute positions of this run's slices by series, for the second step.
    positions: dict[str, dict[str, float | None]] = defaultdict(dict)
    objects = iter_objects([Path(source) for source in listed])
    for source in tqdm(objects, desc="import", unit="object", disable=not progress):
        for data, png, position in _slices(source, secret, accept, report, tasks):
            name = data["slice"]
            positions[data["series"]][name] = position
            if png is None:
                report.already_there += 1
                continue
            write_atomically(out / data["image"], png)
            tasks[name] = {"data": data}
            report.imported += 1
    for members in positions.values():
        for name, relative in zip(members, relative_positions(members.values()), strict=True):
            if relative is not None and "slice_position_mm" not in tasks[name]["data"]:
                tasks[name]["data"]["slice_position_mm"] = relative
    report.tasks = list(tasks.values())
    write_tasks(out, report.tasks)
    return report


def _slices(
    source: SourceObject,
    key: bytes,
    accept: Collection[str],
    report: ImportReport,
    known: Collection[str],
) -> Iterator[tuple[dict[str, Any], bytes | None, float | None]]:
    """Data, PNG (None if known already) and absolute position of each frame of one object."""

    def problem(reason: str) -> Problem:
        return Problem(source.number, source.digest, reason, source.path)

    if source.problem:
        report.unreadable.append(problem(source.problem))
        return
    with quiet():
        try:
            dataset = parse(source.content)
            if dataset is None or dataset.get("DirectoryRecordSequence"):
                report.not_dicom += 1
                return
            if not any(k in dataset for k in ("PixelData", "FloatPixelData")):
                # The standard's own name of the class; one it does not know is not echoed.
                name = getattr(dataset.SOPClassUID, "name", "")
                known_name = name if name and name[0].isalpha() else "unknown SOP class"
                report.without_pixels[known_name] += 1
                return
            reason = review_reason(dataset, accept)
            if reason:
                report.quarantined.append(problem(reason))
                return
            try:
                data = allowed_attributes(dataset, key)
            except ValueError:
                report.unreadable.append(problem("missing-identifier"))
                return
            count = int(dataset.get("NumberOfFrames") or 1)
            names = [pseudonym(key, "slice", f"{data['instance']}/{f}") for f in range(count)]
            places = [position_along_normal_mm(dataset, frame) for frame in range(count)]
            if all(name in known for name in names):
                for name, place in zip(names, places, strict=True):
                    yield {**data, "slice": name}, None, place
                return
            made = []
            for frame, pixels in enumerate(frames(dataset)):
                png = to_png(render(to_rgb(pixels, dataset), dataset))
                image = f"images/{names[frame]}.png"
                made.append(({"image": image, "slice": names[frame], "frame": frame, **data}, png))
        except DecodeError as error:
            report.unreadable.append(problem(error.reason))
            return
        except Exception:  # pydicom converts lazily: any access can fail, and its text may quote
            report.unreadable.append(problem("damaged"))
            return
    for (slice_data, png), place in zip(made, places, strict=True):
        yield slice_data, png, place
