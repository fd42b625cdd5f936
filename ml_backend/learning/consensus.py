"""Several annotators' label maps of one slice made into one, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from .metrics import Counts, cohen_kappa, confusion, dice, foreground_mean

LabelMaps = npt.NDArray[np.uint8]

_ITERATIONS = 100  # of STAPLE's EM; a few dozen are usual
_PRIOR_UPDATES = 10  # most; two to six are usual
_LEAST_PRIOR = 1e-9  # a class that lost its last pixel may come back


def majority(label_maps: LabelMaps) -> npt.NDArray[np.uint8]:
    """The class most annotators gave each pixel: (A, H, W) → (H, W).

    A tie goes to the lowest class among the tied, thus to background where it is one of them: a
    pixel that half of the annotators left out is not in the target.
    Raises ValueError for another shape.
    """
    _check(label_maps)
    best = np.zeros(label_maps.shape[1:], dtype=np.uint8)
    votes = np.zeros(label_maps.shape[1:], dtype=np.int64)
    for value in np.unique(label_maps):
        count = (label_maps == value).sum(axis=0)
        better = count > votes
        best[better], votes[better] = value, count[better]
    return best


def staple(label_maps: LabelMaps) -> npt.NDArray[np.uint8]:
    """The most likely true class of each pixel by STAPLE: (A, H, W) → (H, W).

    Each annotator's confusion matrix and the truth are estimated together by EM (Warfield et al.,
    IEEE TMI 2004; with several classes Rohlfing et al., 2003), so who errs often counts for less;
    the classes' prior shares are estimated with them. A pixel left undecided goes as in
    majority(). One or two annotators give no hint who errs: for them it is majority() too.
    Raises ValueError for another shape, ImportError if SimpleITK is not installed.
    """
    _check(label_maps)
    if len(label_maps) < 3 or (label_maps == label_maps[0]).all():
        return majority(label_maps)
    try:
        import SimpleITK
    except ImportError:
        raise ImportError(
            "STAPLE needs the package SimpleITK: install it (pip install SimpleITK), "
            "or set the consensus to majority"
        ) from None
    plain = majority(label_maps)
    values = np.unique(label_maps)  # ITK keeps a row for every number up to the largest: none idle
    undecided = len(values)
    ranks = np.searchsorted(values, label_maps).astype(np.uint8)
    raters = [SimpleITK.GetImageFromArray(ranked) for ranked in ranks]
    estimate = SimpleITK.MultiLabelSTAPLEImageFilter()
    estimate.SetLabelForUndecidedPixels(undecided)
    estimate.SetMaximumNumberOfIterations(_ITERATIONS)
    truth, prior = plain, np.zeros(undecided)
    for _ in range(_PRIOR_UPDATES):
        rank = SimpleITK.GetArrayFromImage(estimate.Execute(raters))  # (H, W)
        truth = np.where(rank < undecided, values[np.minimum(rank, undecided - 1)], plain)
        # ITK's prior is each class's share in all the annotators drew, errors with it: where they
        # err much it makes rare classes of noise. The share in the result is nearer the truth.
        before, prior = prior, (truth == values[:, None, None]).mean(axis=(1, 2))
        if np.array_equal(before, prior):
            break
        estimate.SetPriorProbabilities(np.maximum(prior, _LEAST_PRIOR).tolist())
    result: npt.NDArray[np.uint8] = truth.astype(np.uint8)
    return result


@dataclass(frozen=True)
class Agreement:
    """How far label maps agree over some slices; NaN where a figure is not defined."""

    dice: float  # mean over the foreground classes that occur
    kappa: float  # Cohen's, over all classes
    slices: int


def agreement(label_maps: LabelMaps, classes: int) -> float:
    """Mean Dice over the foreground between each two of (A, H, W); NaN if there is none."""
    pairs = [
        foreground_mean(dice(confusion(a, b, classes))) for a, b in combinations(label_maps, 2)
    ]
    return float(np.nanmean(pairs)) if pairs and not np.isnan(pairs).all() else float("nan")


def agreements(
    slices: Iterable[Mapping[str, npt.NDArray[np.uint8]]], classes: int
) -> tuple[dict[tuple[str, str], Agreement], dict[str, Agreement]]:
    """Agreement of each pair of annotators, by sorted names, and of each with all the others.

    A slice is its annotators' label maps, (H, W) each, by name. Pixels of all slices that two have
    in common are counted together; an annotator's own figures are those of his pairs together,
    `slices` then the slices that anyone shares with him. Who shares none does not appear.
    Raises ValueError as confusion().
    """
    pairs: dict[tuple[str, str], Counts] = {}
    in_common: dict[tuple[str, str], int] = {}
    shared: dict[str, int] = {}
    for maps in slices:
        for one, other in combinations(sorted(maps), 2):
            counts = confusion(maps[one], maps[other], classes)
            pairs[one, other] = pairs.get((one, other), np.zeros_like(counts)) + counts
            in_common[one, other] = in_common.get((one, other), 0) + 1
        if len(maps) > 1:
            for name in maps:
                shared[name] = shared.get(name, 0) + 1
    each: dict[str, Counts] = {}
    for (one, other), counts in pairs.items():
        # His maps as the rows, whichever place in the pair he has.
        for name, own in ((one, counts), (other, counts.T)):
            each[name] = each.get(name, np.zeros_like(own)) + own
    return (
        {pair: _agreement(counts, in_common[pair]) for pair, counts in pairs.items()},
        {name: _agreement(counts, shared[name]) for name, counts in each.items()},
    )


def _agreement(counts: Counts, slices: int) -> Agreement:
    return Agreement(foreground_mean(dice(counts)), cohen_kappa(counts), slices)


def _check(label_maps: LabelMaps) -> None:
    if label_maps.ndim != 3 or len(label_maps) == 0:
        raise ValueError(f"label maps must be (A, H, W): their shape is {label_maps.shape}")
