"""What of a task's data goes into an export: values, never addresses and nobody's e-mail."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

# What the importer puts into tasks; all of it is pseudonyms, numbers and the standard's terms.
KNOWN = frozenset(
    """
    patient study series instance slice frame slice_position_mm pixel_spacing_mm slice_thickness_mm
    modality body_part laterality rows columns window_center window_width
    """.split()
)
# An address may carry a token, and says where a hospital keeps its files: a scheme, a path from the
# root, a Windows share or drive, or a picture inside the text itself.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|^\s*(?:[/\\~]|[a-z]:[/\\]|data:|www\.)", re.IGNORECASE)
_E_MAIL = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_LEFT_OUT = object()


def exported(
    data: Mapping[str, Any], image_key: str, *, known_only: bool = False
) -> dict[str, Any]:
    """A task's data as it is exported, JSON-able.

    Left out are the images' addresses, every other value that is or holds an address or an e-mail,
    at any depth, and with `known_only` all keys but the importer's. Numbers that JSON cannot hold
    become None.
    """
    found = {}
    for key, value in data.items():
        if key == image_key or key == "image" or key.startswith("image_"):
            continue
        if (known_only and key not in KNOWN) or _private(key):
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
