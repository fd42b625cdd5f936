"""Which slices to label next: pure functions from scores and descriptors to indices.

`STRATEGIES` holds them all by name. Two-stage selection follows Suggestive Annotation (Yang et al.,
MICCAI 2017, section 2.3): the K most uncertain slices first, of those the k most diverse.
A strategy says whose descriptors it reads (`looks_at`, `first_stage`), so that of a large pool no
others need be in memory; whatever reads all of them goes through the pool in blocks.
"""

from .cold_starts import cold_start
from .coverage import two_stage_coverage
from .depth_strata import two_stage_depth
from .narrowing import narrowed
from .ranking import most_uncertain, power_noised
from .registry import STRATEGIES, Candidates, Strategy, descriptor_type
from .spread import k_centre, typical
from .two_stage_rules import two_stage, two_stage_stratified

__all__ = [
    "STRATEGIES",
    "Candidates",
    "Strategy",
    "cold_start",
    "descriptor_type",
    "k_centre",
    "most_uncertain",
    "narrowed",
    "power_noised",
    "two_stage",
    "two_stage_coverage",
    "two_stage_depth",
    "two_stage_stratified",
    "typical",
]
