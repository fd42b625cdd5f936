"""Trained members as such: kept, restored, and asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from .networks import build_network, predict
from .training import seeded
from .training_settings import TrainingSettings

# Asked for before anybody sets another number, which threads that begin later would take over.
_CORES = torch.get_num_threads()

Ask = Callable[[Tensor], Iterator[tuple[Tensor, Tensor]]]


def member_state(member: nn.Module) -> dict[str, Tensor]:
    """A network's tensors by name, on the CPU and contiguous, fit for safetensors."""
    return {
        name: value.detach().cpu().contiguous().clone()
        for name, value in member.state_dict().items()
    }


def member_from_state(
    state: Mapping[str, Tensor],
    class_names: Sequence[str],
    settings: TrainingSettings,
    in_channels: int | None = None,
) -> nn.Module:
    """The member that member_state() was taken from, grey or RGB; on the CPU, in eval mode.

    The global random state is left alone. Raises ValueError if the tensors do not fit the
    settings' network.
    """
    return members_from_states([state], class_names, settings, in_channels)[0][0]


def members_from_states(
    states: Sequence[Mapping[str, Tensor]],
    class_names: Sequence[str],
    settings: TrainingSettings,
    in_channels: int | None = None,
) -> tuple[list[nn.Module], int]:
    """Members as member_from_state() gives each, and the image channels that they all take.

    Without `in_channels`, which earlier releases did not note, those are taken that fit first; some
    networks take grey and colour with the same weights, and would see grey.
    Raises ValueError if the tensors do not fit the settings' network, or one another.
    """
    if in_channels not in (None, 1, 3):
        raise ValueError(f"images have 1 or 3 channels: not {in_channels}")
    for channels in (1, 3) if in_channels is None else (in_channels,):
        try:
            return [
                _restored(state, channels, len(class_names) + 1, settings) for state in states
            ], channels
        except (RuntimeError, ValueError):  # names or shapes that differ; a colour it does not take
            continue
    raise ValueError("the weights do not fit the network of these settings")


def _restored(
    state: Mapping[str, Tensor], in_channels: int, classes: int, settings: TrainingSettings
) -> nn.Module:
    def build() -> nn.Module:
        return build_network(
            settings.network,
            in_channels,
            classes,
            settings.width,
            settings.scales,
            settings.dropout,
        )

    member = seeded(build, torch.device("cpu"), settings.seed)
    member.load_state_dict(dict(state))
    return member.eval()


@contextmanager
def side_by_side(members: Sequence[nn.Module], device: torch.device) -> Iterator[Ask]:
    """A function that gives each member's predict(), in their order.

    On a CPU members answer side by side, a thread each: one network's small convolutions
    gain less from more threads, and lose much where another process keeps a core busy.
    """
    if device.type != "cpu":
        yield lambda x: (predict(member, x) for member in members)
        return

    def answer(member: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():  # holds for one thread alone
            return predict(member, x)

    pool, before = _threads(os.getpid()), torch.get_num_threads()
    # What is small beside the passes loses by a second core that others keep busy.
    torch.set_num_threads(1)
    try:
        yield lambda x: pool.map(lambda member: answer(member, x), members)
    finally:
        torch.set_num_threads(before)


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """One thread a core: whoever asks at once in a process shares the cores.

    By process, for one that was forked has none of its parent's threads.
    """
    return ThreadPoolExecutor(_CORES, initializer=torch.set_num_threads, initargs=(1,))
