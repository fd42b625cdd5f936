"""The pages themselves: a project, the list of projects, confirming and doing, downloads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from flask import Response, abort, current_app, jsonify, render_template, request, send_file
from flask import redirect as to
from redis.exceptions import RedisError
from werkzeug.wrappers import Response as Answer

from ..export.archive import downloads
from ..jobs.errand_figures import EXPORT
from ..store import project_ids
from . import actions, metrics
from .access import access, known, settings_of_app
from .action import Action, ActionError, Scene
from .handing_over import export_formats
from .panels import PANELS, Project, Shown, as_json, is_away, overview
from .rounds_by_hand import SETTINGS
from .sign_in import flash

_PICTURE = re.compile(r"[a-z0-9-]{1,100}")
_MOST_PROJECTS = 100


def projects() -> str:
    """The list of projects, of those that may be seen, the newest first."""
    settings = settings_of_app()
    asks = access()
    ids = {int(number) for number in project_ids(settings.store_root)}
    seen = sorted((n for n in ids if asks is not None and asks.sees(n)), reverse=True)
    away = is_away(known()["jobs"])
    rows = [overview(_project(number), away) for number in seen[:_MOST_PROJECTS]]
    return render_template("projects.html", projects=rows, more=len(seen) - len(rows))


def project(project_id: int) -> str:
    """The page of a project."""
    found = _project(project_id)
    panels = _shown().all(found)
    settings, own = found.settings, found.store.overrides()
    names = [name for name, _, _ in SETTINGS] + ["rest_as"]
    asks = access()
    may_act = bool(asks and asks.acts)
    return render_template(
        "progress.html",
        project_id=project_id,
        **panels,
        settings={name: getattr(settings, name) for name in names},
        own_settings=set(own),
        exports=_exports(found) if may_act else [],
        export_formats=[{"name": n, "title": t} for n, t in export_formats()],
        actions=actions.shown(Scene(found, panels["now"])) if may_act else {},
        actions_url=f"/progress/{project_id}/actions/",
        confirm_url=f"/progress/{project_id}/confirm/",
    )


def panels(project_id: int) -> Response:
    """Every panel as JSON."""
    return _json(_shown().all(_project(project_id)))


def panel(project_id: int, name: str) -> Response:
    """One panel as JSON."""
    if name not in PANELS:
        abort(404, f"there is no such panel: {', '.join(PANELS)}")
    shown, found = _shown(), _project(project_id)
    return _json(shown.live(found) if name == "now" else shown.panel(found, name))


def picture(project_id: int, name: str) -> Response:
    """A slice that comes next, as a small PNG."""
    content = None
    if _PICTURE.fullmatch(name):
        content = _project(project_id).store.picture(name)
    if content is None:
        abort(404, "there is no such picture any more: load the page again")
    answer = Response(content, mimetype="image/png")
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def confirm(project_id: int, name: str) -> str:
    """What an action will do, and the form that does it."""
    action, found = _action(name), _connected(project_id)
    values = {key: value[:100] for key, value in request.args.items()}
    scene = Scene(found, _shown().panel(found, "now"), values)
    return _confirm_page(scene, action.shown(name, scene), action.why_not(scene))


def act(project_id: int, name: str) -> Answer | tuple[str, int]:
    """Do an action that somebody has confirmed."""
    action, found = _action(name), _connected(project_id)
    shown = _shown()
    shown.forget(project_id)
    values = {key: value[:100] for key, value in request.form.items() if key != "csrf"}
    scene = Scene(found, shown.panel(found, "now"), values)
    asks = access()
    by_script = bool(asks and asks.by_header)
    try:
        done = actions.perform(name, scene, (asks.user if asks else None) or "nobody")
    except ActionError as error:
        if by_script:
            return _refused(str(error))
        return _confirm_page(scene, action.shown(name, scene), str(error)), 422
    shown.forget(project_id)
    link = _address() + done.link if done.link else None
    if by_script:
        return jsonify({"done": done.says, "link": link})
    flash("done", done.says, link)
    return to(f"/progress/{project_id}", 303)


def _address() -> str:
    """The page's, as far as is known, without a slash at its end: links to be sent are made of it.

    Behind a proxy a request comes by http whatever the browser used; cookies tell in the same way.
    """
    secure = current_app.session_interface.get_cookie_secure(current_app)
    known_as = settings_of_app().page_url
    return known_as.rstrip("/") or f"{'https' if secure else 'http'}://{request.host}"


def act_again(project_id: int, name: str) -> Answer:
    """Nothing is done by following a link: it leads to the form."""
    _action(name)
    return to(f"/progress/{project_id}/confirm/{name}", 303)


def missing(rest: str) -> str:
    """A page for what there is not."""
    abort(404, "there is no such page")


def download(project_id: int, name: str) -> Response:
    """A finished data set."""
    # The name is only compared: no path is made of it.
    settings = settings_of_app()
    path = next((p for p in downloads(settings, project_id) if p.name == name), None)
    if path is None:
        abort(404, "this data set is not there any more: prepare it again")
    return send_file(path.resolve(), as_attachment=True, download_name=path.name, max_age=0)


def metrics_text() -> Response:
    """For Prometheus."""
    text = metrics.exposition(known()["jobs"], settings_of_app())
    return Response(text, content_type=metrics.CONTENT_TYPE)


def _confirm_page(scene: Scene, action: Mapping[str, Any], error: str | None) -> str:
    project_id = scene.project.project_id
    return render_template(
        "confirm.html",
        project_id=project_id,
        title=scene.now.get("title"),
        action=action,
        post_to=f"/progress/{project_id}/actions/{action['name']}",
        back=f"/progress/{project_id}",
        error=error,
    )


_NOT_HERE = dict.fromkeys(("bytes", "made_at", "error", "address", "host"))


def _exports(found: Project) -> list[dict[str, Any]]:
    """Data sets that are prepared or are being, the newest first."""
    rows = []
    kept = found.store.figures("export")
    asked = None
    with suppress(RedisError):  # the page stands without Redis; what is ready can be fetched
        asked = found.jobs.errands.waiting(found.project_id).get(EXPORT)
    if asked or kept.get("state") == "failed":
        name = next(iter(asked["arguments"]), None) if asked else kept.get("format")
        row = {"name": None, "format": name, "state": "running" if asked else "failed"}
        error = None if asked else kept.get("error")
        rows.append({**row, **_NOT_HERE, "error": error})
    here = downloads(found.common, found.project_id)
    if kept.get("state") == "done" and kept.get("name") not in [path.name for path in here]:
        row = {"name": kept.get("name"), "format": kept.get("format"), "state": "elsewhere"}
        rows.append({**row, **_NOT_HERE, "host": kept.get("host")})
    for path in here:
        try:
            about = path.stat()
        except OSError:  # replaced by a newer one just now
            continue
        moment = datetime.fromtimestamp(about.st_mtime, timezone.utc)
        rows.append(
            {
                "name": path.name,
                "format": _format_of(path.name, found.project_id),
                "state": "done",
                "bytes": about.st_size,
                "made_at": moment.isoformat(timespec="seconds"),
                "error": None,
                "address": f"/progress/{found.project_id}/exports/{path.name}",
                "host": None,
            }
        )
    return rows


def _format_of(name: str, project_id: int) -> str:
    return name.removeprefix(f"project-{project_id}-").rpartition("-")[0]


def _action(name: str) -> Action:
    if name not in actions.ACTIONS:
        abort(404, "there is no such action")
    return actions.ACTIONS[name]


def _project(project_id: int) -> Project:
    return Project(project_id, known()["jobs"], settings_of_app())


def _connected(project_id: int) -> Project:
    """A project that something is known of: acting on a number mistyped would make one."""
    found = _project(project_id)
    if not found.jobs.knows(project_id):
        abort(404, f"project {project_id} is not connected: run ./quorum connect {project_id}")
    return found


def _shown() -> Shown:
    shown: Shown = known()["shown"]
    return shown


def _json(value: Any) -> Response:
    answer = Response(as_json(value), mimetype="application/json")
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def _refused(message: str) -> tuple[Any, int]:
    return jsonify({"error": message}), 422
