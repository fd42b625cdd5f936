"""The output folder: images, the journal of what was imported, and tasks.json made from it.

The journal is appended to as objects are done, one JSON line a slice, so that an import that was
cut short goes on where it stopped and 100,000 slices need no memory. tasks.json is written from it
at the end, series by series, with positions relative to each series.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ml_backend.syncing import sync_disk, sync_folder

_JOURNAL, _LOCK = ".import.jsonl", ".import.lock"
# In the first line: where the slices are sent is noted (destination.py), so no note means nowhere.
_NOTES_DESTINATION = "notes_destination"


class TasksError(RuntimeError):
    """The output folder cannot be used; the message names the file and the remedy."""


class FolderInUse(TasksError):
    """Another import is at work in the output folder: see wait_until_free()."""


class Journal:
    """The slices in an output folder. Raises TasksError if its journal is damaged or of another
    recipe, OSError if the folder cannot be written.
    """

    def __init__(self, out: Path, recipe: Mapping[str, Any]) -> None:
        self._out = out
        self._path = out / _JOURNAL
        self.known: dict[str, None] = {}  # slices, in the order of import
        self.pixels: dict[str, str] = {}  # by instance (Outcome.pixels)
        self._places: dict[str, list[tuple[float | None, int, int]]] = {}  # by series
        self._origins: dict[str, float] = {}
        self._of_another_recipe = False
        (out / "images").mkdir(parents=True, exist_ok=True)
        self._lock = (out / _LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderInUse(f"another import into {out} is running: wait for it") from None
        sweep(out / "images")
        length = self._read(recipe)
        if self._of_another_recipe:
            # Pictures may be there that no line tells of yet.
            if self.known or any((out / "images").iterdir()):
                raise TasksError(
                    f"{out} was made with other windows, frames or image format: "
                    "use the same options, or another --out"
                )
            length = 0  # nothing came in that way: the folder is this recipe's
        if self._path.exists():
            os.truncate(self._path, length)  # a line that a crash cut short
        self._stream: IO[bytes] = self._path.open("ab")
        if length == 0:
            if (out / "tasks.json").exists() and not self._of_another_recipe:
                raise TasksError(
                    f"{out / 'tasks.json'} is not of this importer: move it away and import again"
                )
            self._append({"recipe": dict(recipe), _NOTES_DESTINATION: True})

    def _read(self, recipe: Mapping[str, Any]) -> int:
        """Index the journal; the length of its complete lines in bytes."""
        offset = 0
        try:
            with self._path.open("rb") as stream:
                for line in stream:
                    if not line.endswith(b"\n"):
                        break
                    self._index(json.loads(line), offset, recipe)
                    offset += len(line)
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError):
            raise _damaged(self._path) from None
        return offset

    def _index(self, entry: Any, offset: int, recipe: Mapping[str, Any]) -> None:
        if "recipe" in entry:
            self._of_another_recipe = entry["recipe"] != dict(recipe)
        elif "origin" in entry:
            self._origins[entry["series"]] = float(entry["origin"])
        else:
            data = entry["data"]
            place = (entry["position"], int(data.get("frame", 0)), offset)
            self._places.setdefault(data["series"], []).append(place)
            self.known[data["slice"]] = None
            if "pixels" in entry:  # of the first frame alone, and not of earlier releases
                self.pixels[data["instance"]] = entry["pixels"]

    def add(self, data: Mapping[str, Any], position_mm: float | None, pixels: str = "") -> None:
        """Note a slice whose images are on the disk; one that is known already is left out."""
        if data["slice"] in self.known:
            return
        first = {"pixels": pixels} if pixels and not data.get("frame") else {}
        self._append({"data": dict(data), "position": position_mm, **first})

    def _append(self, entry: dict[str, Any]) -> None:
        offset = self._stream.tell()
        self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._index(entry, offset, entry.get("recipe", {}))

    def flush(self) -> None:
        """Bring what was noted to the disk, and first the images that it names.

        Whoever deletes an object once it is imported may do so then. Raises OSError.
        """
        sync_disk(self._out / "images")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Write tasks.json, and close."""
        for series, places in self._places.items():
            known = [position for position, _, _ in places if position is not None]
            if known and series not in self._origins:
                # Kept: slices that come later must not move those that are tasks already.
                self._append({"series": series, "origin": min(known)})
        self.flush()
        write_atomically(self._out / "tasks.json", _as_list(self.tasks()))
        self._stream.close()
        self._lock.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *failure: object) -> None:
        """Also after a failure what was imported is listed, unless the disk refuses."""
        if failure[0] is None:
            self.close()
            return
        with contextlib.suppress(OSError):
            self.close()

    def tasks(self) -> Iterator[dict[str, Any]]:
        """All tasks of the folder, series by series in the order of their positions.

        Positions are in mm from the series' lowest slice of its first import: the absolute ones
        are the table's.
        """
        self._stream.flush()
        at = 0
        with self._path.open("rb") as stream:
            for series, places in self._places.items():
                origin = self._origins.get(series)
                for _, _, offset in sorted(places, key=lambda p: (p[0] is None, p)):
                    if offset != at:  # a seek forgets what the stream has read ahead
                        stream.seek(offset)
                    line = stream.readline()
                    at = offset + len(line)
                    entry = json.loads(line)
                    data = entry["data"]
                    if entry["position"] is not None and origin is not None:
                        data["slice_position_mm"] = round(entry["position"] - origin, 3)
                    yield {"data": data}


def wait_until_free(out: Path) -> None:
    """Return when no import is at work in an output folder. Raises OSError."""
    with (out / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def notes_destination(out: Path) -> bool:
    """Whether a folder's first import was of a release that notes where its slices are sent."""
    try:
        with (out / _JOURNAL).open("rb") as stream:
            return bool(json.loads(stream.readline()).get(_NOTES_DESTINATION))
    except (FileNotFoundError, ValueError, AttributeError):
        return False


def pixels_in(out: Path, instances: Collection[str]) -> dict[str, str]:
    """What tells the pixels of some instances that a folder has slices of (Outcome.pixels).

    Raises TasksError if its journal is damaged, OSError if it cannot be read.
    """
    found: dict[str, str] = {}
    try:
        with (out / _JOURNAL).open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):  # one that a crash cut short
                    break
                entry = json.loads(line)
                if "pixels" in entry and entry["data"]["instance"] in instances:
                    found[entry["data"]["instance"]] = entry["pixels"]
    except FileNotFoundError:
        return found
    except (ValueError, KeyError, TypeError):
        raise _damaged(out / _JOURNAL) from None
    return found


def _damaged(path: Path) -> TasksError:
    return TasksError(f"{path} is damaged: move {path.parent} away and import again")


def _as_list(tasks: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    first = True
    for task in tasks:
        yield (b"[\n" if first else b",\n") + json.dumps(task).encode()
        first = False
    yield b"[]\n" if first else b"\n]\n"


def iter_tasks(out: Path) -> Iterator[dict[str, Any]]:
    """The tasks in a folder's tasks.json, one in memory at a time: it holds one a line.

    Raises TasksError if it is damaged or of another program.
    """
    path = out / "tasks.json"
    try:
        with path.open("rb") as stream:
            for line in stream:
                text = line.strip().rstrip(b",")
                if text not in (b"[", b"]", b"[]"):
                    task = json.loads(text)
                    task["data"]["slice"]
                    yield task
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def sweep(folder: Path, left_for_s: float = 0.0) -> None:
    """Remove what killed workers left half written, if nobody wrote to it for so long."""
    for left in folder.glob(".*.part"):
        with contextlib.suppress(OSError):  # another import sweeps too
            if time.time() - left.stat().st_mtime >= left_for_s:
                left.unlink()


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file under a temporary name beside it, then rename it: whole after a power cut too.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            for part in (content,) if isinstance(content, bytes) else content:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
