"""Every call that Quorum makes to Label Studio; nothing else talks to it.

Paths and behaviour as seen with Label Studio 1.23.2; tests/live/test_label_studio.py holds each
fact that this package leans on against a real one.
"""

from __future__ import annotations

from ..settings import Settings
from .connecting import Connecting
from .drafts import Drafts, StoredPrediction
from .listing import Task
from .predictions import Pushed
from .reading import Annotation
from .rewriting import Rewriting
from .transport import LabelStudioDown, LabelStudioError
from .writing import SAMPLING, Writing

__all__ = [
    "SAMPLING",
    "Annotation",
    "LabelStudio",
    "LabelStudioDown",
    "LabelStudioError",
    "Pushed",
    "StoredPrediction",
    "Task",
]


class LabelStudio(Writing, Rewriting, Connecting, Drafts):
    """A connection to one Label Studio as one user."""

    @classmethod
    def of(cls, settings: Settings) -> LabelStudio:
        """The one that the settings name. Raises LabelStudioError without a token."""
        return cls(
            settings.label_studio_url,
            settings.label_studio_api_key,
            settings.request_timeout_s,
            settings.patience_s,
            settings.image_hosts,
            settings.label_studio_public_url,
            settings.ca_file,
        )

    def __enter__(self) -> LabelStudio:
        return self
