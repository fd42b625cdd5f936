"""The finished data set: images, label maps and a manifest, ``./quorum export PROJECT``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from .gathering import Problem, gather
from .label_studio import LabelStudio, LabelStudioError
from .masks import MaskError
from .settings import Settings, SettingsError
from .survey import survey


def export_png(
    settings: Settings, label_studio: LabelStudio, project_id: int, out: Path
) -> dict[str, Any]:
    """Write each labelled slice's image and label map as PNG, and manifest.json; the manifest.

    Label maps hold 0 for background and n for the n-th label. A file is named after its task, so
    an export run again replaces what it wrote. Raises LabelStudioError, MaskError, OSError.
    """
    found = survey(label_studio, project_id, settings)
    problems: list[Problem] = []
    tasks = {task.id: task for task in found.tasks}
    held_out = dict(zip(tasks, found.held_out, strict=True))
    slices = []
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "masks").mkdir(parents=True, exist_ok=True)
    chosen = [task for task in found.tasks if task.annotations > 0]
    gathered = gather(label_studio, project_id, chosen, found.config, problems)
    for task_id, image, label_map in zip(
        gathered.task_ids, gathered.images, gathered.label_maps, strict=True
    ):
        name = f"task-{task_id}.png"
        Image.fromarray(image).save(out / "images" / name)
        Image.fromarray(label_map).save(out / "masks" / name)
        data = {k: v for k, v in tasks[task_id].data.items() if k != found.config.image_key}
        split = "evaluation" if held_out[task_id] else "training"
        slices.append(
            {
                "task": task_id,
                "image": f"images/{name}",
                "mask": f"masks/{name}",
                "split": split,
                **data,
            }
        )
    manifest = {
        "project": project_id,
        "labels": {str(n): label for n, label in enumerate(found.config.labels, start=1)},
        "held_out_unit": found.held_out_unit,
        "slices": slices,
        "problems": [asdict(problem) for problem in problems],
    }
    temporary = out / ".manifest.json"
    temporary.write_text(json.dumps(manifest, indent=1))
    os.replace(temporary, out / "manifest.json")
    return manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum export``; its exit status."""
    parser = argparse.ArgumentParser(
        prog="quorum export", description="Write a project's labelled slices as a data set."
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--format", choices=["png"], default="png")
    arguments = parser.parse_args(argv)
    try:
        settings = Settings.from_environment()
        label_studio = LabelStudio.of(settings)
        manifest = export_png(settings, label_studio, arguments.project, arguments.out)
    except (SettingsError, LabelStudioError, MaskError) as error:
        print(f"quorum export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"quorum export: {arguments.out} cannot be written: {error.strerror}", file=sys.stderr
        )
        return 1
    for problem in manifest["problems"]:
        print(f"task {problem['task_id']} left out: {problem['reason']}", file=sys.stderr)
    print(f"{len(manifest['slices'])} slices in {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
