"""What Label Studio has attached to a project: our ML backend, our webhook, and leftovers."""

from __future__ import annotations

import time
from typing import Any

from ..jobs.arrivals import Arrivals
from ..label_studio import LabelStudioDown, LabelStudioError
from ..label_studio.attached import SECRET_HEADER, is_ours, same_address
from ..model import ROUND_EVENTS
from .findings import CannotTellError, Check, Outcome, fails, ok, unknown
from .project import Project

_POLL_S = 0.1


def ml_backend(project: Project) -> Outcome:
    """Our ML backend is connected, and Label Studio reaches it now."""
    url = project.backend_url
    try:
        listed = project.label_studio.backends(project.id)
    except LabelStudioDown:
        # It calls each backend before it answers, and waits for those that do not.
        raise CannotTellError("Label Studio did not say in time what it is connected to") from None
    ours = [backend for backend in listed if same_address(backend["url"], [url])]
    if not ours:
        return fails(f"no ML backend at {url} is connected", project.connect)
    backend, user = ours[0], project.deployment.settings.basic_auth_user
    state = str(backend.get("readable_state") or backend.get("state"))
    if backend.get("state") not in ("CO", "TR", "PR"):
        return fails(
            f"connected to {url}, but Label Studio says '{state}'",
            f"From Label Studio's host, {url}/health must answer: check address, firewall, and "
            "that private addresses are allowed there (LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false). "
            f"If it answers: {project.connect}",
        )
    if user and backend.get("basic_auth_user") != user:
        return fails(f"connected to {url}, with another user than is set here", project.connect)
    return ok(f"{url}: Label Studio says '{state}'")


def webhook(project: Project) -> Outcome:
    """Our webhook is there, once, active, with the secret, for the events that matter."""
    url = f"{project.backend_url}/webhook"
    hooks = [
        hook
        for hook in project.label_studio.webhooks(project.id)
        if same_address(hook["url"], [url])
    ]
    if not hooks:
        return fails(f"there is no webhook to {url}", project.connect)
    wrong = _wrong_with(hooks[0], project.deployment.settings.webhook_secret)
    if len(hooks) > 1:
        wrong.append(f"it is there {len(hooks)} times")
    if wrong:
        return fails(f"the webhook to {url}: {'; '.join(wrong)}", project.connect)
    return ok(f"to {url}, active, with the secret")


def _wrong_with(hook: dict[str, Any], secret: str) -> list[str]:
    """What is wrong with a webhook, without showing its headers."""
    wrong = []
    if not hook.get("is_active"):
        wrong.append("it is switched off")
    headers = {str(name).lower(): value for name, value in (hook.get("headers") or {}).items()}
    given = headers.get(SECRET_HEADER.lower())
    if given is None:
        wrong.append(f"it has no {SECRET_HEADER} header")
    elif given != secret:
        wrong.append(f"its {SECRET_HEADER} is not the secret that is set here")
    if not hook.get("send_payload"):
        wrong.append("it sends no payload")
    if not hook.get("send_for_all_actions"):
        lacking = ROUND_EVENTS - {"START_TRAINING"} - set(hook.get("actions") or [])
        if lacking:
            wrong.append(f"it leaves out {', '.join(sorted(lacking))}")
    return wrong


def arrives(project: Project) -> Outcome:
    """An event that is provoked reaches the backend: nothing in the project is changed by it."""
    arrivals = Arrivals(project.deployment.redis)
    server, before = project.label_studio, arrivals.last(project.id)
    started = time.monotonic()
    try:
        server.provoke_event(project.id)
    except LabelStudioError as error:
        if error.status != 403:
            raise
        return fails(
            "the token's user may not change the project, so no event can be provoked",
            "Give this user the right to change it: the order is set by changing the project.",
        )
    wait_s = project.deployment.webhook_wait_s
    while arrivals.last(project.id) == before:
        if time.monotonic() - started > wait_s:
            return fails(
                f"an event that was provoked did not arrive within {wait_s:.0f} s",
                "See the lines about webhook and backend first. If they are ok: can Label "
                "Studio's host (its worker, with PostgreSQL) reach the backend, is "
                "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false set there, and does the backend use "
                "this Redis?",
            )
        time.sleep(_POLL_S)
    return ok(f"an event that was provoked arrived after {time.monotonic() - started:.1f} s")


def leftovers(project: Project) -> Outcome:
    """Nothing of an earlier address of ours is left: each call to it costs annotators a second."""
    server, url = project.label_studio, project.backend_url
    allowed = (url, f"{url}/webhook")
    try:
        listed = server.backends(project.id)
    except LabelStudioDown:
        return unknown("Label Studio did not say in time what it is connected to")
    dead = {
        str(other["url"]).rstrip("/").removesuffix("/webhook")
        for other in [*listed, *server.webhooks(project.id)]
        if is_ours(other) and not same_address(other["url"], allowed)
    }
    if dead:
        first = sorted(dead)[0]
        return fails(
            f"left from an earlier connection: {', '.join(sorted(dead))}",
            f"./quorum disconnect {project.id} --only {first}",
        )
    return ok("nothing is left of other addresses")


CHECKS = (
    Check("ML backend", ml_backend),
    Check("webhook", webhook),
    Check("webhook: arrives", arrives),
    Check("leftovers", leftovers),
)
