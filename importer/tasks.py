"""Label Studio tasks: one slice each, written to tasks.json and sent to a project."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from ml_backend.label_studio import LabelStudio

_UPLOAD_CHUNK = 50  # PNGs in one request
_TASK_CHUNK = 500


class TasksError(RuntimeError):
    """tasks.json cannot be used; the message names the file and the remedy."""


def read_tasks(out: Path) -> list[dict[str, Any]]:
    """The tasks of earlier imports into a folder. Raises TasksError if the file is damaged."""
    path = out / "tasks.json"
    try:
        tasks = json.loads(path.read_text())
        if isinstance(tasks, list) and all(task["data"]["slice"] for task in tasks):
            return tasks
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        pass
    raise TasksError(f"{path} is not a list of tasks: move it away and import again")


def write_tasks(out: Path, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Replace tasks.json at once: a reader sees the old or the new one, never half."""
    write_atomically(out / "tasks.json", json.dumps(list(tasks), indent=1).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def send(
    tasks: Sequence[Mapping[str, Any]],
    out: Path,
    label_studio: LabelStudio,
    project_id: int,
    document_root: Path | None = None,
    progress: bool = False,
) -> int:
    """Create a project's tasks from an import; how many are new.

    The images are uploaded, or with `document_root` served by Label Studio as local files below
    it. Slices that the project has already are left out. Raises LabelStudioError, and ValueError
    if `out` is not below `document_root`.
    """
    there = label_studio.task_values(project_id, "slice")
    new = [dict(task["data"]) for task in tasks if task["data"]["slice"] not in there]
    if document_root is not None:
        try:
            below = (out / "images").resolve().relative_to(document_root.resolve())
        except ValueError:
            raise ValueError(
                f"{out} is not below Label Studio's document root {document_root}"
            ) from None
        if new:
            label_studio.add_local_files_storage(
                project_id, str((out / "images").resolve()), "Quorum import"
            )
        for data in new:
            data["image"] = f"/data/local-files/?d={(below / Path(data['image']).name).as_posix()}"
        for start in range(0, len(new), _TASK_CHUNK):
            chunk = new[start : start + _TASK_CHUNK]
            label_studio.import_tasks(project_id, [{"data": data} for data in chunk])
        return len(new)
    with tqdm(total=len(new), desc="upload", unit="slice", disable=not progress) as bar:
        for start in range(0, len(new), _UPLOAD_CHUNK):
            # Tasks follow each chunk of images: an import cut short goes on where it stopped.
            chunk = new[start : start + _UPLOAD_CHUNK]
            names = [Path(data["image"]).name for data in chunk]
            urls = label_studio.upload_images(
                project_id, {name: (out / "images" / name).read_bytes() for name in names}
            )
            for data, name in zip(chunk, names, strict=True):
                data["image"] = urls[name]
            label_studio.import_tasks(project_id, [{"data": data} for data in chunk])
            bar.update(len(chunk))
    return len(new)
