"""What an answer of Label Studio's means: try again, give up, and the words of it for people."""

from __future__ import annotations

from typing import Any

import httpx

from .errors import LabelStudioError

# What a proxy or a busy Label Studio answers when the same call may well succeed a moment later.
BUSY = frozenset({429, 502, 503, 504})
# SQLite, which Label Studio uses by default, gives up on a lock after 5 s.
_LOCKED = "database is locked"


def is_busy(response: httpx.Response) -> bool:
    """Whether the same call may well succeed a moment later."""
    if response.status_code in BUSY:
        return True
    return response.status_code == 500 and _LOCKED in response.text


def asked_pause_s(response: httpx.Response) -> float:
    """What Retry-After asks for in seconds; 0 without it, or if it names a date."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else 0.0


def check(url: str, method: str, path: str, response: httpx.Response) -> None:
    """Raise LabelStudioError if the Label Studio at `url` did not do what was asked."""
    status = response.status_code
    if status in (401, 403):
        raise LabelStudioError(
            f"{url} refuses the token (HTTP {status}): check "
            "LABEL_STUDIO_API_KEY, and that this kind of token is enabled in the organisation",
            status,
        )
    if response.is_redirect:
        raise LabelStudioError(
            f"{url} redirects {path}: set LABEL_STUDIO_URL to the final address, https:// included",
            status,
        )
    if response.is_error:
        raise LabelStudioError(
            f"{url} answered {method} {path} with HTTP {status}{_detail(response)}", status
        )


def json_of(url: str, path: str, response: httpx.Response) -> Any:
    """What was answered to `path`. Raises LabelStudioError where it is no JSON."""
    try:
        return response.json()
    except ValueError:
        raise not_label_studio(url, path) from None


def not_label_studio(url: str, path: str) -> LabelStudioError:
    """For an answer that no Label Studio gives."""
    return LabelStudioError(
        f"{url} answered {path} with something else than JSON: is it a Label Studio?"
    )


def _detail(response: httpx.Response) -> str:
    """Label Studio's own words about an error, without values that a task might hold."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return f" ({str(detail)[:120]})" if detail else ""
