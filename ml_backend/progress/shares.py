"""Read-only links of a project, for a manager without an account: made, read, revoked.

A link is a signed note of its project, its end and a number that the project keeps. Nothing of a
link is stored, and revoking changes the number, for all links at once.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer

from ..settings import Settings
from ..store import Store
from .page_key import derived, load_or_make
from .stores import store_of

LONGEST_DAYS = 90
_FIGURES = "shares"
_DAY_S = 24 * 3600
_LONGEST_TOKEN = 400


class ShareError(ValueError):
    """A link that cannot be made or is not valid; the message is for people."""


@dataclass(frozen=True)
class Share:
    """What a link lets one see, and until when (Unix time)."""

    project_id: int
    expires: int
    number: int  # the project's at the time


def make_link(settings: Settings, project_id: int, days: int) -> str:
    """The path of a new link, to be put behind the page's address.

    Raises ShareError if `days` is out of its bounds, StoreError.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise ShareError(f"a link is good for 1 to {LONGEST_DAYS} days")
    store = store_of(settings, project_id)
    if not _number(store):
        revoke_links(store)
    value = [int(project_id), int(time.time()) + days * _DAY_S, _number(store)]
    return f"/view/{_signer(settings).dumps(value)}"


def read_link(settings: Settings, token: str) -> Share:
    """What a link says. Raises ShareError for one that is forged, over or revoked, StoreError."""
    refused = ShareError("this link is not valid, or not any more: ask for a new one")
    if len(token) > _LONGEST_TOKEN:
        raise refused
    try:
        share = Share(*(int(part) for part in _signer(settings).loads(token)))
    except (BadSignature, TypeError, ValueError):
        raise refused from None
    if not is_valid(settings, share):
        raise refused
    return share


def is_valid(settings: Settings, share: Share) -> bool:
    """Whether a link is neither over nor revoked. Raises StoreError."""
    if share.expires <= time.time():
        return False
    number = _number(store_of(settings, share.project_id))
    return number != 0 and share.number == number


def revoke_links(store: Store) -> None:
    """Make every link of a project, and every session that came from one, end now.

    Raises StoreError.
    """
    # Not counted from nothing: were the note lost, old links would be good again some day.
    store.keep_figures(_FIGURES, {"number": max(_number(store) + 1, int(time.time()))})


def _number(store: Store) -> int:
    """What valid links of a project carry; 0, which none carries, before the first."""
    number = store.figures(_FIGURES).get("number", 0)
    return number if isinstance(number, int) else 0


def _signer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(
        derived(load_or_make(settings.data_dir), "link"),
        salt="quorum-link",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )
