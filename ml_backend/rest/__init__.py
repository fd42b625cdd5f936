"""Annotate the rest: the committee's masks for every slice that nobody has labelled.

As predictions, every remaining slice gets a full draft, and the order stays as it is. As
annotations, the slices are done: made by the token's user, marked as the committee's, and listed
for review, the least certain first. Both can be interrupted, gone on with and taken back; what a
person has changed stays.
"""

from __future__ import annotations

from ..auto_annotations import MADE, auto_tasks, is_unseen, untouched
from .annotate import annotate_rest
from .chunks import RestError
from .report import REST
from .tabs import show_review
from .undo import undo_rest

__all__ = [
    "MADE",
    "REST",
    "RestError",
    "annotate_rest",
    "auto_tasks",
    "is_unseen",
    "show_review",
    "undo_rest",
    "untouched",
]
