"""The panels of the page: what rounds and looks have kept, and what Redis says at this moment."""

from __future__ import annotations

from .now import is_away
from .overview import overview
from .project import Project
from .shown import PANELS, Shown, as_json

__all__ = ["PANELS", "Project", "Shown", "as_json", "is_away", "overview"]
