"""Signing in and out, following a read-only link, and what every page tells.

A person signs in with the backend's user and password and gets a signed cookie for twelve hours.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from flask import redirect, render_template, request, session
from werkzeug.exceptions import Forbidden, TooManyRequests
from werkzeug.wrappers import Response

from ..credentials import address_of_caller, same, too_many
from ..windows import WINDOW_S
from .access import SESSION_S, access, known, settings_of_app, signed_in
from .attempts import Attempts
from .forgery import check_token, csrf_token
from .shares import ShareError, read_link

log = logging.getLogger(__name__)

_MOST_VIEWS = 20  # projects that one browser has read-only links of
_MOST_FLASHES = 4
_LONGEST_FLASH = 400
# Where signing in may lead to: pages of ours, named one by one.
_NEXT = re.compile(r"/progress(/[0-9]{1,18}(/confirm/[a-z-]{1,40})?)?")
_HOME = "/progress"


def flash(kind: str, text: str, link: str | None = None) -> None:
    """Show a message on the page that comes next; `kind` is "done" or "failed"."""
    kept = session.get("flashes", [])[-(_MOST_FLASHES - 1) :]
    session["flashes"] = [*kept, {"kind": kind, "text": text[:_LONGEST_FLASH], "link": link}]


def page_variables() -> dict[str, Any]:
    """What every template gets."""
    asks = access()
    return {
        "csrf": csrf_token(),
        "user": asks.user if asks else None,
        "may_act": bool(asks and asks.acts),
        "flashes": session.pop("flashes", []) if "flashes" in session else [],
    }


def sign_in() -> Response | str | tuple[str, int]:
    """The form, and what it sends."""
    settings = settings_of_app()
    onward = checked_next(request.values.get("next"))
    if request.method == "GET":
        return _form(onward)
    check_token()
    address = address_of_caller()
    attempts: Attempts = known()["attempts"]
    refused = attempts.begin(address)
    if refused:
        log.warning("sign-in from %s is refused: too many attempts %s", address, refused)
        raise too_many() if refused == "for its own" else _too_many_elsewhere()
    name = request.form.get("user", "")
    user = same(name, settings.basic_auth_user)
    if not (same(request.form.get("password", ""), settings.basic_auth_password) and user):
        log.warning("sign-in from %s: user or password is wrong", address)
        return _form(onward, "User or password is wrong.", name[:100]), 401
    attempts.succeeded(address)
    # Nothing of the session before is kept: its tokens may be known to others.
    session.clear()
    session.permanent = True
    session["user"] = settings.basic_auth_user
    session["id"] = secrets.token_urlsafe(16)
    session["until"] = int(time.time()) + SESSION_S
    log.info("sign-in from %s", address)
    return redirect(onward, 303)


def _too_many_elsewhere() -> TooManyRequests:
    return TooManyRequests(
        "too many wrong passwords have come from other addresses, so new addresses wait: try again "
        f"in {WINDOW_S // 60} minutes, or from where somebody has signed in before",
        retry_after=WINDOW_S,
    )


def _form(onward: str, error: str | None = None, name: str = "") -> str:
    return render_template("sign_in.html", next=onward, error=error, name=name)


def sign_out() -> Response:
    """End the session, also for whoever may have copied its cookie."""
    check_token()
    if session.get("id"):
        left_s = float(session.get("until", 0)) - time.time()
        known()["signed_out"].add(session["id"], left_s)
    session.clear()
    return redirect("/sign-in", 303)


def view(token: str) -> Response:
    """Exchange a read-only link for a session, so that the link leaves the address bar."""
    settings = settings_of_app()
    try:
        share = read_link(settings, token)
    except ShareError as error:
        raise Forbidden(str(error)) from None
    onward = redirect(f"/progress/{share.project_id}", 303)
    onward.headers["Referrer-Policy"] = "no-referrer"
    if not signed_in(settings):
        now = int(time.time())
        kept = list(session.get("views", {}).items()) if session.get("until", 0) > now else []
        session.clear()
        session.permanent = True
        views = dict(kept[-(_MOST_VIEWS - 1) :])
        session["views"] = {**views, str(share.project_id): [share.expires, share.number]}
        session["until"] = now + SESSION_S
    return onward


def checked_next(path: str | None) -> str:
    """Where to go after signing in: a page of ours, or the list of projects."""
    return path if path and _NEXT.fullmatch(path) else _HOME
