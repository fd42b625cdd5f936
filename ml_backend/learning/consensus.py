"""Several annotators' label maps of one slice made into one, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from .metrics import Counts, cohen_kappa, confusion, dice, foreground_mean

LabelMaps = npt.NDArray[np.uint8]

_ITERATIONS = 100  # of STAPLE's EM; a few dozen are usual
_PRIOR_UPDATES = 10  # most; two to six are usual
_TIE = 1e-9  # of all votes: sums of the same weights in another order are no majority
_LEAST_PRIOR = 1e-9  # a class that lost its last pixel may come back


def majority(
    label_maps: LabelMaps, weights: Sequence[float] | None = None
) -> npt.NDArray[np.uint8]:
    """The class most annotators gave each pixel: (A, H, W) → (H, W).

    With weights, one for each annotator, the class whose annotators weigh most; who weighs 0 does
    not count. A tie goes to the lowest class among the tied, thus to background where it is one of
    them: a pixel that half of the annotators left out is not in the target.
    Raises ValueError for another shape, or for weights that are negative or all 0.
    """
    _check(label_maps)
    shares = _shares(weights, len(label_maps))
    if len(label_maps) == 1:  # most slices have one annotator
        only: npt.NDArray[np.uint8] = label_maps[0].astype(np.uint8)
        return only
    best = np.zeros(label_maps.shape[1:], dtype=np.uint8)
    votes = np.zeros(label_maps.shape[1:])
    for value in np.unique(label_maps):
        count = np.tensordot(shares, label_maps == value, axes=1)
        better = count > votes + _TIE
        best[better], votes[better] = value, count[better]
    return best


def _shares(weights: Sequence[float] | None, annotators: int) -> npt.NDArray[np.float64]:
    """Each annotator's share, (A,), in the vote."""
    given = np.ones(annotators) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != (annotators,) or not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError(f"{annotators} annotators need as many weights of 0 or more: {weights}")
    if not given.any():
        raise ValueError("no annotator has a weight above 0")
    shares: npt.NDArray[np.float64] = given / given.sum()
    return shares


@dataclass(frozen=True)
class Estimate:
    """STAPLE's estimate of a slice."""

    label_map: npt.NDArray[np.uint8]  # (H, W)
    sensitivity: npt.NDArray[np.float64]  # (A,) see staple_estimate()


def staple(label_maps: LabelMaps, weights: Sequence[float] | None = None) -> npt.NDArray[np.uint8]:
    """The most likely true class of each pixel by STAPLE: (A, H, W) → (H, W).

    As staple_estimate(), which see.
    """
    return staple_estimate(label_maps, weights).label_map


def staple_estimate(label_maps: LabelMaps, weights: Sequence[float] | None = None) -> Estimate:
    """The most likely true class of each pixel by STAPLE, and what it thinks of each annotator.

    Each annotator's confusion matrix and the truth are estimated together by EM (Warfield et al.,
    IEEE TMI 2004; with several classes Rohlfing et al., 2003), so who errs often counts for less;
    the classes' prior shares are estimated with them. An annotator's sensitivity is the mean over
    the foreground classes of the chance that he draws a class where it is. A pixel left undecided
    goes as in majority(). One or two annotators give no hint who errs: for them it is majority()
    too, and no sensitivity is known (NaN). STAPLE weighs the annotators itself: of the weights it
    minds only who has 0, and leaves him out; where majority() decides, they count in full.
    Raises ValueError as majority(), ImportError if SimpleITK is not installed.
    """
    _check(label_maps)
    counted = _shares(weights, len(label_maps)) > 0
    sensitivity = np.full(len(label_maps), np.nan)
    plain = majority(label_maps, weights)
    drawn = label_maps[counted]
    if len(drawn) < 3 or (drawn == drawn[0]).all():
        return Estimate(plain, sensitivity)
    try:
        import SimpleITK
    except ImportError:
        raise ImportError(
            "STAPLE needs the package SimpleITK: install it (pip install SimpleITK), "
            "or set the consensus to majority"
        ) from None
    values = np.unique(drawn)  # ITK keeps a row for every number up to the largest: none idle
    undecided = len(values)
    ranks = np.searchsorted(values, drawn).astype(np.uint8)
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
    foreground = np.flatnonzero((values > 0) & (prior > 0))  # a class without pixels tells nothing
    if len(foreground):
        # A rater's matrix: rows what he drew, columns the truth; the last row is ITK's own.
        matrices = [
            np.reshape(estimate.GetConfusionMatrix(n), (-1, undecided)) for n in range(len(drawn))
        ]
        hits = [float(matrix[foreground, foreground].mean()) for matrix in matrices]
        sensitivity[counted] = hits
    return Estimate(truth.astype(np.uint8), sensitivity)


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


def disagreement(label_maps: LabelMaps, classes: int) -> float:
    """1 - mean foreground Dice between each two of (A, H, W); NaN for fewer than two.

    Two who both drew nothing agree. Raises ValueError as confusion().
    """
    pairs = [
        foreground_mean(dice(confusion(a, b, classes))) for a, b in combinations(label_maps, 2)
    ]
    return 1 - float(np.mean(np.nan_to_num(pairs, nan=1.0))) if pairs else float("nan")


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
