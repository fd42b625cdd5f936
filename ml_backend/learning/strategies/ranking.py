"""Strategies that rank each slice by itself: at random, or by a score."""

from __future__ import annotations

import numpy as np

from .registry import Candidates, Floats, Indices, require_finite, strategy

# "Random 66 % FG" of nnActive (Lüth et al., 2025): two picks of three hold foreground.
_FOREGROUND_PERIOD = 3


def most_uncertain(uncertainty: Floats, count: int) -> Indices:
    """Indices of the `count` highest of (N,), falling; of equals the lower index first."""
    return np.argsort(-uncertainty, kind="stable")[:count].astype(np.int64)


def generator_of(candidates: Candidates) -> np.random.Generator:
    """The random numbers of one selection; with N in the seed each round of a run has its own."""
    return np.random.default_rng([candidates.seed, len(candidates.uncertainty)])


@strategy("random", "k slices at random")
def random(candidates: Candidates, K: int, k: int) -> Indices:
    """k of N at random; scores and K play no part."""
    return generator_of(candidates).permutation(len(candidates.uncertainty))[:k]


@strategy(
    "random-foreground",
    "two of three random slices hold foreground, spread over its share; "
    "LABEL LEAK: it reads the true masks, so only a simulation can run it",
    simulation_only=True,
)
def random_foreground(candidates: Candidates, K: int, k: int) -> Indices:
    """Two slices with foreground, then one of any kind, and so on; each at random.

    Those with foreground come from strata of equal numbers by its true share, one from each, so
    that small and large lesions are both among them. If one kind runs out the other fills up.
    Raises ValueError without the true shares: in use nobody knows them before the label.
    """
    if candidates.foreground is None:
        raise ValueError(
            "random-foreground needs each slice's true foreground share, which only a simulation "
            "on labelled data knows: choose another strategy"
        )
    require_finite("foreground", candidates.foreground)
    generator = generator_of(candidates)
    holds = np.flatnonzero(candidates.foreground > 0)
    wanted = min(len(holds), k - k // _FOREGROUND_PERIOD)
    by_share = holds[np.argsort(candidates.foreground[holds], kind="stable")]
    drawn = [generator.choice(part) for part in np.array_split(by_share, max(1, wanted)) if wanted]
    with_foreground = generator.permutation(np.array(drawn, dtype=np.int64)).tolist()
    rest = generator.permutation(
        np.setdiff1d(np.arange(len(candidates.uncertainty)), drawn)
    ).tolist()
    chosen: list[int] = []
    for turn in range(1, k + 1):
        of_any_kind = turn % _FOREGROUND_PERIOD == 0 or not with_foreground
        chosen.append((rest if of_any_kind and rest else with_foreground).pop(0))
    return np.array(chosen, dtype=np.int64)


@strategy("uncertainty", "the k of the highest variance over the committee")
def uncertainty_only(candidates: Candidates, K: int, k: int) -> Indices:
    """The k most uncertain, whatever their likeness; K plays no part."""
    return most_uncertain(candidates.uncertainty, k)


@strategy("entropy", "the k of the highest entropy of the committee's mean")
def entropy(candidates: Candidates, K: int, k: int) -> Indices:
    """The k of the highest entropy; K plays no part. Raises ValueError if any is not finite."""
    require_finite("entropy", candidates.entropy)
    return most_uncertain(candidates.entropy, k)


@strategy("bald", "the k of the highest mutual information (BALD)")
def bald(candidates: Candidates, K: int, k: int) -> Indices:
    """The k of the highest mutual information (Gal et al., ICML 2017); K plays no part.

    Raises ValueError if any is not finite.
    """
    require_finite("bald", candidates.bald)
    return most_uncertain(candidates.bald, k)


@strategy(
    "mc-dropout",
    "the k of the highest variance over 8 dropout passes of one network",
    training={"dropout": 0.2, "passes": 8},
)
def mc_dropout(candidates: Candidates, K: int, k: int) -> Indices:
    """The k of the highest variance over dropout passes (Gal and Ghahramani, ICML 2016).

    K plays no part. Raises ValueError if the passes were not made.
    """
    remedy = "; score with a committee trained with dropout > 0 and passes > 1"
    require_finite("mc_dropout", candidates.mc_dropout, remedy)
    return most_uncertain(candidates.mc_dropout, k)


@strategy("power", "the k of the highest log uncertainty plus Gumbel noise (power sampling)")
def power(candidates: Candidates, K: int, k: int) -> Indices:
    """power_noised() of the uncertainty; K plays no part."""
    return power_noised(candidates.uncertainty, k, generator_of(candidates))


def power_noised(
    scores: Floats, k: int, generator: np.random.Generator, beta: float = 1.0
) -> Indices:
    """k of (N,) drawn without replacement, each with a probability proportional to score^beta.

    Done as log score + Gumbel noise / beta, the k highest (Kirsch et al., Stochastic Batch
    Acquisition, TMLR 2023, table 1): noise keeps a batch from being k copies of one slice.
    A score of 0 or below comes last, at random. Raises ValueError if beta is not above 0.
    """
    if beta <= 0:
        raise ValueError(f"beta must be above 0: it is {beta}")
    log = np.log(np.maximum(scores.astype(np.float64), np.finfo(np.float64).tiny))
    return most_uncertain(log + generator.gumbel(size=len(scores)) / beta, k)
