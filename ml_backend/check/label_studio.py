"""Label Studio itself: reachable, a release that was tested, and the token with its rights."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from ..label_studio import LabelStudioDown, LabelStudioError
from ..label_studio.probing import Answer, ask_anybody, expires_at
from ..label_studio.transport import is_personal
from ..label_studio.trust import trusted
from .deployment import REQUEST_S, Deployment
from .findings import CannotTellError, Check, Outcome, fails, ok, unknown

TESTED = ("1.23.2",)
# What the product does with a token: without one of them a call of its is refused.
NEEDED = frozenset(
    {
        *("projects.view", "projects.change", "tasks.view", "predictions.any"),
        *("annotations.view", "views.view", "views.change", "actions.perform"),
        *("webhooks.view", "webhooks.change"),
    }
)


def reachable(deployment: Deployment) -> Outcome:
    """Something at the address answers as a Label Studio."""
    url = deployment.settings.label_studio_url
    try:
        trusted(deployment.settings.ca_file)
    except LabelStudioError as error:
        found, _, remedy = str(error).rpartition(": ")
        deployment.away["Label Studio"] = found
        return fails(found, remedy)
    try:
        told_to_anybody(deployment)
    except LabelStudioDown as error:
        deployment.away["Label Studio"] = "Label Studio cannot be reached"
        found, _, remedy = str(error).partition(": ")
        return fails(found, remedy or "Start Label Studio, or set LABEL_STUDIO_URL to its address.")
    except LabelStudioError as error:
        deployment.away["Label Studio"] = f"no Label Studio answers at {url}"
        return fails(
            str(error), "Set LABEL_STUDIO_URL to its final address, https:// and path included."
        )
    return ok(f"answers at {url}")


def version(deployment: Deployment) -> Outcome:
    """It is a release that Quorum was tested with, or near to one."""
    deployment.need("Label Studio")
    return of_release(told_to_anybody(deployment).release)


def told_to_anybody(deployment: Deployment) -> Answer:
    """What Label Studio tells without a token. Raises LabelStudioError."""
    settings = deployment.settings
    return ask_anybody(settings.label_studio_url, REQUEST_S, settings.ca_file)


def of_release(release: str) -> Outcome:
    """What to think of a release."""
    tested = ", ".join(TESTED)
    if release in TESTED:
        return ok(f"{release}, as tested")
    found = re.match(r"(\d+)\.(\d+)", release)
    if not found:
        return unknown(f"it calls itself {release[:40]!r}; tested: {tested}")
    known = [tuple(map(int, name.split(".")[:2])) for name in TESTED]
    major, minor = int(found[1]), int(found[2])
    if (major, minor) in known:
        return ok(f"{release}; tested: {tested}")
    if major != known[-1][0]:
        return fails(
            f"{release}: what Quorum asks of Label Studio may be different there",
            f"Use Label Studio {TESTED[-1]}.",
        )
    age = "older" if (major, minor) < min(known) else "newer"
    return unknown(
        f"{release} is {age} than what was tested ({tested})",
        f"Try Quorum on a copy of a project first, or use Label Studio {TESTED[-1]}.",
    )


def token(deployment: Deployment) -> Outcome:
    """The token is accepted; which kind it is, and whose."""
    key = deployment.settings.label_studio_api_key
    if not key:
        return fails(
            "no token is set",
            "Copy one from Account & Settings in Label Studio and set LABEL_STUDIO_API_KEY.",
        )
    kind = "personal access token" if is_personal(key) else "legacy token"
    ends = expires_at(key) if is_personal(key) else None
    if ends is not None and ends < deployment.now():
        return fails(
            f"the personal access token ended on {_day(ends)}",
            "Make a new one under Account & Settings and set LABEL_STUDIO_API_KEY.",
        )
    try:
        user = deployment.label_studio.token_user()
    except LabelStudioDown as error:  # perhaps it answers, and renews no bearer: in its words
        found, _, remedy = str(error).partition(": ")
        return unknown(found, remedy)
    except LabelStudioError as error:
        if error.status not in (401, 403):
            raise
        return fails(
            f"Label Studio refuses the {kind} (HTTP {error.status})",
            "Copy it again from Account & Settings into LABEL_STUDIO_API_KEY. The organisation's "
            f"settings (Access Token Settings) must allow a {kind}.",
        )
    until = f", until {_day(ends)}" if ends is not None else ""
    return ok(f"{kind} of {user.email or f'user {user.id}'}{until}")


def rights(deployment: Deployment) -> Outcome:
    """The token's user may do what Quorum does."""
    try:
        user = deployment.label_studio.token_user()
        listed = len(deployment.label_studio.project_ids())
    except LabelStudioError as error:
        if error.status == 401:
            raise CannotTellError("the token is refused") from None
        if error.status != 403:
            raise
        return fails(
            "the token's user may not list projects",
            "Use the token of a user who may list and change projects and write predictions.",
        )
    lacking = sorted(NEEDED - user.permissions) if user.permissions else []
    if lacking:
        return fails(
            f"the token's user lacks: {', '.join(lacking)}",
            "Give this user a role with them (Owner, Administrator or Manager), or use the "
            "token of a user who has it.",
        )
    return ok(f"sees {listed} projects, may change them and write predictions")


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d}"


CHECKS = (
    Check("Label Studio", reachable),
    Check("Label Studio: version", version),
    Check("token", token),
    Check("token: rights", rights),
)
