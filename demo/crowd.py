"""Simulated annotators: Label Studio accounts that work as people do, through its own API."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

_TIMEOUT_S = 60.0


class CrowdError(RuntimeError):
    """An account could not be made, or an annotator was refused; the message says where."""


@dataclass(frozen=True)
class Annotator:
    """One account; it sees only what an annotator sees."""

    email: str
    _http: httpx.Client

    def next_task(self, project_id: int) -> dict[str, Any] | None:
        """Take the task that "Label All Tasks" would open, and lock it; None when there is none."""
        response = self._http.post(
            "/api/dm/actions", params={"id": "next_task", "project": project_id}, json={}
        )
        if response.status_code == 404:
            return None
        _check(response, "ask for the next task")
        task: dict[str, Any] = response.json()
        return task

    def submit(
        self,
        project_id: int,
        task_id: int,
        regions: Sequence[Mapping[str, Any]],
        lead_time_s: float,
    ) -> None:
        """Submit an annotation, as the Submit button does."""
        response = self._http.post(
            f"/api/tasks/{task_id}/annotations/",
            params={"project": project_id},
            json={"result": list(regions), "lead_time": lead_time_s},
        )
        _check(response, "submit an annotation")

    def skip(self, project_id: int, task_id: int) -> None:
        """Skip a task, as the Skip button does."""
        response = self._http.post(
            f"/api/tasks/{task_id}/annotations/",
            params={"project": project_id},
            json={"result": [], "was_cancelled": True},
        )
        _check(response, "skip a task")


def with_token(url: str, email: str, token: str) -> Annotator:
    """An annotator whose account and legacy token exist already."""
    headers = {"Authorization": f"Token {token}"}
    return Annotator(
        email, httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
    )


def sign_up(url: str, owner_token: str, email: str) -> tuple[Annotator, str]:
    """Make an account in the owner's organisation by its invitation; the annotator and its token.

    Label Studio has no API for it: the sign-up form is filled in as a browser would.
    """
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as browser:
        invite = browser.get("/api/invite", headers={"Authorization": f"Token {owner_token}"})
        _check(invite, "get an invitation")
        path = f"/user/signup/?token={invite.json()['token']}"
        form = browser.get(path)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        if not found:
            raise CrowdError("Label Studio's sign-up page has no form: is this 1.23?")
        browser.post(
            path,
            headers={"Referer": f"{url}{path}"},
            data={
                "csrfmiddlewaretoken": found.group(1),
                "email": email,
                "password": secrets.token_urlsafe(12),
                "allow_newsletters": "false",
                "how_find_us": "x",
                "elaborate": "",
            },
        )
        token = browser.get("/api/current-user/token")
        _check(token, f"sign up {email}")
        value = str(token.json()["token"])
    return with_token(url, email, value), value


def _check(response: httpx.Response, action: str) -> None:
    if response.is_error:
        raise CrowdError(f"Label Studio refused to {action}: HTTP {response.status_code}")
