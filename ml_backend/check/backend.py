"""The backend: it answers at its address, to those alone who know the credentials."""

from __future__ import annotations

from typing import Any

import httpx

from ..label_studio.attached import SECRET_HEADER
from ..label_studio.transport import certificate_trouble
from .deployment import REQUEST_S, Deployment
from .findings import CannotTellError, Check, Outcome, fails, ok

_AWAY = "the backend does not answer"


def answers(deployment: Deployment) -> Outcome:
    """Its health, without credentials; and what Label Studio calls comes through to it."""
    url = deployment.backend_url
    try:
        response = httpx.get(
            f"{url}/health", timeout=REQUEST_S, trust_env=False, verify=deployment.trusted
        )
    # UnicodeError: a name that cannot be one, for a part of it is too long, say.
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        deployment.away["backend"] = _AWAY
        if trouble := certificate_trouble(error):
            found, _, remedy = trouble.partition(": ")
            return fails(f"{url} {found}", remedy)
        return fails(
            f"nothing answers at {url}",
            "Start ./quorum up, or name its address with --backend-url.",
        )
    try:
        told = response.json()
        # Label Studio, too, says that it is UP.
        up = response.is_success and told["status"] == "UP" and "model_class" in told
    except (ValueError, KeyError, TypeError):
        up = False
    if not up:
        deployment.away["backend"] = _AWAY
        return fails(
            f"{url} answers with HTTP {response.status_code}, but not as the backend",
            "Another program listens there: name the backend's address with --backend-url.",
        )
    call = _post(deployment, "/job_status", {})
    try:
        call.json()  # whatever the backend says is JSON, a refusal too
    except ValueError:
        deployment.away["backend"] = "Label Studio's calls do not come through to the backend"
        return fails(
            f"{url} leads to the backend, but what Label Studio calls there is answered by "
            f"something before it (HTTP {call.status_code})",
            "A proxy for people lets the page through alone: with --backend-url name the address "
            "that Label Studio calls, or have the proxy let /setup, /predict, /webhook and "
            "/job_status through.",
        )
    return ok(f"answers at {url}")


def credentials(deployment: Deployment) -> Outcome:
    """User and password are accepted."""
    settings = deployment.settings
    if not settings.basic_auth_user:
        raise CannotTellError("no user and password are set")
    pair = (settings.basic_auth_user, settings.basic_auth_password)
    status = _call(deployment, "/job_status", {}, auth=pair)
    if status == 429:
        raise CannotTellError("this address has tried too many wrong ones: ask again in a while")
    if status == 401:
        return fails(
            "the backend refuses the user and password that are set here",
            "The backend runs with others: start it again with the same QUORUM_BASIC_AUTH_USER "
            "and QUORUM_BASIC_AUTH_PASSWORD, then ./quorum connect each project again.",
        )
    return ok("user and password are accepted")


def strangers(deployment: Deployment) -> Outcome:
    """Wrong credentials, and none, are answered with 401."""
    wrong = (deployment.settings.basic_auth_user or "nobody", _WRONG)
    for how, pair in (("without credentials", None), ("with a wrong password", wrong)):
        status = _call(deployment, "/job_status", {}, auth=pair)
        if status not in (401, 429):
            return _open_to(how, status)
    header = {SECRET_HEADER: _WRONG}
    status = _call(deployment, "/webhook", _HARMLESS, headers=header)
    if status not in (401, 429):
        return _open_to("with a wrong webhook secret", status)
    return ok("calls without credentials or with wrong ones are refused")


def webhook_secret(deployment: Deployment) -> Outcome:
    """The webhook's secret is accepted."""
    secret = deployment.settings.webhook_secret
    if not secret:
        raise CannotTellError("no webhook secret is set")
    status = _call(deployment, "/webhook", _HARMLESS, headers={SECRET_HEADER: secret})
    if status == 429:
        raise CannotTellError("this address has tried too many wrong ones: ask again in a while")
    if status == 401:
        return fails(
            "the backend refuses the webhook secret that is set here",
            "The backend runs with another: start it again with the same "
            "QUORUM_WEBHOOK_SECRET, then ./quorum connect each project again.",
        )
    return ok("the webhook secret is accepted")


# Always the same: the backend counts how many different ones an address tries.
_WRONG = "wrong-on-purpose-by-quorum-check"
# No such event exists, and no project has that number: it calls for nothing.
_HARMLESS = {"action": "QUORUM_CHECK", "project": {"id": 0}}


def _call(deployment: Deployment, path: str, body: dict[str, Any], **more: Any) -> int:
    """The status of a call. Raises CannotTellError if the backend is away."""
    return _post(deployment, path, body, **more).status_code


def _post(deployment: Deployment, path: str, body: dict[str, Any], **more: Any) -> httpx.Response:
    """A call's answer. Raises CannotTellError if the backend is away."""
    deployment.need("backend")
    url, more = f"{deployment.backend_url}{path}", {**more, "verify": deployment.trusted}
    try:
        return httpx.post(url, json=body, timeout=REQUEST_S, trust_env=False, **more)
    except httpx.HTTPError:
        raise CannotTellError(_AWAY) from None


def _open_to(how: str, status: int) -> Outcome:
    return fails(
        f"a call {how} is answered with HTTP {status}, not refused",
        "Start the backend with QUORUM_BASIC_AUTH_USER, QUORUM_BASIC_AUTH_PASSWORD and "
        "QUORUM_WEBHOOK_SECRET set. Until then let nobody else reach its port.",
    )


CHECKS = (
    Check("backend", answers),
    Check("backend: credentials", credentials),
    Check("backend: strangers", strangers),
    Check("backend: webhook secret", webhook_secret),
)
