"""Calls that only ask whether something would work; none of them changes anything."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import httpx

from .listing import Task
from .reading import Reading
from .transport import LabelStudioDown, LabelStudioError, certificate_trouble
from .trust import trusted


@dataclass(frozen=True)
class Answer:
    """What Label Studio tells to anybody: its release, and its clock's Date ("" without one)."""

    release: str
    date: str


@dataclass(frozen=True)
class TokenUser:
    """Whose token it is, and what its user may do, such as "projects.change"."""

    id: int
    email: str
    permissions: frozenset[str]


class Probing(Reading):
    """The calls of ./quorum check."""

    def token_user(self) -> TokenUser:
        """The token's user. Raises LabelStudioError if the token is refused."""
        told = self._json("GET", "/api/current-user/whoami")
        permissions = frozenset(str(name) for name in told.get("permissions") or [])
        return TokenUser(int(told["id"]), str(told.get("email") or ""), permissions)

    def provoke_event(self, project_id: int) -> None:
        """Have the webhooks of a project sent PROJECT_UPDATED: it is patched with nothing.

        Needs the right to change the project; a user without it gets LabelStudioError (403).
        """
        self._call("PATCH", f"/api/projects/{project_id}", json={})

    def may_write_predictions(self, project_id: int) -> None:
        """Store no predictions at all. Raises LabelStudioError where even that is refused."""
        self._call("POST", f"/api/projects/{project_id}/import/predictions", json=[])

    def some_task(self, project_id: int) -> Task | None:
        """One task of a project, None if there is none."""
        return next(iter(self.tasks(project_id)), None)


def ask_anybody(url: str, timeout_s: float, ca_file: str = "") -> Answer:
    """What the server at an address tells without a token; ca_file: as for `trusted`.

    Raises LabelStudioDown if nothing answers, LabelStudioError if it is no Label Studio, or if the
    file cannot be used.
    """
    url, verify = url.rstrip("/"), trusted(ca_file)
    try:
        response = httpx.get(
            f"{url}/api/version", timeout=timeout_s, trust_env=False, verify=verify
        )
    except httpx.TimeoutException:
        raise LabelStudioDown(f"{url} did not answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        trouble = certificate_trouble(error) or "cannot be reached"
        raise LabelStudioDown(f"{url} {trouble}") from None
    if response.is_redirect:
        raise LabelStudioError(f"{url} redirects to another address", response.status_code)
    try:
        release = response.json().get("release")
    except (ValueError, AttributeError):
        release = None
    if not response.is_success or not release:
        raise LabelStudioError(
            f"{url} answers, but not as a Label Studio (HTTP {response.status_code})",
            response.status_code,
        )
    return Answer(str(release), response.headers.get("Date", ""))


def expires_at(token: str) -> float | None:
    """When a personal access token ends, in seconds since 1970; None if it does not tell."""
    try:
        part = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
