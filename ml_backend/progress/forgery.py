"""Requests that a foreign page made somebody's browser send, and how they are told apart."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import request, session
from werkzeug.exceptions import Forbidden

from ..credentials import same


def csrf_token() -> str:
    """The secret that this session's forms carry: a page of elsewhere cannot know it."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(32)
        session.permanent = True
    return str(session["csrf"])


def refuse_foreign() -> None:
    """Refuse what a browser says was sent by a page of elsewhere. Raises Forbidden."""
    foreign = Forbidden("this was sent by another site: nothing was done")
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # Label Studio on another port of this host is "same-site", and elsewhere nevertheless.
        if site not in ("same-origin", "none"):
            raise foreign
        return
    origin = request.headers.get("Origin")
    # A proxy may have renamed the host; a foreign page's form cannot say that it did.
    ours = {request.host, request.headers.get("X-Forwarded-Host", request.host)}
    if origin is not None and _host_of(origin) not in ours:
        raise foreign


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def check_token(by_header: bool = False) -> None:
    """Refuse a form without this session's secret; a script needs none. Raises Forbidden."""
    # A browser that knows user and password sends them with forms of foreign pages too.
    if by_header and not is_browser():
        return
    given = request.form.get("csrf", "") or request.headers.get("X-CSRF-Token", "")
    wanted = session.get("csrf", "")
    if not wanted or not same(given, wanted):
        raise Forbidden("the page was too old: nothing was done. Go back, load it again, try again")


def is_browser() -> bool:
    """Whether a browser asks, not a script."""
    marks = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin")
    return any(mark in request.headers for mark in marks) or "text/html" in request.headers.get(
        "Accept", ""
    )
