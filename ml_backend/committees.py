"""Committees between the store and the learning core: settings in, loaded committees out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import torch

from .learning.choices import NETWORKS
from .learning.committee import Committee
from .learning.memory import told_when_too_small
from .learning.networks import build_network
from .learning.strategies import STRATEGIES
from .learning.training import TrainingSettings, preset, torch_device
from .settings import TRAINING_SETTINGS, Settings, SettingsError, is_own_network, variable_of
from .store import Store, StoreError

_WIDEST = 1024  # channels at full resolution that anybody trains with
# Raised when the same settings and labels give other members: the next round trains anew.
_MADE_AS = 4  # since members see a slice as it is 32 times before it is changed at random


def training_settings(settings: Settings) -> TrainingSettings:
    """The device's preset with what the deployment sets itself.

    Steps that it sets are taken as they are; the preset's grow with the labels. Raises
    SettingsError for what cannot be trained, and for a network that cannot be built, here.
    """
    _usable(settings.device)
    return _chosen(settings, preset(settings.device))


def refuse_untrainable(settings: Settings) -> None:
    """Raise SettingsError for what can be trained with neither a CPU's preset nor a GPU's."""
    try:
        _chosen(settings, preset("cpu"))
    except SettingsError as error:
        try:
            _chosen(settings, TrainingSettings(device="cpu"))
        except SettingsError:
            raise error from None


def _usable(device: str) -> torch.device:
    """The device of that name. Raises SettingsError if there is none."""
    try:
        return torch_device(device)
    except ValueError as error:
        raise SettingsError(f"{variable_of('device')}: {error}") from None


def _chosen(settings: Settings, shape: TrainingSettings) -> TrainingSettings:
    chosen: dict[str, Any] = {
        name: getattr(settings, name) for name in TRAINING_SETTINGS if getattr(settings, name)
    }
    if settings.steps:
        chosen["epochs"] = 0
    if settings.start == "encoder":
        chosen.setdefault("network", "fcn")  # no other can start from one
    # What the strategy needs, as dropout for its passes.
    chosen.update(STRATEGIES[settings.strategy].training)
    chosen |= {"members": settings.members, "seed": settings.seed}
    try:
        found = replace(shape, **chosen)
        _try_network(found)
    except ValueError as error:
        raise SettingsError(f"the committee's settings cannot be trained with: {error}") from None
    return found


@lru_cache(maxsize=8)  # a round asks several times; what is refused is tried again
def _try_network(chosen: TrainingSettings) -> None:
    """Raise ValueError for a network that cannot be built or trained."""
    if chosen.network in NETWORKS:
        if chosen.batch_size == 1 and chosen.side_px == 2 ** (chosen.scales - 1):
            raise ValueError(
                "batch norm has a single value in the deepest map of a single slice: let "
                "batch_size be at least 2, or side_px larger"
            )
        return
    # Others have conditions of their own, such as colour. What they draw here must change nothing.
    with torch.random.fork_rng(devices=()):
        refused = []
        for in_channels in (1, 3):
            try:
                _build(chosen, in_channels)
                return
            except ValueError as error:
                refused.append(error)
        raise refused[0]


def _build(chosen: TrainingSettings, in_channels: int) -> None:
    try:
        build_network(chosen.network, in_channels, 2, chosen.width, chosen.scales, chosen.dropout)
    except ValueError:
        raise
    except Exception as error:  # whatever code of the user's own raises
        raise ValueError(
            f"network {chosen.network!r} cannot be built: {type(error).__name__}"
        ) from None


def recipe(settings: Settings, labels: tuple[str, ...]) -> dict[str, Any]:
    """All that decides a training beside its data, JSON-able; the device is no part of it."""
    chosen = asdict(training_settings(settings))
    chosen.pop("device", None)
    return {"labels": list(labels), "made_as": _MADE_AS, **chosen}


def load(
    store: Store, version: str, labels: tuple[str, ...], device: str, own_network: str = ""
) -> Committee:
    """A published committee on a device ("auto", "cpu", "cuda", …).

    own_network: the deployment's QUORUM_NETWORK, the only package.module:Class that a version may
    name: whoever can write into the store must not choose what code runs. Raises StoreError if the
    version is damaged, has no committee, names another such class, or belongs to another label
    config: its drafts would carry the wrong names. Raises SettingsError where there is no such
    device, TooLittleMemory where its memory is full.
    """
    where = _usable(device)
    metadata = store.metadata(version)
    trained, of_labels = metadata.get("training"), metadata.get("labels")
    if not isinstance(trained, dict) or not isinstance(of_labels, list):
        raise StoreError(f"version {version} has damaged metadata: roll back to another")
    if tuple(of_labels) != labels:
        raise StoreError(
            f"version {version} was trained for other labels than the project has now: "
            "start training, and it will be replaced"
        )
    states = store.states(version)
    if not states:
        raise StoreError(f"version {version} is an order without a committee")
    network = trained.get("network")
    if is_own_network(network) and network != own_network:
        raise StoreError(
            f"version {version} was trained with a network of your own: set QUORUM_NETWORK to its "
            "name on this machine too, start training with another, or roll back to another version"
        )
    known = TrainingSettings.__dataclass_fields__
    try:
        settings = TrainingSettings(
            **{k: v for k, v in trained.items() if k in known and k != "device"}, device=device
        )
        # A network that is as wide as nothing in the file would only be built to be refused; but
        # a class of one's own need not follow the width.
        widest = max((max(t.shape, default=1) for s in states for t in s.values()), default=0)
        if settings.width > (max(widest, _WIDEST) if is_own_network(network) else widest):
            raise ValueError("width")
        with told_when_too_small(where, settings):
            return Committee.from_state(states, labels, settings, metadata.get("in_channels"))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise StoreError(
            f"version {version} has weights that do not fit its network: roll back to another"
        ) from None


class CommitteeCache:
    """The few committees that a serving process keeps loaded, newest last.

    Versions never change, so a cached one never grows stale; which version is current is asked of
    the store each time, and other processes' rounds are thus seen at once.
    """

    def __init__(self, size: int = 4) -> None:
        self._size = size
        self._loaded: OrderedDict[tuple[int, str, tuple[str, ...]], Committee] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        store: Store,
        project_id: int,
        version: str,
        labels: tuple[str, ...],
        device: str,
        own_network: str = "",
    ) -> Committee:
        """A committee, loaded if it is not yet. Raises StoreError as load() does."""
        key = (project_id, version, labels)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load(store, version, labels, device, own_network)
                while len(self._loaded) > self._size:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]
