"""An import's tasks to a Label Studio project; their images by one of three ways."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from .destination import Destination, note_first

if TYPE_CHECKING:
    from ml_backend.label_studio import LabelStudio

_UPLOAD_CHUNK = 50  # images in one request
_LINK_CHUNK = 500
_LOCK = ".import.send.lock"

_ONE_IMAGE = '<View><Image name="image" value="$image"/></View>'

Task = Mapping[str, Any]
# From task data with paths below the import's folder to data with addresses for Label Studio.
_Address = Callable[[list[dict[str, Any]]], None]


class StorageError(RuntimeError):
    """The object store does not take the images; the message names its address and the remedy."""


@contextlib.contextmanager
def one_at_a_time(out: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Until it is left no other process sends from `out`; one that does is waited for.

    Two that send at once make tasks twice: neither knows of those that the other makes. `on_wait`
    is called before a wait. Raises OSError.
    """
    with (out / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def send(
    tasks: Iterable[Task],
    out: Path,
    label_studio: LabelStudio,
    project_id: int,
    document_root: Path | None = None,
    progress: bool = False,
    *,
    object_store: str | None = None,
) -> int:
    """Create a project's tasks from an import; how many are new.

    The images are uploaded; or, with `document_root`, served by Label Studio as local files below
    it; or, with `object_store` (an fsspec address such as ``s3://bucket/folder``), written there
    for Label Studio to read as cloud storage. Slices that the project has already are left out,
    and tasks follow each chunk of images: what is cut short goes on where it stopped. The project
    is noted in `out` if it is the first.
    Raises LabelStudioError, StorageError, and ValueError if `out` is not below `document_root`.
    """
    there = set(label_studio.task_values(project_id, "slice"))
    waiting = (dict(task["data"]) for task in tasks if task["data"]["slice"] not in there)
    if document_root is not None:
        chunk, address = _LINK_CHUNK, _local_files(out, label_studio, project_id, document_root)
    elif object_store is not None:
        chunk, address = _UPLOAD_CHUNK, _stored(out, object_store)
    else:
        chunk, address = _UPLOAD_CHUNK, _uploaded(out, label_studio, project_id)
    note_first(out, Destination.at(label_studio.url, project_id))
    sent = 0
    with tqdm(desc="send", unit="slice", disable=not progress) as bar:
        while part := list(islice(waiting, chunk)):
            address(part)
            label_studio.import_tasks(project_id, [{"data": data} for data in part])
            bar.update(len(part))
            sent += len(part)
    return sent


def _images(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys and file names of a task's images, one a window."""
    for key, value in data.items():
        if key == "image" or key.startswith("image_"):
            yield key, Path(str(value)).name


def _uploaded(out: Path, label_studio: LabelStudio, project_id: int) -> _Address:
    def place() -> int:
        # Label Studio refuses uploads to a project whose label config shows several images: a
        # project beside it holds them then.
        title = f"Images of project {project_id} (Quorum)"
        found = label_studio.project_titled(title)
        return found if found is not None else label_studio.create_project(title, _ONE_IMAGE)

    holder = project_id

    def address(part: list[dict[str, Any]]) -> None:
        nonlocal holder
        if holder == project_id and any(len(list(_images(data))) > 1 for data in part):
            holder = place()
        names = [name for data in part for _, name in _images(data)]
        for start in range(0, len(names), _UPLOAD_CHUNK):
            files = {
                name: (out / "images" / name).read_bytes()
                for name in names[start : start + _UPLOAD_CHUNK]
            }
            urls.update(label_studio.upload_images(holder, files))
        for data in part:
            data.update({key: urls.pop(name) for key, name in list(_images(data))})

    urls: dict[str, str] = {}
    return address


def _local_files(
    out: Path, label_studio: LabelStudio, project_id: int, document_root: Path
) -> _Address:
    folder = (out / "images").resolve()
    try:
        below = folder.relative_to(document_root.resolve())
    except ValueError:
        raise ValueError(
            f"{out} is not below Label Studio's document root {document_root}"
        ) from None
    connected = False

    def address(part: list[dict[str, Any]]) -> None:
        nonlocal connected
        if not connected:
            label_studio.add_local_files_storage(project_id, str(folder), "Quorum import")
            connected = True
        for data in part:
            for key, name in list(_images(data)):
                data[key] = f"/data/local-files/?d={(below / name).as_posix()}"

    return address


def _stored(out: Path, url: str) -> _Address:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError):
        raise StorageError(
            f"{url.split(':')[0]}:// is no store that fsspec knows here: install its package"
        ) from None

    def address(part: list[dict[str, Any]]) -> None:
        for data in part:
            for key, name in list(_images(data)):
                try:
                    files.makedirs(root, exist_ok=True)
                    files.pipe_file(f"{root}/{name}", (out / "images" / name).read_bytes())
                except Exception as error:  # each store raises its own
                    raise StorageError(
                        f"{url} does not take images ({type(error).__name__}): "
                        "check the address and the store's credentials"
                    ) from None
                data[key] = f"{url.rstrip('/')}/{name}"

    return address
