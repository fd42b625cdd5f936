"""The artefact store: published committees, the pointer to one of them, and rounds' scratch.

``ROOT/projects/ID/`` holds ``versions/`` and the notes on them, ``current`` (a file that holds a
version's name), ``division.json``, ``settings.json`` and ``work/``. ROOT is a folder, or an object
store by its fsspec URL. Weights are safetensors and the rest is JSON: nothing is unpickled.

One protocol for both: single objects are replaced atomically, a version's files come before its
manifest, and only the manifest makes it a version. So a process can be killed anywhere, and no
half version is ever seen. Rollback is moving the pointer.
"""

from .names import DamagedError, StoreError, is_version, number_of
from .project import Store, project_ids
from .work import Work

__all__ = [
    "DamagedError",
    "Store",
    "StoreError",
    "Work",
    "is_version",
    "number_of",
    "project_ids",
]
