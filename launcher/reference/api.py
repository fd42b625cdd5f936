"""docs/reference/api.md: every address that the backend answers, from its own table of routes.

Who may call is not written down here: each address is asked without credentials, with the webhook's
secret and with user and password, and what it answers is what the page says.
"""

from __future__ import annotations

import base64
import inspect
import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from ml_backend.app import create_app
from ml_backend.model import ROUND_EVENTS
from ml_backend.progress import pages
from ml_backend.progress.access import _VIEWABLE
from ml_backend.progress.actions import ACTIONS
from ml_backend.progress.panels import PANELS
from ml_backend.settings import Settings

from .markdown import code, document, table

_USER, _PASSWORD, _SECRET = "reference", "a password of the reference", "a secret of the reference"
_BASIC = "Basic " + base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
# Pages of whoever has what they ask for: a link, or a session.
_BY_ITSELF = {"view": "whoever has the link", "sign_out": "session"}
# Refused for want of credentials, or led to the form where they are asked for.
_REFUSED = (401, 403)


@dataclass(frozen=True)
class Address:
    """One address: how it is called, who may, and what its view says of itself."""

    path: str
    methods: tuple[str, ...]
    who: str
    docstring: str
    page: bool  # of the project manager's pages, not of Label Studio's contract

    @property
    def first(self) -> str:
        """The first paragraph of the docstring, in one line."""
        return " ".join(self.docstring.partition("\n\n")[0].split())

    @property
    def further(self) -> str:
        """What the docstring says beyond its first paragraph."""
        return self.docstring.partition("\n\n")[2].strip()


def addresses() -> list[Address]:
    """Every rule of the application but static files, by path."""
    with tempfile.TemporaryDirectory() as folder, _silent():
        app = create_app(
            Settings(
                redis_url="redis://127.0.0.1:1/0",  # nothing is asked of it
                data_dir=Path(folder),
                basic_auth_user=_USER,
                basic_auth_password=_PASSWORD,
                webhook_secret=_SECRET,
            )
        )
        rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, _methods(rule)))
        return [_address(app, rule) for rule in rules if not rule.endpoint.endswith("static")]


@contextmanager
def _silent() -> Iterator[None]:
    """Views that are let in look for a Redis that is not there, and say so in the log."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _address(app: Flask, rule: Rule) -> Address:
    view: Callable[..., object] = app.view_functions[rule.endpoint]
    blueprint, _, name = rule.endpoint.rpartition(".")
    page = blueprint == pages.name
    who = _BY_ITSELF.get(name) if page else None
    if who is None:
        who = _who(app.test_client(), rule)
        if page and who == "user and password":
            linked = name in _VIEWABLE
            who += ", session, or read-only link" if linked else ", or session"
    return Address(rule.rule, _methods(rule), who, inspect.getdoc(view) or "", page)


def _methods(rule: Rule) -> tuple[str, ...]:
    return tuple(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))


def _who(client: FlaskClient, rule: Rule) -> str:
    """Who is let in, found out by asking."""
    path, method = _concrete(rule.rule), _methods(rule)[0]

    def refused(**headers: str) -> bool:
        answer = client.open(path, method=method, headers=headers)
        return answer.status_code in _REFUSED or "/sign-in" in answer.headers.get("Location", "")

    if not refused():
        return "anybody"
    ways = {
        "the webhook's secret": {"X-Quorum-Secret": _SECRET},
        "user and password": {"Authorization": _BASIC},
    }
    return ", or ".join(way for way, headers in ways.items() if not refused(**headers))


def _concrete(path: str) -> str:
    """A path with something in each place; nothing is known of a project 1 here."""
    return re.sub(
        r"<(?:(\w+):)?[^>]*>",
        lambda place: "nothing" if place[1] in (None, "path", "string") else "1",
        path,
    )


def page() -> str:
    """The whole page."""
    found = addresses()
    contract = [address for address in found if not address.page]
    shown = [address for address in found if address.page]
    return document(
        "HTTP API",
        "the application's routes",
        "The address is `http://127.0.0.1:9090` unless `./quorum up` was told another. "
        'Bodies are JSON objects, and so are answers. An error is `{"error": "…"}` with a '
        "text for people: 400 or 415 for a body that is not the JSON object wanted, 401 without "
        "credentials, 404 for a project that is not connected, 413 for one too large, 422 for a "
        "label config or value that cannot be used, 429 after too many guesses at a password, 503 "
        "while Label Studio, Redis or the store cannot be reached.",
        "*User and password* are `QUORUM_BASIC_AUTH_USER` and `QUORUM_BASIC_AUTH_PASSWORD`, sent "
        "as basic auth. *The webhook's secret* is `QUORUM_WEBHOOK_SECRET`, sent in the header "
        "`X-Quorum-Secret`; `./quorum connect` gives it to Label Studio. A *session* begins at "
        "`/sign-in`. A *read-only link* is made by `./quorum project ID share`. "
        "[Settings](settings.md) has the variables.",
        "## What Label Studio calls",
        _table(contract),
        *_details(contract),
        f"Webhook events that make Quorum look at a project: {_named(sorted(ROUND_EVENTS))}. All "
        "others are answered and do nothing.",
        "## The project manager's page, and programs",
        "A form must carry the session's token; a program that sends user and password needs none. "
        "[The project manager's page](../progress.md) says what is shown.",
        _table(shown),
        *_details(shown),
        f"Panels: {_named(PANELS)}.",
        "### Actions",
        "`POST /progress/12/actions/NAME` does what the button of the same name does. A program "
        'gets `{"done": "…", "link": …}`, or 422 with the reason.',
        table(
            ("name", "button", "what it does"),
            [
                (code(name), action.button, " ".join(action.says))
                for name, action in ACTIONS.items()
            ],
        ),
    )


def _named(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


def _table(found: list[Address]) -> str:
    rows = [(", ".join(a.methods), code(a.path), a.who, a.first) for a in found]
    return table(("method", "path", "who may call", "what it does"), rows)


def _details(found: list[Address]) -> list[str]:
    parts: list[str] = []
    for address in found:
        if address.further:
            parts += [f"### {' and '.join(address.methods)} {address.path}", address.further]
    return parts
