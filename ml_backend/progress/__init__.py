"""The project manager's page: how far a project is, and how good the drafts are."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, render_template

from ..store import Store, StoreError

pages = Blueprint("progress", __name__, template_folder="templates")


@pages.get("/progress/<int:project_id>")
def progress(project_id: int) -> str:
    """The page of a project."""
    return render_template("progress.html", **_figures(project_id))


@pages.get("/api/progress/<int:project_id>")
def progress_figures(project_id: int) -> Response:
    """The page's figures as JSON."""
    return jsonify(_figures(project_id))


def _figures(project_id: int) -> dict[str, object]:
    known = current_app.extensions["quorum"]
    store = Store(known["settings"].store_root, project_id)
    versions = []
    for name in store.versions():
        try:
            metadata = store.metadata(name)
        except StoreError:
            continue
        versions.append(
            {
                "version": name,
                "published_at": metadata["published_at"],
                "labelled": len(metadata["training_tasks"]),
                "evaluated_on": len(metadata["evaluation_tasks"]),
                "held_out_unit": metadata["held_out_unit"],
                "quality": metadata["quality"],
                "stopping": metadata.get("stopping"),
            }
        )
    current = store.current()
    crowd = store.noted(current, "readers") if current else {}
    outcome = store.noted(current, "round") if current else {}
    reasons = {suspect["annotator"]: suspect["reason"] for suspect in crowd.get("suspects", [])}
    return {
        "project_id": project_id,
        "current": current,
        "versions": versions,
        "job": known["jobs"].latest(project_id),
        "trouble": known["jobs"].trouble(project_id),
        "annotators": [
            {**reader, "suspected": reasons.get(reader["annotator"])}
            for reader in crowd.get("readers", [])
        ],
        "adjudicate": crowd.get("adjudicate", []),
        "problems": outcome.get("problems", []),
    }
