"""What a committee says of slices: drafts, uncertainty, descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .dropout import dropout_layers, reseed
from .geometry import Grey, Image, Placement, fit, restore, to_input, with_channels
from .members import Ask, member_state, members_from_states, side_by_side
from .memory import BatchSize
from .networks import predict
from .training import TrainingSettings, torch_device
from .uncertainty import Votes

_BATCH = 16
_CPU_BATCH = 8  # of 16 each slice takes half as long again: they are more than the caches hold


@dataclass(frozen=True)
class Score:
    """What the committee says of one slice of (H, W); figures are means over its own pixels."""

    uncertainty: float  # variance over members, mean over classes
    entropy: float  # of the members' mean, in nats; NaN if not asked for
    bald: float  # mutual information of label and member, in nats; NaN if not asked for
    mc_dropout: float  # variance over dropout passes of the first member; NaN if not asked for
    descriptor: npt.NDArray[np.float32]  # (D,)
    shares: npt.NDArray[np.float64]  # (C,) of each class in the draft, background first
    draft: Grey  # (H, W): the class of the highest mean probability


class Committee:
    """Trained members; class 0 is background, class n the n-th name."""

    def __init__(
        self,
        members: Sequence[nn.Module],
        class_names: Sequence[str],
        settings: TrainingSettings,
        in_channels: int = 1,
    ) -> None:
        """`in_channels` is 1 for grey slices, 3 for RGB.

        Raises ValueError if the settings ask for dropout passes and a member has no dropout.
        """
        self.class_names = tuple(class_names)
        self.settings = settings
        self.in_channels = in_channels
        self._device = torch_device(settings.device)
        self.members = [member.to(self._device).eval() for member in members]
        if settings.passes and not dropout_layers(self.members[0]):
            raise ValueError("dropout passes need a network with dropout: set dropout above 0")

    @torch.inference_mode()
    def score(
        self, images: Iterable[Image], batch_size: int = 0, *, entropies: bool = True
    ) -> Iterator[Score]:
        """Score slices, each (H, W) or (H, W, 3) uint8, one after another.

        Memory does not grow with them; if a device's runs out, fewer than `batch_size` (0: what
        suits the device) are scored at once. Padding counts nowhere. Without `entropies`, which
        take longer than the rest beside the passes, a score has neither entropy nor bald. The
        descriptor is the first member's, for members' features have no common axes to average
        over. Raises TooLittleMemory if a single slice does not fit.
        """
        batch_size = batch_size or (_CPU_BATCH if self._device.type == "cpu" else _BATCH)
        fitting = BatchSize(batch_size, self._device, self.settings)
        dropping = self._dropping()
        with side_by_side(self.members, self._device) as ask:
            yield from fitting.each(
                images, lambda batch: self._scored(batch, ask, dropping, entropies)
            )

    def _scored(
        self, images: Sequence[Image], ask: Ask, dropping: nn.Module | None, entropies: bool
    ) -> list[Score]:
        """The scores of one batch."""
        fitted = [
            fit(with_channels(image, self.in_channels), self.settings.side_px) for image in images
        ]
        squares = torch.from_numpy(np.stack([square for square, _ in fitted]))
        x = to_input(squares.to(self._device))
        places = [where for _, where in fitted]
        votes = Votes(entropies)
        for index, (probability, features) in enumerate(ask(x)):
            votes.add(probability)
            if index == 0:
                descriptors = features.cpu().numpy().astype(np.float32)
        planes = [votes.variance().mean(dim=1)]
        if entropies:
            planes += [votes.entropy(), votes.mutual_information()]
        figures = _own_means(planes, places)
        by_dropout = self._dropout_variance(dropping, x, places)
        mean = votes.mean()
        scores = []
        for index, where in enumerate(places):
            draft = _draft(mean[index], where)
            counts = np.bincount(draft.ravel(), minlength=len(self.class_names) + 1)
            scores.append(
                Score(
                    uncertainty=float(figures[0, index]),
                    entropy=float(figures[1, index]) if entropies else np.nan,
                    bald=float(figures[2, index]) if entropies else np.nan,
                    mc_dropout=float(by_dropout[index]),
                    descriptor=descriptors[index],
                    shares=counts / draft.size,
                    draft=draft,
                )
            )
        return scores

    def _dropping(self) -> nn.Module | None:
        """A copy of the first member of which the dropout layers alone are in train mode.

        Every slice sees the same masks, whatever batch it comes in. A copy: others may be scoring
        with the committee at the same time.
        """
        if not self.settings.passes:
            return None
        network = deepcopy(self.members[0])
        for layer in dropout_layers(network):
            layer.train()
            layer.shared = True
        return network

    def _dropout_variance(
        self, dropping: nn.Module | None, x: Tensor, places: Sequence[Placement]
    ) -> npt.NDArray[np.float64]:
        """Mean pixel variance over dropout passes, (N,); NaN without any."""
        if dropping is None:
            return np.full(len(x), np.nan)
        votes = Votes(entropies=False)
        for number in range(self.settings.passes):
            reseed(dropping, self.settings.passes * self.settings.seed + number)
            votes.add(predict(dropping, x)[0])
        (figures,) = _own_means([votes.variance().mean(dim=1)], places)
        return cast(npt.NDArray[np.float64], figures)

    def state(self) -> list[dict[str, Tensor]]:
        """Each member's tensors by name, on the CPU and contiguous, fit for safetensors."""
        return [member_state(member) for member in self.members]

    @classmethod
    def from_state(
        cls,
        states: Sequence[Mapping[str, Tensor]],
        class_names: Sequence[str],
        settings: TrainingSettings,
        in_channels: int | None = None,
    ) -> Committee:
        """The committee that state() was taken from, grey or RGB.

        Raises ValueError if the tensors do not fit the settings' network.
        """
        members, in_channels = members_from_states(states, class_names, settings, in_channels)
        return cls(members, class_names, settings, in_channels)


def _own_means(planes: Sequence[Tensor], places: Sequence[Placement]) -> npt.NDArray[np.float64]:
    """Means of F planes (N, S, S) over each slice's own pixels, (F, N): one transfer a batch."""
    stacked = torch.stack(list(planes))
    means = [
        stacked[:, index, : where.rows, : where.columns].mean(dim=(1, 2))
        for index, where in enumerate(places)
    ]
    return cast(npt.NDArray[np.float64], torch.stack(means, dim=1).double().cpu().numpy())


def _draft(mean: Tensor, where: Placement) -> Grey:
    """The draft of one slice from mean probabilities (C, S, S), at the slice's own size."""
    # A class at a time: all planes of a large slice of many classes would take gigabytes.
    draft: Grey = _highest(restore(plane[None], where)[0] for plane in mean).cpu().numpy()
    return draft


def _highest(planes: Iterable[Tensor]) -> Tensor:
    """argmax over C planes (H, W) as uint8, the first of equals; torch's is far slower."""
    each = iter(planes)
    best = next(each)
    found = torch.zeros_like(best, dtype=torch.uint8)
    for index, plane in enumerate(each, start=1):
        found.masked_fill_(plane > best, index)
        best = torch.maximum(best, plane)
    return found
