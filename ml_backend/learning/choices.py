"""What settings of a training may be named; without torch, so that a start is quick."""

from __future__ import annotations

from types import MappingProxyType

# Those that come along; baselines.NETWORKS builds them. Besides: monai:NAME, package.module:Class.
NETWORKS = ("fcn", "unet", "cumednet")

# By the field of TrainingSettings, in the order in which they are told; the default is one of them.
CHOICES = MappingProxyType(
    {
        "start": ("scratch", "encoder"),
        "bootstrap_over": ("slices", "patients", "none"),
        "augmentation": ("repeats", "all", "none"),
    }
)


def in_words(choices: tuple[str, ...]) -> str:
    """ "a, b or c"."""
    *first, last = choices
    return f"{', '.join(first)} or {last}"
