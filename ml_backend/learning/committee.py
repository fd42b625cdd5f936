"""The committee: members trained on bootstrap resamples, and what they say of a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .baselines import build_network
from .geometry import Placement, fit, fit_labels, restore
from .training import TrainingSettings, bootstrap, torch_device, train_member

Grey = npt.NDArray[np.uint8]

_PROGRESS_S = 0.5


@dataclass(frozen=True)
class Score:
    """What the committee says of one slice of (H, W)."""

    uncertainty: float  # mean over pixels and classes of the members' variance
    descriptor: npt.NDArray[np.float32]  # (D,)
    draft: Grey  # (H, W): the class of the highest mean probability


class Committee:
    """Trained members; class 0 is background, class n the n-th name."""

    def __init__(
        self, members: Sequence[nn.Module], class_names: Sequence[str], settings: TrainingSettings
    ) -> None:
        self.class_names = tuple(class_names)
        self.settings = settings
        self._device = torch_device(settings.device)
        self._members = [member.to(self._device).eval() for member in members]

    @torch.inference_mode()
    def score(self, images: Iterable[Grey], batch_size: int = 16) -> Iterator[Score]:
        """Score slices, each (H, W) uint8, one after another; memory does not grow with them.

        The uncertainty is the population variance of the members' probabilities, averaged over
        classes and over the slice's own pixels: padding does not count. The descriptor is the
        first member's, for members' features have no common axes to average over.
        """
        source = iter(images)
        while batch := list(islice(source, batch_size)):
            fitted = [fit(image, self.settings.side_px) for image in batch]
            x = torch.from_numpy(np.stack([square for square, _ in fitted])).to(self._device)
            mean, variance, descriptors = self._vote(x.float()[:, None] / 255.0)
            for index, (_, where) in enumerate(fitted):
                own = variance[index, :, : where.rows, : where.columns]
                yield Score(
                    float(own.mean()),
                    descriptors[index].cpu().numpy().astype(np.float32),
                    _draft(mean[index], where),
                )

    def _vote(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance of the members' probabilities, (N, C, S, S) each; descriptors (N, D).

        Kept as running sums: all members' probabilities at once would take M times the memory.
        """
        count = len(self._members)
        total = square = descriptor = torch.zeros(0)
        for index, member in enumerate(self._members):
            with torch.autocast(
                self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"
            ):
                logits, features = member(x)
            probability = logits.float().softmax(dim=1)  # (N, C, S, S)
            if index == 0:
                # Variance about the first member: differences of large equal numbers cancel badly.
                reference, descriptor = probability, features.float()
                total, square = torch.zeros_like(probability), torch.zeros_like(probability)
            else:
                difference = probability - reference
                total += difference
                square += difference**2
        mean_difference = total / count
        variance = (square / count - mean_difference**2).clamp(min=0)
        return reference + mean_difference, variance, descriptor

    def state(self) -> list[dict[str, Tensor]]:
        """Each member's tensors by name, on the CPU and contiguous, fit for safetensors."""
        return [
            {
                name: value.detach().cpu().contiguous().clone()
                for name, value in m.state_dict().items()
            }
            for m in self._members
        ]

    @classmethod
    def from_state(
        cls,
        states: Sequence[Mapping[str, Tensor]],
        class_names: Sequence[str],
        settings: TrainingSettings,
    ) -> Committee:
        """The committee that state() was taken from.

        Raises ValueError if the tensors do not fit the settings' network.
        """
        members = []
        for state in states:
            member = build_network(
                settings.network, 1, len(class_names) + 1, settings.width, settings.scales
            )
            try:
                member.load_state_dict(dict(state))
            except RuntimeError:
                raise ValueError("the weights do not fit the network of these settings") from None
            members.append(member)
        return cls(members, class_names, settings)


def train_committee(
    images: Sequence[Grey],
    label_maps: Sequence[Grey],
    class_names: Sequence[str],
    settings: TrainingSettings,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Committee:
    """Train `settings.members` networks, each on a bootstrap resample of the slices.

    Slices and label maps are (H, W) uint8 of any size each. Raises ValueError if there are none or
    their numbers differ.
    """
    if not images or len(images) != len(label_maps):
        raise ValueError(
            f"{len(images)} slices and {len(label_maps)} label maps: need as many of both"
        )
    squares = np.stack([fit(image, settings.side_px)[0] for image in images])
    labels = np.stack([fit_labels(label_map, settings.side_px) for label_map in label_maps])
    done = [0] * settings.members  # steps, each entry written by one thread alone

    def train(index: int) -> nn.Module:
        member_seed = 1000 * seed + index
        sample = bootstrap(len(squares), np.random.default_rng(member_seed))

        def on_step(step: int) -> None:
            done[index] = step

        classes = len(class_names) + 1
        return train_member(
            squares[sample], labels[sample], classes, settings, member_seed, on_step
        )

    with _shared_cores(settings) as workers, ThreadPoolExecutor(workers) as pool:
        training = [pool.submit(train, index) for index in range(settings.members)]
        pending = True
        while pending:
            pending = bool(wait(training, timeout=_PROGRESS_S).not_done)
            # Told by the caller's own thread: what it tells may belong to that thread.
            if on_progress:
                on_progress(sum(done), settings.members * settings.steps)
        members = [future.result() for future in training]
    return Committee(members, class_names, settings)


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


def _draft(mean: Tensor, where: Placement) -> Grey:
    """The draft of one slice from mean probabilities (C, S, S), at the slice's own size."""
    draft: Grey = restore(mean, where).argmax(dim=0).to(torch.uint8).cpu().numpy()
    return draft
