"""Label Studio's ML backend contract over HTTP: health, setup, predict, webhook, job_status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from redis.exceptions import RedisError
from werkzeug.exceptions import BadRequest, HTTPException, NotFound, Unauthorized

from . import bodies, credentials, logs
from .allocator import keep_large_blocks
from .committees import CommitteeCache
from .connection import is_disconnected
from .jobs import Jobs, JobsError
from .jobs.arrivals import Arrivals
from .jobs.errors import DOWN
from .jobs.state import PROJECTS
from .label_studio import LabelStudioError
from .learning.memory import TooLittleMemory
from .masks import BrushConfig, MaskError
from .model import CommitteeModel
from .progress import pages
from .settings import Settings, SettingsError
from .store import StoreError, project_ids

log = logging.getLogger(__name__)

# Their texts are for people, and the same request may be answered once the remedy is taken.
_FOR_NOW = (LabelStudioError, JobsError, SettingsError, StoreError, TooLittleMemory)


def create_app(settings: Settings | None = None) -> Flask:
    """The backend as a WSGI application; without settings they come from the environment.

    Raises SettingsError if a setting is out of its bounds, or credentials are missing.
    """
    chosen = settings or Settings.from_environment()
    credentials.require_credentials(chosen)
    keep_large_blocks()
    logs.set_up(chosen)
    app = Flask("quorum", static_folder=None)
    jobs = Jobs.connect(chosen)
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BODY_BYTES
    app.url_map.merge_slashes = False  # nothing of ours leads elsewhere
    app.extensions["quorum"] = {
        "settings": chosen,
        "jobs": jobs,
        "cache": CommitteeCache(),
        "guesses": credentials.Guesses(jobs.redis),
    }
    app.before_request(credentials.admit)
    app.after_request(_protect)
    app.register_error_handler(Exception, _as_json)
    app.add_url_rule("/", view_func=health, endpoint="root")
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/setup", view_func=setup, methods=["POST"])
    app.add_url_rule("/predict", view_func=predict, methods=["POST"])
    app.add_url_rule("/webhook", view_func=webhook, methods=["POST"])
    app.add_url_rule("/job_status", view_func=job_status, methods=["POST", "GET"])
    app.register_blueprint(pages)
    return app


def health() -> Response:
    """Whether the backend is up; Label Studio asks before each call."""
    return jsonify({"status": "UP", "model_class": CommitteeModel.__name__})


def setup() -> Response:
    """Check a project's label config, and say which version drafts now."""
    body = bodies.read_object()
    schema = bodies.label_config_of(body, "schema")
    model = _model(body, schema)
    if schema:
        BrushConfig.parse(schema)  # whoever connects is told at once what the config lacks
    return jsonify({"model_version": model.version})


def predict() -> Response:
    """Drafts for tasks, as many results as tasks."""
    body = bodies.read_object()
    tasks, context = bodies.tasks_of(body), bodies.context_of(body)
    config = bodies.label_config_of(body, "label_config")
    model = _model(body, config)
    if not config:
        raise BadRequest("'label_config' is missing: Label Studio sends it with the tasks")
    return jsonify(
        {"results": model.predict(tasks, context=context), "model_version": model.version}
    )


def webhook() -> tuple[Response, int]:
    """Take an event as a hint: at most a round is queued, and the answer is immediate."""
    body = bodies.read_object()
    event, project_id = bodies.event_of(body), bodies.project_id_of(body)
    jobs: Jobs = current_app.extensions["quorum"]["jobs"]
    _check_connected(jobs, project_id)
    Arrivals(jobs.redis).note(project_id)
    answer = _model(body, None).fit(event, body, jobs=jobs)
    return jsonify(answer), 201 if answer else 200


def job_status() -> Response:
    """How a training stands that the "Start training" button began."""
    name = request.args.get("job") or bodies.read_object(optional=True).get("job")
    jobs: Jobs = current_app.extensions["quorum"]["jobs"]
    return jsonify(jobs.status(bodies.job_of(name)))


def _model(body: Mapping[str, Any], label_config: str | None) -> CommitteeModel:
    known = current_app.extensions["quorum"]
    return CommitteeModel(
        label_config,
        settings=known["settings"],
        project_id=bodies.project_id_of(body),
        cache=known["cache"],
    )


def _check_connected(jobs: Jobs, project_id: int) -> None:
    """Refuse an event of a project that nobody has connected: a look would order its tasks anew.

    Raises NotFound, JobsError, StoreError.
    """
    try:
        if jobs.redis.sismember(PROJECTS, str(project_id)):
            return
    except RedisError:
        raise JobsError(f"{DOWN}; the project will be looked at by the periodic check") from None
    # Where Redis has lost it: what is kept of it, which takes longer to look up.
    kept = project_id in project_ids(jobs.settings.store_root)
    if not kept or is_disconnected(jobs.settings, project_id):
        raise NotFound(f"project {project_id} is not connected: run ./quorum connect {project_id}")


def _protect(answer: Response) -> Response:
    """Headers that browsers heed; the pages have set their own."""
    headers = answer.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if answer.mimetype == "application/json":
        headers.setdefault("Cache-Control", "no-store")
    return answer


def _as_json(error: Exception) -> tuple[Response, int] | Response:
    """Every error as {"error": text for people}; a traceback never reaches a client."""
    if isinstance(error, HTTPException):
        reply = jsonify({"error": error.description})
        reply.status_code = error.code or 500
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                reply.headers[name] = value
        if isinstance(error, Unauthorized):
            reply.headers["WWW-Authenticate"] = 'Basic realm="Quorum"'
        return reply
    if isinstance(error, MaskError):
        return jsonify({"error": str(error)}), 422
    if isinstance(error, _FOR_NOW):
        log.warning("%s: %s", request.endpoint, error)
        return jsonify({"error": str(error)}), 503
    # Type and place only: the text of an unforeseen error may quote what it was given.
    log.error("%s: %s", request.endpoint, logs.type_and_place(error))
    return jsonify({"error": "internal error: see the backend's log"}), 500
