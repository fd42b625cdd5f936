"""What settings may be: each bound in the words in which it is told."""

from __future__ import annotations

from collections.abc import Iterator

from ..callers import networks_in
from ..errors import QuorumError
from ..learning.choices import CHOICES, NETWORKS, in_words
from ..urls import REDIS_ADDRESS, WEB_ADDRESS, is_origin, is_redis_address, is_web_address
from .declarations import SettingsFields, variable_of

_CHOICES = {
    "rest_as": ("predictions", "annotations"),
    "log_format": ("text", "json"),
    "cold_start": ("thumbnails", "encoder"),
    "consensus": ("majority", "staple"),
}
_COUNTS = (
    "keep_versions",
    "keep_predictions",
    "drafts_ahead",
    "cache_mib",
    "labels_per_round",
    "label_budget",
    "width",
    "steps",
    "batch_size",
)
_ORIGIN = "https://HOST or https://HOST:PORT, without a path: the page has to be at its root"
_LEAST_SCALES = 5  # of the presets'
_SECRETS = frozenset({"label_studio_api_key", "basic_auth_password", "webhook_secret"})


class SettingsError(QuorumError, ValueError):
    """A setting is missing or out of its bounds; the message names it and the remedy."""


def refuse_out_of_bounds(settings: SettingsFields) -> None:
    """Raise SettingsError for the first setting out of its bounds."""
    from ..label_studio.hosts import listed_hosts  # the client's package needs Settings

    for name, within, bound in bounds(settings):
        if not within:
            raise SettingsError(
                f"{variable_of(name)} must be {bound}: it is {_shown(settings, name)}"
            )
    for name, read in (("image_hosts", listed_hosts), ("trusted_proxies", networks_in)):
        try:
            read(getattr(settings, name))
        except ValueError as error:
            raise SettingsError(f"{variable_of(name)}: {error}") from None
    network = _network(settings)
    if settings.start == "encoder" and network != "fcn":
        raise SettingsError(
            f"{variable_of('start')} must be scratch with "
            f"{variable_of('network')}={network}: only the fcn can start from an encoder"
        )


def bounds(settings: SettingsFields) -> Iterator[tuple[str, bool, str]]:
    """Each bounded setting's name, whether it is within its bounds, and these in words."""
    yield "k", settings.k >= 1, "at least 1"
    yield "K", settings.k <= settings.K, f"at least {variable_of('k')} ({settings.k})"
    yield "members", 2 <= settings.members <= 64, "from 2 to 64"
    yield "held_out_fraction", 0 < settings.held_out_fraction < 1, "between 0 and 1"
    yield "slab_mm", settings.slab_mm > 0, "above 0 mm"
    yield "seed", 0 <= settings.seed < 2**31, "from 0 to 2147483647"
    yield "target_mean_iou", 0 <= settings.target_mean_iou < 1, "0, or between 0 and 1"
    for name in ("evaluation_slices", "push_chunk", "shard_slices", "attempts"):
        yield name, getattr(settings, name) >= 1, "at least 1"
    # 0 is no "without end" for these: the queue refuses such a job, and no call could be answered.
    for name in ("heartbeat_s", "reconcile_s", "round_timeout_s"):
        yield name, getattr(settings, name) >= 1, "at least 1 s"
    yield "request_timeout_s", settings.request_timeout_s > 0, "above 0 s"
    for name in ("push_pause_s", "round_after_s", "patience_s"):
        yield name, getattr(settings, name) >= 0, "0 s or more"
    for name in _COUNTS:
        yield name, getattr(settings, name) >= 0, "0 or more"
    for name in ("adjudicate_above", "suspect_weight", "hold_drafts_back"):
        yield name, 0 <= getattr(settings, name) <= 1, "between 0 and 1"
    for name, choices in {"strategy": _strategies(), **_CHOICES, **CHOICES}.items():
        yield name, getattr(settings, name) in choices, in_words(choices)
    yield from _bounds_of_network(settings)
    yield from _bounds_of_addresses(settings)


def _bounds_of_network(settings: SettingsFields) -> Iterator[tuple[str, bool, str]]:
    """What could be trained on no device is refused; a round says what its own cannot."""
    network = _network(settings)
    known = network in NETWORKS or all(network.partition(":"))
    yield "network", known, f"{', '.join(NETWORKS)}, monai:NAME, or package.module:Class"
    yield "scales", settings.scales == 0 or 2 <= settings.scales <= 12, "0, or from 2 to 12"
    scales = settings.scales or _LEAST_SCALES
    stride = 2 ** (scales - 1)
    fits = settings.side_px >= 0 and settings.side_px % stride == 0
    yield "side_px", fits, f"0, or a multiple of {stride} for {scales} scales"


def _bounds_of_addresses(settings: SettingsFields) -> Iterator[tuple[str, bool, str]]:
    yield "label_studio_url", is_web_address(settings.label_studio_url), WEB_ADDRESS
    public = settings.label_studio_public_url
    yield "label_studio_public_url", not public or is_web_address(public), WEB_ADDRESS
    yield "page_url", not settings.page_url or is_web_address(settings.page_url), WEB_ADDRESS
    yield "page_url", not settings.page_url or is_origin(settings.page_url), _ORIGIN
    yield "redis_url", is_redis_address(settings.redis_url), REDIS_ADDRESS
    both = bool(settings.basic_auth_user) == bool(settings.basic_auth_password)
    together = f"set together with {variable_of('basic_auth_password')}"
    yield "basic_auth_user", both, together


def _network(settings: SettingsFields) -> str:
    return settings.network or NETWORKS[0]


def _strategies() -> tuple[str, ...]:
    """The strategies that can be used: some need what only a simulation knows."""
    from ..learning.strategies import STRATEGIES

    return tuple(name for name, each in STRATEGIES.items() if not each.simulation_only)


def _shown(settings: SettingsFields, name: str) -> str:
    value = getattr(settings, name)
    if name == "redis_url" or (name.endswith("_url") and "@" in value):
        return "not shown here, for a password may be in it"
    return "a secret" if name in _SECRETS else repr(value)
