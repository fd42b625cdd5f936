"""The project manager's pages: how far a project is, how good the drafts are, and what to do.

They show what rounds and looks have kept: no request computes anything over tasks. Who may see and
do what is in ``access``, what can be done in ``actions``, what is shown in ``panels``.
"""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response

from . import access, errors, sign_in, views, wording
from .panels import Shown

pages = Blueprint(
    "progress",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/progress/static",
)

# What the pages load is their own, and no other site may frame them or be sent their forms.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class ProjectNumber(IntegerConverter):
    """A project's number in an address: Python reads none of thousands of digits."""

    regex = "[0-9]{1,18}"


@pages.record_once
def _prepare(state: BlueprintSetupState) -> None:
    app = cast(Flask, state.app)
    app.url_map.converters["number"] = ProjectNumber
    access.prepare(app)
    app.extensions["quorum"]["shown"] = Shown()


def _protect(answer: Response) -> Response:
    headers = answer.headers
    headers["Content-Security-Policy"] = _POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    # Nothing to other sites. Within this one a form must say where it comes from: with
    # "no-referrer" a browser sends Origin: null, and a foreign form could not be told apart.
    headers.setdefault("Referrer-Policy", "same-origin")
    if answer.mimetype in ("text/html", "application/json", "text/plain"):
        headers["Cache-Control"] = "no-store"
    return answer


pages.before_request(access.admit)
pages.after_request(_protect)
pages.context_processor(sign_in.page_variables)
pages.register_error_handler(Exception, errors.show)
wording.register(pages)

_ADDRESSES: tuple[tuple[str, Any, str, list[str]], ...] = (
    ("/sign-in", sign_in.sign_in, "sign_in", ["GET", "POST"]),
    ("/sign-out", sign_in.sign_out, "sign_out", ["POST"]),
    ("/view/<token>", sign_in.view, "view", ["GET"]),
    ("/progress", views.projects, "projects", ["GET"]),
    ("/progress/<number:project_id>", views.project, "project", ["GET"]),
    ("/progress/<number:project_id>/pictures/<name>.png", views.picture, "picture", ["GET"]),
    ("/progress/<number:project_id>/confirm/<name>", views.confirm, "confirm", ["GET"]),
    ("/progress/<number:project_id>/actions/<name>", views.act, "act", ["POST"]),
    # The address that a browser shows after a refused value, loaded again.
    ("/progress/<number:project_id>/actions/<name>", views.act_again, "act_again", ["GET"]),
    ("/progress/<number:project_id>/exports/<name>", views.download, "download", ["GET"]),
    ("/api/progress/<number:project_id>", views.panels, "panels", ["GET"]),
    ("/api/progress/<number:project_id>/<name>", views.panel, "panel", ["GET"]),
    ("/progress/<path:rest>", views.missing, "missing", ["GET"]),
    ("/metrics", views.metrics_text, "metrics", ["GET"]),
)
for _path, _view, _name, _methods in _ADDRESSES:
    pages.add_url_rule(_path, _name, _view, methods=_methods, strict_slashes=False)
