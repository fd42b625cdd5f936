"""The choice of the place where a store's bytes lie: a folder, or an object store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from .folder import FolderObjects
from .objects import Objects


def objects_at(root: str | Path) -> Objects:
    """The objects in a folder, or behind an fsspec URL such as ``s3://bucket/quorum``.

    Reaches nothing yet.
    """
    text = str(root)
    if text.startswith(("file://", "local://")):
        root, text = Path(unquote(urlsplit(text).path)), ""
    if "://" in text:
        from .remote import RemoteObjects  # only then is fsspec needed

        return RemoteObjects(text)
    return FolderObjects(Path(root))
