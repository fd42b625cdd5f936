"""The list of projects: a row of each."""

from __future__ import annotations

from ...figures.quality import QUALITY
from ...jobs.errors import DOWN
from .now import Panel
from .project import Project


def overview(project: Project, redis_away: bool = False) -> Panel:
    """A row of the list of projects; Redis is not asked while it is known to be away."""
    store = project.store
    standing = store.figures("standing")
    trouble = DOWN if redis_away else project.jobs.trouble(project.project_id)
    found = {} if redis_away else project.jobs.latest(project.project_id) or {}
    current = store.current()
    rows = store.figures(QUALITY).get("versions", [])
    serving: Panel = next((row for row in rows if row["version"] == current), {})
    return {
        "project_id": project.project_id,
        "title": standing.get("title"),
        "address": f"/progress/{project.project_id}",
        "counts": standing.get("counts") or {},
        "round_status": found.get("job_status"),
        "trouble": trouble,
        "mean_iou": serving.get("mean_iou"),
        "updated_at": standing.get("updated_at"),
    }
