"""The committee: members trained on the same labels, together or in processes of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait

import torch
from torch import Tensor, nn

from .geometry import Grey, Image
from .members import member_from_state, member_state
from .memory import told_when_too_small
from .pseudo_labels import pseudo_labels
from .scoring import Committee, Score
from .self_supervision import train_encoder
from .training import (
    TrainingSettings,
    one_thread,
    second_stage_steps,
    torch_device,
    train_further,
    train_member,
)
from .training_set import TrainingSet

__all__ = [
    "Committee",
    "Score",
    "TrainingSet",
    "member_from_state",
    "member_state",
    "train_committee",
    "train_members",
    "train_members_further",
]

_PROGRESS_S = 0.5

OnProgress = Callable[[int, int], None]  # steps done, and of how many
OnTrained = Callable[[int, nn.Module], None]  # a member's index, and the member in eval mode
OnStep = Callable[[int], None]


def train_committee(
    images: Sequence[Image],
    label_maps: Sequence[Grey],
    class_names: Sequence[str],
    settings: TrainingSettings,
    seed: int,
    on_progress: OnProgress | None = None,
    *,
    groups: Sequence[str] | None = None,
    unlabelled: Sequence[Image] = (),
    encoder: Mapping[str, Tensor] | None = None,
) -> Committee:
    """Train `settings.members` networks, each from other random weights on the slices.

    Slices are (H, W) or (H, W, 3) uint8 of any size each, label maps (H, W) uint8. `groups` names
    each slice's patient; `unlabelled` are slices that a semi-supervised stage or an encoder may
    learn from; `encoder` is what members start from if the settings say so (train_encoder's
    state_dict(); without one, it is trained here on all slices). Raises ValueError if there are no
    slices, the numbers differ, or what the settings ask for is not given, and TooLittleMemory if
    the device holds not even a single slice.
    """
    training = TrainingSet.of(images, label_maps, class_names, settings, groups)
    if settings.start == "encoder" and encoder is None:
        every = [*images, *unlabelled]
        channels = training.in_channels
        encoder = train_encoder(every, settings, seed, in_channels=channels).state_dict()
    everyone = range(settings.members)
    settings = settings.for_labels(len(images))
    stages = settings.semi_supervised and len(unlabelled) > 0
    before = settings.members * settings.steps
    total = before + (settings.members * second_stage_steps(settings) if stages else 0)

    def report(done: int) -> None:
        if on_progress:
            on_progress(done, total)

    members = train_members(
        training, everyone, settings, seed, lambda done, _: report(done), encoder
    )
    if stages:
        members = train_members_further(
            training,
            members,
            everyone,
            unlabelled,
            settings,
            seed,
            lambda done, _: report(before + done),
        )
    return Committee(members, class_names, settings, training.in_channels)


def train_members(
    training: TrainingSet,
    indices: Sequence[int],
    settings: TrainingSettings,
    seed: int,
    on_progress: OnProgress | None = None,
    encoder: Mapping[str, Tensor] | None = None,
    on_trained: OnTrained | None = None,
) -> list[nn.Module]:
    """Train some of a committee's members, in the order of `indices`; in eval mode.

    On a CPU each is bit for bit the member of that index that train_committee() makes, whatever
    others are trained beside it, in however many processes. `encoder` holds the weights that
    members start from if the settings say so. `on_trained` is given each member as soon as it is
    ready, in this thread, while others still train: what ends the call early takes none of these
    back. Raises ValueError for a member that is none of the committee's, or if what the settings
    ask for is not given, and TooLittleMemory.
    """
    _check(training, indices, settings)
    if settings.start == "encoder" and encoder is None:
        raise ValueError("members start from an encoder: train one, and give its weights")
    weights = encoder if settings.start == "encoder" else None
    settings = settings.for_labels(len(training.squares))

    def train(index: int, on_step: OnStep) -> nn.Module:
        own = _seed_of(index, seed)
        x, y = training.resample(settings, own)
        return train_member(x, y, training.classes, settings, own, on_step, weights)

    return _side_by_side(train, indices, settings, settings.steps, on_progress, on_trained)


def train_members_further(
    training: TrainingSet,
    members: Sequence[nn.Module],
    indices: Sequence[int],
    unlabelled: Sequence[Image],
    settings: TrainingSettings,
    seed: int,
    on_progress: OnProgress | None = None,
    on_trained: OnTrained | None = None,
) -> list[nn.Module]:
    """Train some members on, with what the whole committee agrees on; in eval mode.

    `members` are all of them as train_members() made them, and are left as they are; `indices`
    says which are trained. Where they agree on nothing, copies come back. Equal bit for bit as
    train_members() says, with its `on_trained`, and raises as it does; ValueError also if members
    are lacking.
    """
    _check(training, indices, settings)
    if len(members) != settings.members:
        raise ValueError(
            f"a second stage needs all {settings.members} members: there are {len(members)}"
        )
    settings = settings.for_labels(len(training.squares))
    device = torch_device(settings.device)
    copies = [
        member_from_state(
            member_state(member), training.class_names, settings, training.in_channels
        ).to(device)
        for member in members
    ]
    more = pseudo_labels(copies, unlabelled, training.in_channels, settings)
    steps = second_stage_steps(settings)
    if not len(more[0]):
        if on_trained:
            for index in indices:
                on_trained(index, copies[index])
        if on_progress:
            on_progress(len(indices) * steps, len(indices) * steps)
        return [copies[index] for index in indices]

    def train(index: int, on_step: OnStep) -> nn.Module:
        own = _seed_of(index, seed)
        x, y = training.resample(settings, own)
        return train_further(
            copies[index], x, y, *more, training.classes, settings, own + 500, on_step
        )

    return _side_by_side(train, indices, settings, steps, on_progress, on_trained)


def _seed_of(index: int, seed: int) -> int:
    """A member's own seed, from the committee's: it does not depend on who else is trained."""
    return 1000 * seed + index


def _check(training: TrainingSet, indices: Sequence[int], settings: TrainingSettings) -> None:
    strange = [index for index in indices if not 0 <= index < settings.members]
    if strange or len(set(indices)) != len(indices):
        raise ValueError(
            f"members to train must be different, and 0 to {settings.members - 1}: {list(indices)}"
        )
    side = training.squares.shape[1]
    if side != settings.side_px:
        raise ValueError(
            f"the training set's squares are {side} pixels wide, side_px is {settings.side_px}: "
            "make it with these settings"
        )


def _side_by_side(
    train: Callable[[int, OnStep], nn.Module],
    indices: Sequence[int],
    settings: TrainingSettings,
    steps: int,
    on_progress: OnProgress | None,
    on_trained: OnTrained | None,
) -> list[nn.Module]:
    """Call train(index, on_step) for each member, several at once; report the steps done by all.

    On a CPU each has one core, and as many are trained at once as torch was given threads
    (OMP_NUM_THREADS, where workers share a machine). A small network's convolutions gain next to
    nothing from a second core, and sums over several threads would make what a member learns
    depend on how many there were. A GPU is given one member at a time.
    """
    device = torch_device(settings.device)
    done = dict.fromkeys(indices, 0)  # each entry written by one thread alone
    total = len(done) * steps
    stopped = threading.Event()

    def run(index: int) -> nn.Module:
        def on_step(step: int) -> None:
            if stopped.is_set():
                raise CancelledError
            done[index] = step

        with told_when_too_small(device, settings):
            return train(index, on_step)

    told: set[Future[nn.Module]] = set()

    def tell(ended: set[Future[nn.Module]], reached: int) -> None:
        for index, future in zip(indices, training, strict=True):
            if on_trained and future in ended - told and not future.exception():
                told.add(future)
                on_trained(index, future.result())
        if on_progress:
            on_progress(reached, total)

    at_once = min(len(done), torch.get_num_threads()) if device.type == "cpu" else 1
    # Threads that begin later take over the number of threads set here.
    with one_thread(device), ThreadPoolExecutor(max(1, at_once)) as pool:
        training = [pool.submit(run, index) for index in indices]
        try:
            ended: set[Future[nn.Module]] = set()
            others = set(training)
            while others and not any(future.exception() for future in ended):
                # Counted before: a member whose steps are reported has been handed over.
                reached = sum(done.values())
                ended, others = wait(training, _PROGRESS_S, return_when=FIRST_EXCEPTION)
                # Told by the caller's own thread: what it tells may belong to that thread.
                tell(ended, reached)
            tell(ended, sum(done.values()))
            for future in ended:
                future.result()  # raises what a member raised
            return [future.result() for future in training]
        finally:
            stopped.set()  # a member that failed, or a caller that gave up, ends the others too
            pool.shutdown(wait=False, cancel_futures=True)
