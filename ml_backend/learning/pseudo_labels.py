"""What a committee agrees on in slices without a label, as labels to train on (self-training)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .geometry import IGNORE, Image, fit, to_input, with_channels
from .members import side_by_side
from .memory import BatchSize
from .sample import evenly
from .training import TrainingSettings, torch_device
from .training_set import Squares

LEAST_AGREEMENT = 0.5  # of a slice's possible foreground
MOST_SLICES = 512  # looked at: many times what a second stage draws


@torch.inference_mode()
def pseudo_labels(
    members: Sequence[nn.Module],
    images: Sequence[Image],
    in_channels: int,
    settings: TrainingSettings,
    batch_size: int = 16,
) -> tuple[Squares, Squares]:
    """Slices (P, S, S[, 3]) and label maps (P, S, S) of those the members agree on; P may be 0.

    A pixel without confident agreement is IGNORE, as padding is. Of a long sequence of images
    MOST_SLICES are looked at, evenly spread. Members are on the settings' device. Raises
    TooLittleMemory if a single slice does not fit into its memory.
    """
    kept: list[Squares] = []
    maps: list[Squares] = []
    device = torch_device(settings.device)
    fitting = BatchSize(batch_size, device, settings)
    with side_by_side(members, device) as ask:

        def label(batch: Sequence[Image]) -> list[tuple[Squares, Squares]]:
            fitted = [fit(with_channels(i, in_channels), settings.side_px) for i in batch]
            squares = np.stack([square for square, _ in fitted])
            x = to_input(torch.from_numpy(squares).to(device))
            probabilities = torch.stack([probability for probability, _ in ask(x)])
            own = torch.zeros(squares.shape[:3], dtype=torch.bool)
            for number, (_, where) in enumerate(fitted):
                own[number, : where.rows, : where.columns] = True
            found = agreed(probabilities, settings.confidence, own.to(device)).cpu().numpy()
            return list(zip(squares, found, strict=True))

        for square, label_map in fitting.each(evenly(images, MOST_SLICES), label):
            if (label_map != IGNORE).any():
                kept.append(square)
                maps.append(label_map)
    if not kept:
        shape = (0, settings.side_px, settings.side_px)
        colours = (3,) if in_channels == 3 else ()
        return np.zeros((*shape, *colours), np.uint8), np.zeros(shape, np.uint8)
    return np.stack(kept), np.stack(maps)


def agreed(
    probabilities: Tensor,
    confidence: float,
    own: Tensor | None = None,
    least: float = LEAST_AGREEMENT,
) -> Tensor:
    """Label maps (N, S, S) uint8 of members' probabilities (M, N, C, S, S), IGNORE where unsure.

    own: the slices' pixels (N, S, S), all unless it is given; padding is IGNORE and counts nowhere,
    for no training says what members may take it for. A pixel is sure if all members give it the
    same class and its mean probability reaches `confidence`. A slice is wholly IGNORE if fewer than
    `least` of the pixels that any member takes for foreground are sure; in one that none does,
    every pixel counts.
    """
    mean, best = probabilities.mean(dim=0).max(dim=1)  # (N, S, S) each
    votes = probabilities.argmax(dim=2)  # (M, N, S, S)
    own = torch.ones_like(best, dtype=torch.bool) if own is None else own
    sure = (votes == best).all(dim=0) & (mean >= confidence) & own
    possible = (votes > 0).any(dim=0) & own
    empty = ~possible.flatten(1).any(dim=1)
    counted = (possible | empty[:, None, None]) & own
    share = (sure & counted).flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1)
    usable = sure & (share >= least)[:, None, None]
    return best.where(usable, torch.full_like(best, IGNORE)).to(torch.uint8)
