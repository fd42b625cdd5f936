"""Which keys of a task's data a label config shows, and what a task must have to be imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

_FIRST_KEY = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Keys:
    """Keys that Label Studio wants in each task: `page`, `text.title` or, of a list, `pages`."""

    images: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()  # of both


@lru_cache(maxsize=8)
def keys_of(label_config: str) -> Keys:
    """The keys that a label config's named tags show, as Label Studio's import asks for them.

    `label_config` is one that BrushConfig.parse() has read; an empty one has no keys. (Label Studio
    1.23, core/label_config.py: extract_data_types.)
    """
    if not label_config:
        return Keys()
    images, others, lists = set[str](), set[str](), set[str]()
    for element in ElementTree.fromstring(label_config).iter():
        value = element.get("value") or ""
        first = _FIRST_KEY.search(value)
        if not element.get("name") or first is None:
            continue
        key, bracket, _ = (value[1:] if value.startswith("$") else first[1]).partition("[")
        (images if element.tag == "Image" else others).add(key)
        if bracket:
            lists.add(key)
    return Keys(frozenset(images), frozenset(others - images), frozenset(lists))


def completed(data: Mapping[str, Any], label_config: str, address: str) -> dict[str, Any]:
    """Data with all keys that a label config shows: the address for images, else what is missing.

    A several-windows project shows a slice in several windows, of which an export has one picture.
    """
    keys, found = keys_of(label_config), dict(data)
    for key in sorted(keys.images | keys.others):
        value: Any = address if key in keys.images else ""
        if key in keys.lists:
            value = [value] if value else []
        *path, last = key.split(".")
        inside = found
        for part in path:
            deeper = inside.get(part)
            # A copy: what was given stays as it is.
            inside[part] = dict(deeper) if isinstance(deeper, Mapping) else {}
            inside = inside[part]
        if key in keys.images or last not in inside:
            inside[last] = value
    return found
