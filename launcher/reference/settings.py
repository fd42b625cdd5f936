"""docs/reference/settings.md: every variable that Quorum reads from the environment."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from importer.limits import Limits
from ml_backend.learning.training_settings import TrainingSettings, preset
from ml_backend.settings import PROJECT_SETTINGS, TRAINING_SETTINGS, Settings, variable_of
from ml_backend.settings.bounds import bounds
from ml_backend.settings.declarations import SettingsFields

from ..services import new_secrets
from .markdown import code, document, table

_KINDS = {bool: "yes or no", int: "whole number", float: "number", str: "text", Path: "folder"}
_FIRST = "Label Studio, queue and store"

# Read elsewhere: what a command is told on its way to the importer, the launcher and the tests.
OTHERS = {
    "QUORUM_BIND": "the backend's: host and port that `python -m ml_backend.serving` listens on, "
    "as in containers",
    "QUORUM_KEY_FILE": "the hospital's key file; `importer.key` in `QUORUM_DATA_DIR` if unset. "
    "Also read by `reveal`, `rotate-key`, `return`, `backup --hospital` and `restore`",
    "QUORUM_DICOMWEB_USER": "user of a DICOMweb server, with `QUORUM_DICOMWEB_PASSWORD`",
    "QUORUM_DICOMWEB_PASSWORD": "its password",
    "QUORUM_DICOMWEB_TOKEN": "bearer token of a DICOMweb server, in place of user and password",
    "QUORUM_DICOMWEB_ALLOW_HTTP": "`1`: a DICOMweb server may be asked without encryption",
}

_LIMITS = {
    "object_bytes": "bytes of one DICOM object",
    "inflated_bytes": "bytes of a deflated data set once it is unfolded",
    "archive_members": "members of one archive",
    "archive_bytes": "bytes of one archive once it is unpacked",
    "archive_ratio": "times that a member may grow",
    "archive_nesting": "archives within archives",
    "frames": "frames of one object",
    "frame_pixels": "pixels of one frame",
    "memory_bytes": "bytes of memory of one worker, beyond what its libraries take",
    "seconds": "seconds that one object may take, and besides",
    "seconds_per_megabyte": "seconds for each megabyte of it",
    "seconds_per_megapixel": "seconds more for each million pixels (at least one, in each frame) "
    "that come out of their codec",
}


@dataclass
class Group:
    """Settings that stand together in the code, under the comment above them."""

    title: str
    about: str = ""
    names: list[str] = field(default_factory=list)


def groups() -> list[Group]:
    """The settings as settings/declarations.py groups them: by the comments above them."""
    names = {setting.name for setting in fields(Settings)}
    found = [Group(_FIRST)]
    comment: list[str] = []
    for line in inspect.getsource(SettingsFields).splitlines():
        text = line.strip()
        if line.startswith("    # "):
            comment.append(text[2:])
        elif line.startswith("    ") and (name := text.partition(":")[0]) in names:
            if comment:
                title, _, about = " ".join(comment).replace("? ", "?. ").partition(". ")
                found.append(Group(title.rstrip("."), about))
            found[-1].names.append(name)
            comment = []
    return found


def shown(value: Any) -> str:
    """A default as one would write it in the environment."""
    if isinstance(value, bool):
        return "`yes`" if value else "`no`"
    return code(str(value)) or "empty"


def page() -> str:
    """The whole page."""
    kinds = get_type_hints(Settings)
    required = {name: bound for name, _, bound in bounds(Settings())}
    defaults = {setting.name: setting for setting in fields(Settings)}
    parts = []
    for group in groups():
        rows = []
        for name in group.names:
            setting = defaults[name]
            rows.append(
                (
                    code(str(setting.metadata["variable"])),
                    _KINDS[kinds[name]],
                    shown(setting.default),
                    str(setting.metadata["why"]),
                    required.get(name, ""),
                    code(name) if name in PROJECT_SETTINGS else "",
                )
            )
        head = ("variable", "type", "default", "what it is", "must be", "for one project")
        parts += [f"## {group.title}", _sentence(group.about), table(head, rows)]
    return document(
        "Settings",
        "ml_backend/settings/declarations.py",
        "Settings are environment variables. An empty one counts as not set. `yes`, `true` and "
        "`1` mean yes; `no`, `false` and `0` mean no. A value out of its bounds is refused when "
        "the program starts, with the variable's name.",
        "Where the last column has a name, one project may differ from the rest: "
        "`./quorum project 12 set K=96 k=16`, and `set K=` to go back. See "
        "[Change K and k](../how-to/change-K-and-k.md).",
        "`./quorum up` makes "
        + ", ".join(map(code, new_secrets()))
        + " on its first start, and keeps them in `QUORUM_DATA_DIR/secrets.json`; what is set goes "
        "first. Containers have a few more variables: [docker/](../../docker/README.md).",
        *parts,
        *_presets(),
        *_importer(),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" if text else ""


def _presets() -> list[str]:
    cpu, gpu = preset("cpu"), TrainingSettings()
    rows = [
        (code(variable_of(name)), shown(getattr(cpu, name)), shown(getattr(gpu, name)))
        for name in TRAINING_SETTINGS
    ]
    return [
        "## What 0 or empty means for the committee",
        "The preset of the device that a worker computes on. Its steps are the least: they grow so "
        f"that each labelled slice is seen {cpu.epochs} times. Steps that you set are taken as "
        "they are.",
        table(("variable", "CPU", "GPU"), rows),
    ]


def _importer() -> list[str]:
    rows = [
        (code(f"QUORUM_IMPORT_{limit.name.upper()}"), shown(limit.default), _LIMITS[limit.name])
        for limit in fields(Limits)
    ]
    return [
        "## Others, and the importer's",
        "These are no settings of a project. `./quorum import`, `receive`, `release` and `return` "
        "read those of DICOMweb servers and the limits.",
        table(("variable", "what it is"), [(code(name), why) for name, why in OTHERS.items()]),
        "What one object or archive may cost. Each must be a number above 0.",
        table(("variable", "default", "at most"), rows),
    ]
