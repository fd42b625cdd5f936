"""What of a task's data goes into an export: values, never addresses and nobody's e-mail."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

# What the importer puts into tasks; all of it is pseudonyms, numbers and the standard's terms.
KNOWN = frozenset(
    """
    patient study series instance slice frame slice_position_mm pixel_spacing_mm slice_thickness_mm
    modality body_part laterality rows columns window_center window_width
    """.split()
)
# An address may carry a token, and says where a hospital keeps its files; folders and files often
# bear a patient's name. A scheme; a path from the root, a Windows share or drive, or a picture
# inside the text itself; paths of three parts (and dates); names of files by their ending.
_ADDRESS = re.compile(
    r"""
    [a-z0-9+.-]://
    | (?<![^\s"'()<>\[\]{}=,;:|]) (?: [/\\]\S | ~\w*[/\\] | [a-z]:[/\\] | data:\S | www\. )
    | [^\s/\\] [/\\] [^\s/\\]+ [/\\] [^\s/\\]
    | \. (?: dcm | dicom | ima | png | jpe?g | jp2 | tiff? | bmp | gif | webp | svg | nii | nrrd
        | mh[ad] | mp4 | avi | pdf | docx? | xlsx? | csv | txt | json | xml | zip | tar | gz ) \b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_E_MAIL = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_LEFT_OUT = object()


def exported(
    data: Mapping[str, Any], image_keys: Collection[str], *, known_only: bool = False
) -> dict[str, Any]:
    """A task's data as it is exported, JSON-able.

    Left out are the images (`image_keys`), every other value that is or holds an address, a path, a
    file's name or an e-mail, at any depth, and with `known_only` all keys but the importer's.
    Numbers that JSON cannot hold become None.
    """
    found = {}
    for key, value in data.items():
        if key in image_keys or (known_only and key not in KNOWN) or _private(key):
            continue
        kept = _kept(value)
        if kept is not _LEFT_OUT:
            found[key] = kept
    return found


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return _LEFT_OUT if _private(value) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        inside = {key: _kept(each) for key, each in value.items() if not _private(str(key))}
        return {key: each for key, each in inside.items() if each is not _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [each for each in map(_kept, value) if each is not _LEFT_OUT]
    return value


def _private(text: str) -> bool:
    return bool(_ADDRESS.search(text) or _E_MAIL.search(text))
