"""What settings may be: each bound in the words in which it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from .errors import QuorumError
from .urls import REDIS_ADDRESS, WEB_ADDRESS, is_origin, is_redis_address, is_web_address

if TYPE_CHECKING:
    from .settings import Settings

# The networks that come along, as learning.baselines has them: that needs torch.
NETWORKS = ("fcn", "unet", "cumednet")
_LEAST_SCALES = 5  # of the presets'
_SECRETS = frozenset({"label_studio_api_key", "basic_auth_password", "webhook_secret"})


class SettingsError(QuorumError, ValueError):
    """A setting is missing or out of its bounds; the message names it and the remedy."""


def refuse_out_of_bounds(settings: Settings) -> None:
    """Raise SettingsError for the first setting out of its bounds."""

    def require(ok: bool, name: str, bound: str) -> None:
        if not ok:
            raise SettingsError(
                f"{variable_in(settings, name)} must be {bound}: it is {_shown(settings, name)}"
            )

    require(settings.k >= 1, "k", "at least 1")
    require(settings.k <= settings.K, "K", f"at least {variable_in(settings, 'k')} ({settings.k})")
    require(2 <= settings.members <= 64, "members", "from 2 to 64")
    require(0 < settings.held_out_fraction < 1, "held_out_fraction", "between 0 and 1")
    require(settings.evaluation_slices >= 1, "evaluation_slices", "at least 1")
    require(settings.slab_mm > 0, "slab_mm", "above 0 mm")
    require(0 <= settings.seed < 2**31, "seed", "from 0 to 2147483647")
    require(settings.push_chunk >= 1, "push_chunk", "at least 1")
    require(settings.push_pause_s >= 0, "push_pause_s", "0 s or more")
    require(settings.keep_versions >= 0, "keep_versions", "0 or more")
    require(settings.keep_predictions >= 0, "keep_predictions", "0 or more")
    require(settings.drafts_ahead >= 0, "drafts_ahead", "0 or more")
    require(settings.shard_slices >= 1, "shard_slices", "at least 1")
    require(settings.attempts >= 1, "attempts", "at least 1")
    require(settings.round_after_s >= 0, "round_after_s", "0 s or more")
    require(settings.cache_mib >= 0, "cache_mib", "0 or more")
    require(settings.heartbeat_s >= 1, "heartbeat_s", "at least 1 s")
    require(settings.reconcile_s >= 1, "reconcile_s", "at least 1 s")
    require(0 <= settings.adjudicate_above <= 1, "adjudicate_above", "between 0 and 1")
    require(0 <= settings.suspect_weight <= 1, "suspect_weight", "between 0 and 1")
    require(settings.strategy in _strategies(), "strategy", f"one of {', '.join(_strategies())}")
    _check_training(settings, require)
    require(0 <= settings.hold_drafts_back <= 1, "hold_drafts_back", "between 0 and 1")
    require(
        settings.rest_as in ("predictions", "annotations"),
        "rest_as",
        "predictions or annotations",
    )
    from .label_studio.hosts import listed_hosts

    try:
        listed_hosts(settings.image_hosts)
    except ValueError as error:
        raise SettingsError(f"{variable_in(settings, 'image_hosts')}: {error}") from None
    from .callers import networks_in

    try:
        networks_in(settings.trusted_proxies)
    except ValueError as error:
        raise SettingsError(f"{variable_in(settings, 'trusted_proxies')}: {error}") from None
    require(settings.log_format in ("text", "json"), "log_format", "text or json")
    require(settings.labels_per_round >= 0, "labels_per_round", "0 or more")
    require(settings.cold_start in ("thumbnails", "encoder"), "cold_start", "thumbnails or encoder")
    require(settings.start in ("scratch", "encoder"), "start", "scratch or encoder")
    require(
        settings.bootstrap_over in ("slices", "patients", "none"),
        "bootstrap_over",
        "slices, patients or none",
    )
    require(
        settings.augmentation in ("repeats", "all", "none"), "augmentation", "repeats, all or none"
    )
    require(settings.consensus in ("majority", "staple"), "consensus", "majority or staple")
    require(0 <= settings.target_mean_iou < 1, "target_mean_iou", "0, or between 0 and 1")
    require(settings.label_budget >= 0, "label_budget", "0 or more")
    for name in ("label_studio_url", "label_studio_public_url", "page_url"):
        address = getattr(settings, name)
        if address or name == "label_studio_url":
            require(is_web_address(address), name, WEB_ADDRESS)
    require(
        not settings.page_url or is_origin(settings.page_url),
        "page_url",
        "https://HOST or https://HOST:PORT, without a path: the page has to be at its root",
    )
    require(is_redis_address(settings.redis_url), "redis_url", REDIS_ADDRESS)
    require(
        bool(settings.basic_auth_user) == bool(settings.basic_auth_password),
        "basic_auth_user",
        f"set together with {variable_in(settings, 'basic_auth_password')}",
    )


def _check_training(settings: Settings, require: Callable[[bool, str, str], None]) -> None:
    """Refuse what could be trained on no device; a round says what its own cannot."""
    network = settings.network or NETWORKS[0]
    require(
        network in NETWORKS or all(network.partition(":")),
        "network",
        f"{', '.join(NETWORKS)}, monai:NAME, or package.module:Class",
    )
    require(settings.width >= 0, "width", "0 or more")
    require(settings.scales == 0 or 2 <= settings.scales <= 12, "scales", "0, or from 2 to 12")
    require(settings.steps >= 0, "steps", "0 or more")
    require(settings.batch_size >= 0, "batch_size", "0 or more")
    require(
        settings.side_px >= 0 and settings.side_px % _stride(settings) == 0,
        "side_px",
        f"0, or a multiple of {_stride(settings)} for {settings.scales or _LEAST_SCALES} scales",
    )
    if settings.start == "encoder" and network != "fcn":
        raise SettingsError(
            f"{variable_in(settings, 'start')} must be scratch with "
            f"{variable_in(settings, 'network')}={network}: only the fcn can start from an encoder"
        )


def _strategies() -> list[str]:
    """The strategies that can be used: some need what only a simulation knows."""
    from .learning.strategies import STRATEGIES

    return [name for name, each in STRATEGIES.items() if not each.simulation_only]


def _stride(settings: Settings) -> int:
    return int(2 ** ((settings.scales or _LEAST_SCALES) - 1))


def variable_in(settings: Settings | type[Settings], name: str) -> str:
    """The environment variable of a setting."""
    return next(str(f.metadata["variable"]) for f in fields(settings) if f.name == name)


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if name == "redis_url" or (name.endswith("_url") and "@" in value):
        return "not shown here, for a password may be in it"
    return "a secret" if name in _SECRETS else repr(value)
