"""Two-stage selection whose first stage narrows as the pool is labelled."""

from __future__ import annotations

from .depth_strata import of_kept_by_depth
from .ranking import most_uncertain
from .registry import Candidates, Indices, strategy

# Of the pool, with a label: what is uncertain alone decides from there on.
_NARROWEST_AT = 0.5


def narrowed(K: int, k: int, labelled_share: float) -> int:
    """How many the first stage keeps: K while nothing has a label, k when half of the pool has one.

    With few labels a committee's uncertainty tells little and slices that are usual and spread
    teach most; with many the reverse holds (Hacohen et al., ICML 2022, "Active Learning on a
    Budget: Opposite Strategies Suit High and Low Budgets"). Linear in between.
    """
    return k + round((K - k) * max(0.0, 1 - labelled_share / _NARROWEST_AT))


def _first_stage(candidates: Candidates, K: int, k: int) -> Indices:
    return most_uncertain(candidates.uncertainty, narrowed(K, k, candidates.labelled_share))


@strategy(
    "two-stage-narrowing",
    "two-stage-depth, its first stage narrowing from K to k until half of the pool has a label",
    looks_at="candidates",
    first_stage=_first_stage,
)
def two_stage_narrowing_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_depth() of narrowed() candidates."""
    return of_kept_by_depth(candidates, _first_stage(candidates, K, k), k)
