"""Projects, images and tasks made in Label Studio, and the settings that decide who gets what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .reading import Reading
from .transport import LabelStudioError

SAMPLING = "Uncertainty sampling"


class Writing(Reading):
    """The calls that make projects and tasks; what would be doubled is not tried again."""

    def create_project(self, title: str, label_config: str) -> int:
        """Create a project; its id."""
        body = {"title": title, "label_config": label_config, "sampling": SAMPLING}
        return int(self._json("POST", "/api/projects", json=body)["id"])

    def upload_images(self, project_id: int, images: Mapping[str, bytes]) -> dict[str, str]:
        """Upload PNGs and JPEGs, name → bytes; the address that each has in Label Studio."""
        # Each needs a field of its own: of one field's files Label Studio keeps the last.
        files = {name: (name, content, _media_type(name)) for name, content in images.items()}
        reply = self._json(
            "POST",
            f"/api/projects/{project_id}/import",
            params={"commit_to_project": "false"},
            files=files,
        )
        ids = reply["file_upload_ids"]
        listed = self._json(
            "GET", f"/api/projects/{project_id}/file-uploads", params={"ids": json.dumps(ids)}
        )
        # Label Studio prefixes each name with eight hex digits and a dash.
        stored = {entry["file"].rsplit("/", 1)[-1].split("-", 1)[1]: entry for entry in listed}
        missing = [name for name in images if name not in stored]
        if missing:
            raise LabelStudioError(
                f"Label Studio kept {len(images) - len(missing)} of {len(images)} images: "
                "check its disk and its upload limits"
            )
        return {name: f"/data/{stored[name]['file']}" for name in images}

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> int:
        """Create tasks, each {"data": {…}}; how many were created."""
        reply = self._json("POST", f"/api/projects/{project_id}/import", json=list(tasks))
        return int(reply["task_count"])

    def serve_order_of(self, project_id: int, version: str) -> None:
        """Make "next task" follow the scores of a version's predictions, lowest first."""
        body = {"sampling": SAMPLING, "model_version": version}
        self._call("PATCH", f"/api/projects/{project_id}", json=body, repeatable=True)

    def set_overlap(self, project_id: int, annotators: int) -> None:
        """Ask for so many annotators a task (`maximum_annotations`).

        A task is labelled, and no longer served, once as many different annotators have submitted;
        Label Studio counts anew what is labelled already.
        """
        if annotators < 1:
            raise ValueError(f"overlap is {annotators}: a task needs 1 annotator or more")
        body = {"maximum_annotations": annotators}
        self._call("PATCH", f"/api/projects/{project_id}", json=body, repeatable=True)


def _media_type(name: str) -> str:
    return "image/png" if name.endswith(".png") else "image/jpeg"
