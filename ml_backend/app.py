"""Label Studio's ML backend contract over HTTP: health, setup, predict, webhook, job_status."""

from __future__ import annotations

import hmac
import logging
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException, Unauthorized

from .committees import CommitteeCache
from .jobs import Jobs, JobsError
from .label_studio import LabelStudioError
from .masks import BrushConfig, MaskError
from .model import CommitteeModel
from .progress import pages
from .settings import Settings
from .store import StoreError

log = logging.getLogger(__name__)

# Larger bodies are refused unread: a batch of tasks without masks stays far below.
_MAX_BODY_BYTES = 64 * 2**20
_OPEN_PATHS = frozenset({"/", "/health"})


def create_app(settings: Settings | None = None) -> Flask:
    """The backend as a WSGI application; without settings they come from the environment.

    Raises SettingsError if a setting is out of its bounds.
    """
    # What people do on the pages is in the log; where a host has set up logging, that stands.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app = Flask("quorum")
    chosen = settings or Settings.from_environment()
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.extensions["quorum"] = {
        "settings": chosen,
        "jobs": Jobs.connect(chosen),
        "cache": CommitteeCache(),
    }
    app.before_request(_authorise)
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
    body = _body()
    schema = body.get("schema")
    if isinstance(schema, str) and schema:
        BrushConfig.parse(schema)  # whoever connects is told at once what the config lacks
    return jsonify({"model_version": _model(body, schema).version})


def predict() -> Response:
    """Drafts for tasks, as many results as tasks."""
    body = _body()
    tasks = body.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise BadRequest("'tasks' must be a list of tasks")
    params = body.get("params")
    context = params.get("context") if isinstance(params, dict) else None
    model = _model(body, body.get("label_config"))
    return jsonify(
        {"results": model.predict(tasks, context=context), "model_version": model.version}
    )


def webhook() -> tuple[Response, int]:
    """Take an event as a hint: at most a round is queued, and the answer is immediate."""
    body = _body()
    event = body.get("action")
    if not isinstance(event, str):
        raise BadRequest("'action' is missing: this is no webhook of Label Studio's")
    answer = _model(body, None).fit(event, body, jobs=current_app.extensions["quorum"]["jobs"])
    return jsonify(answer), 201 if answer else 200


def job_status() -> Response:
    """How a training stands that the "Start training" button began."""
    job_id = request.args.get("job") or _body(optional=True).get("job")
    if not isinstance(job_id, str):
        raise BadRequest("'job' is missing")
    jobs: Jobs = current_app.extensions["quorum"]["jobs"]
    return jsonify(jobs.status(job_id))


def _model(body: dict[str, Any], label_config: Any) -> CommitteeModel:
    known = current_app.extensions["quorum"]
    return CommitteeModel(
        label_config if isinstance(label_config, str) else None,
        settings=known["settings"],
        project_id=_project_id(body.get("project")),
        cache=known["cache"],
    )


def _project_id(project: Any) -> int:
    """Webhooks carry a project's object, setup and predict "ID.createdTimestamp"."""
    value = project.get("id") if isinstance(project, dict) else str(project or "").split(".")[0]
    try:
        return int(str(value))
    except ValueError:
        raise BadRequest("'project' is missing") from None


def _body(optional: bool = False) -> dict[str, Any]:
    body = request.get_json(silent=True)
    if isinstance(body, dict):
        return body
    if optional:
        return {}
    raise BadRequest("the body must be a JSON object")


def _authorise() -> None:
    settings: Settings = current_app.extensions["quorum"]["settings"]
    # The pages see to it themselves: people sign in there, scripts send user and password.
    if request.path in _OPEN_PATHS or request.blueprint == pages.name:
        return
    if request.path == "/webhook" and settings.webhook_secret:
        given = request.headers.get("X-Quorum-Secret", "")
        if _same(given, settings.webhook_secret) or _basic_auth_fits(settings):
            return
        raise Unauthorized("the webhook's X-Quorum-Secret header is missing or wrong")
    if settings.basic_auth_user and not _basic_auth_fits(settings):
        raise Unauthorized("user or password is missing or wrong")


def _basic_auth_fits(settings: Settings) -> bool:
    given = request.authorization
    if given is None or given.type != "basic" or not settings.basic_auth_user:
        return False
    user = _same(given.username or "", settings.basic_auth_user)
    return _same(given.password or "", settings.basic_auth_password) and user


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _as_json(error: Exception) -> tuple[Response, int] | Response:
    """Every error as {"error": text for people}; a traceback never reaches a client."""
    if isinstance(error, Unauthorized):
        reply = jsonify({"error": error.description})
        reply.status_code = 401
        reply.headers["WWW-Authenticate"] = 'Basic realm="Quorum"'
        return reply
    if isinstance(error, HTTPException):
        return jsonify({"error": error.description}), error.code or 500
    if isinstance(error, MaskError):
        return jsonify({"error": str(error)}), 422
    if isinstance(error, LabelStudioError | JobsError | StoreError):
        log.warning("%s: %s", request.path, error)
        return jsonify({"error": str(error)}), 503
    # Type and place only: the text of an unforeseen error may quote what it was given.
    log.error("%s: %s at %s", request.path, type(error).__name__, _place(error))
    return jsonify({"error": "internal error: see the backend's log"}), 500


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
