"""Who may see and act on the pages: by a session, a script's password, or a read-only link."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import Forbidden, LengthRequired, Unauthorized

from ..credentials import check_credentials
from ..settings import Settings
from .attempts import Attempts, SignedOut
from .forgery import check_token, refuse_foreign
from .page_key import derived, load_or_make
from .shares import Share, is_valid

SESSION_S = 12 * 3600
_LONGEST_FORM = 2**16
# What a read-only link shows.
_VIEWABLE = frozenset({"projects", "project", "panel", "panels", "picture"})
_OPEN = frozenset({"static", "sign_in", "sign_out", "view"})


@dataclass(frozen=True)
class Access:
    """Who asks, and what for they may ask."""

    user: str | None
    acts: bool
    projects: frozenset[int] | None = None  # None: all
    by_header: bool = False  # a script's; no cookie, which a foreign page could make use of

    def sees(self, project_id: int) -> bool:
        """Whether a project may be seen."""
        return self.projects is None or project_id in self.projects


class PageSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, under a name of its own: cookies know no ports, Label Studio has some.

    Marked Secure where the request came by https, or by a proxy that says so.
    """

    digest_method = staticmethod(hashlib.sha256)

    def get_cookie_name(self, app: Flask) -> str:
        """Not "session"."""
        return "quorum_session"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came encrypted, as far as is known."""
        told = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
        return request.is_secure or told == "https"

    def get_cookie_samesite(self, app: Flask) -> str:
        """Links from elsewhere may be followed; forms of elsewhere come without the cookie."""
        return "Lax"

    def get_cookie_httponly(self, app: Flask) -> bool:
        """No script reads it."""
        return True


def prepare(app: Flask) -> None:
    """Give an application what signing in needs."""
    about = app.extensions["quorum"]
    settings: Settings = about["settings"]
    key = load_or_make(settings.data_dir)
    # With the password in it: whoever changes that ends all sessions.
    password = settings.basic_auth_password
    app.secret_key = derived(key, "session", settings.basic_auth_user, password)
    app.session_interface = PageSessions()
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    app.config["PERMANENT_SESSION_LIFETIME"] = SESSION_S
    about["attempts"] = Attempts(about["jobs"].redis)
    about["signed_out"] = SignedOut(about["jobs"].redis)


def admit() -> None:
    """Before each request of a page: let in who may see it, and no request forged elsewhere.

    Raises Unauthorized, Forbidden, LengthRequired, TooManyRequests.
    """
    name = (request.endpoint or "").rpartition(".")[2]
    g.access = None
    request.max_content_length = _LONGEST_FORM  # of anybody, before anything is read
    # No browser sends a form this way, and reading it would keep a thread waiting for a stranger.
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired("what is sent to a page must say its length")
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        refuse_foreign()
    if name in _OPEN:
        return
    project_id = (request.view_args or {}).get("project_id")
    access = g.access = _access()
    if not access.acts and name not in _VIEWABLE:
        raise Forbidden("this link only shows the project: sign in to change anything")
    if project_id is not None and not access.sees(project_id):
        raise Forbidden("this link is of another project: ask for one of this project")
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        check_token(access.by_header)


def access() -> Access | None:
    """Who was let in for this request."""
    found: Access | None = g.get("access")
    return found


def _access() -> Access:
    settings = settings_of_app()
    if "Authorization" in request.headers:
        check_credentials()
        return Access(settings.basic_auth_user, acts=True, by_header=True)
    user = signed_in(settings)
    if user:
        return Access(user, acts=True)
    viewed = _viewed(settings)
    if viewed:
        return Access(None, acts=False, projects=viewed)
    raise Unauthorized("sign in to see this page")


def signed_in(settings: Settings) -> str | None:
    """The user whose session this is, None if it is nobody's, over or ended."""
    user, session_id = session.get("user"), session.get("id")
    if user != settings.basic_auth_user or float(session.get("until", 0)) <= time.time():
        return None
    return None if session_id in known()["signed_out"] else str(user)


def _viewed(settings: Settings) -> frozenset[int]:
    """Projects whose read-only links this browser has followed, as far as they still hold."""
    if float(session.get("until", 0)) <= time.time():
        return frozenset()
    views: dict[str, Any] = session.get("views", {})
    shares = [Share(int(name), *value) for name, value in views.items()]
    return frozenset(share.project_id for share in shares if is_valid(settings, share))


def known() -> dict[str, Any]:
    """What the application was given."""
    about: dict[str, Any] = current_app.extensions["quorum"]
    return about


def settings_of_app() -> Settings:
    """The common settings."""
    settings: Settings = known()["settings"]
    return settings
