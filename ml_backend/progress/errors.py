"""Errors of the pages: plain pages for people, JSON for the API, and never a traceback."""

from __future__ import annotations

import logging
from typing import Any

from flask import jsonify, redirect, render_template, request, url_for
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.wrappers import Response

from ..jobs import JobsError
from ..jobs.errors import DOWN
from ..logs import type_and_place
from ..store import StoreError
from .access import access
from .forgery import is_browser

log = logging.getLogger(__name__)

_TITLES = {
    400: "That cannot be read",
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    409: "Not now",
    411: "Length is missing",
    413: "Too large",
    429: "Too many attempts",
    503: "Not reachable",
}


def show(error: Exception) -> Response | tuple[Any, int]:
    """The answer to any error of a page."""
    status, message = _said(error)
    of_api = request.path.startswith("/api/")
    if isinstance(error, Unauthorized):
        if not of_api and request.method == "GET" and "text/html" in _accepted():
            return redirect(url_for("progress.sign_in", next=request.path), 303)
        answer = _answer(status, message, of_api)
        # A browser would ask with a window of its own, over the page.
        if not is_browser() and not of_api:
            answer.headers["WWW-Authenticate"] = 'Basic realm="Quorum"'
        return answer
    answer = _answer(status, message, of_api)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def _said(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.code or 500, str(error.description)
    if isinstance(error, JobsError | StoreError):
        log.warning("%s: %s", request.endpoint, error)
        return 503, str(error)
    if isinstance(error, RedisError):
        log.warning("%s: %s", request.endpoint, type(error).__name__)
        return 503, f"{DOWN}, then try again"
    # Type and place only: the text of an unforeseen error may quote what it was given.
    log.error("%s: %s", request.endpoint, type_and_place(error))
    return 500, "something went wrong: the backend's log says where"


def _answer(status: int, message: str, of_api: bool) -> Response:
    if of_api or request.endpoint == "progress.metrics":
        answer: Response = jsonify({"error": message})
        answer.status_code = status
        return answer
    asks = access()
    page = render_template(
        "error.html",
        status=status,
        title=_TITLES.get(status, "Something went wrong"),
        message=message,
        back=url_for("progress.projects") if asks else None,
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


def _accepted() -> str:
    return request.headers.get("Accept", "")
