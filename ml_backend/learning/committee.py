"""The committee: members trained on bootstrap resamples, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from .geometry import Grey, Image, channels_of, fit, fit_labels, with_channels
from .pseudo_labels import pseudo_labels
from .scoring import Committee, Score
from .self_supervision import train_encoder
from .training import (
    TrainingSettings,
    bootstrap,
    second_stage_steps,
    torch_device,
    train_further,
    train_member,
)

__all__ = ["Committee", "Score", "train_committee"]

_PROGRESS_S = 0.5


def train_committee(
    images: Sequence[Image],
    label_maps: Sequence[Grey],
    class_names: Sequence[str],
    settings: TrainingSettings,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    groups: Sequence[str] | None = None,
    unlabelled: Sequence[Image] = (),
    encoder: Mapping[str, Tensor] | None = None,
) -> Committee:
    """Train `settings.members` networks, each on a bootstrap resample of the slices.

    Slices are (H, W) or (H, W, 3) uint8 of any size each, label maps (H, W) uint8. `groups` names
    each slice's patient; `unlabelled` are slices that a semi-supervised stage or an encoder may
    learn from; `encoder` is what members start from if the settings say so (train_encoder's
    state_dict(); without one, it is trained here on all slices). Raises ValueError if there are no
    slices, the numbers differ, or what the settings ask for is not given.
    """
    if not images or len(images) != len(label_maps):
        raise ValueError(
            f"{len(images)} slices and {len(label_maps)} label maps: need as many of both"
        )
    if settings.bootstrap_over == "patients" and groups is None:
        raise ValueError("a bootstrap over patients needs each slice's patient: give groups")
    channels = channels_of(images)
    if settings.start == "encoder" and encoder is None:
        every = [*images, *unlabelled]
        encoder = train_encoder(every, settings, seed, in_channels=channels).state_dict()
    squares = np.stack([fit(with_channels(i, channels), settings.side_px)[0] for i in images])
    labels = np.stack([fit_labels(label_map, settings.side_px) for label_map in label_maps])
    classes = len(class_names) + 1
    further = second_stage_steps(settings) if settings.semi_supervised and unlabelled else 0
    total = settings.members * (settings.steps + further)
    seeds = [1000 * seed + index for index in range(settings.members)]
    samples = [
        bootstrap(
            len(squares),
            np.random.default_rng(member_seed),
            groups if settings.bootstrap_over == "patients" else None,
        )
        for member_seed in seeds
    ]

    def first(index: int, on_step: Callable[[int], None]) -> nn.Module:
        x, y = squares[samples[index]], labels[samples[index]]
        weights = encoder if settings.start == "encoder" else None
        return train_member(x, y, classes, settings, seeds[index], on_step, weights)

    def report(done: int) -> None:
        if on_progress:
            on_progress(done, total)

    members = _side_by_side(first, settings, report)
    if further:
        before = settings.members * settings.steps
        more = pseudo_labels(members, unlabelled, channels, settings)

        def second(index: int, on_step: Callable[[int], None]) -> nn.Module:
            x, y = squares[samples[index]], labels[samples[index]]
            return train_further(
                members[index], x, y, *more, classes, settings, seeds[index] + 500, on_step
            )

        if len(more[0]):
            members = _side_by_side(second, settings, lambda done: report(before + done))
        report(total)
    return Committee(members, class_names, settings, channels)


def _side_by_side(
    train: Callable[[int, Callable[[int], None]], nn.Module],
    settings: TrainingSettings,
    report: Callable[[int], None],
) -> list[nn.Module]:
    """Call train(index, on_step) for each member, several at once; report the steps done by all."""
    done = [0] * settings.members  # each entry written by one thread alone

    def run(index: int) -> nn.Module:
        return train(index, lambda step: done.__setitem__(index, step))

    with _shared_cores(settings) as workers, ThreadPoolExecutor(workers) as pool:
        training = [pool.submit(run, index) for index in range(settings.members)]
        pending = True
        while pending:
            pending = bool(wait(training, timeout=_PROGRESS_S).not_done)
            # Told by the caller's own thread: what it tells may belong to that thread.
            report(sum(done))
        return [future.result() for future in training]


@contextmanager
def _shared_cores(settings: TrainingSettings) -> Iterator[int]:
    """How many members train at once, each on its share of the cores.

    A small network's convolutions gain next to nothing from a second core: on two cores two
    members of one thread each take 0.6 of the time of one after the other on both. A GPU is given
    one member at a time.
    """
    if torch_device(settings.device).type != "cpu":
        yield 1
        return
    cores = torch.get_num_threads()
    workers = min(settings.members, cores)
    torch.set_num_threads(max(1, cores // workers))
    try:
        yield workers
    finally:
        torch.set_num_threads(cores)
