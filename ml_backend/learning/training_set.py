"""What members are trained on, brought to the network's size: the data copy of a round."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import IGNORE, Grey, Image, channels_of, fit, fit_labels, with_channels
from .training_settings import TrainingSettings

Squares = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labelled slices as squares; the same arrays give the same members in any process."""

    squares: Squares  # (N, S, S) grey or (N, S, S, 3) RGB
    label_maps: Squares  # (N, S, S); 0 is background, n the n-th class, IGNORE no label
    groups: tuple[str, ...] | None  # each slice's patient, for a bootstrap over patients
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError if the arrays do not belong together."""
        shape = self.squares.shape
        colours = shape[3:] in ((), (3,))
        square = len(shape) in (3, 4) and colours and shape[0] > 0 and shape[1] == shape[2]
        if not square or shape[:3] != self.label_maps.shape:
            raise ValueError(
                "slices must be (N, S, S) or (N, S, S, 3) and label maps (N, S, S), N >= 1: "
                f"they are {shape} and {self.label_maps.shape}"
            )
        if self.squares.dtype != np.uint8 or self.label_maps.dtype != np.uint8:
            raise ValueError(
                "slices and label maps must be uint8: "
                f"they are {self.squares.dtype} and {self.label_maps.dtype}"
            )
        if self.groups is not None and len(self.groups) != shape[0]:
            raise ValueError(f"{shape[0]} slices need as many groups: there are {len(self.groups)}")
        # A GPU answers a class that is not there by ending the process.
        found = self.label_maps[self.label_maps != IGNORE].max(initial=0)
        if found >= self.classes:
            raise ValueError(
                f"a label map holds class {found}, but there are {self.classes} "
                "with the background: does it belong to another label config?"
            )

    @classmethod
    def of(
        cls,
        images: Sequence[Image],
        label_maps: Sequence[Grey],
        class_names: Sequence[str],
        settings: TrainingSettings,
        groups: Sequence[str] | None = None,
    ) -> TrainingSet:
        """Fit slices, (H, W) or (H, W, 3) uint8 of any size each, and label maps (H, W) uint8.

        `groups` names each slice's patient. Raises ValueError if there are no slices, the numbers
        differ, or the settings ask for a bootstrap over patients and there are no groups.
        """
        if not len(images) or len(images) != len(label_maps):
            raise ValueError(
                f"{len(images)} slices and {len(label_maps)} label maps: need as many of both"
            )
        if settings.bootstrap_over == "patients" and groups is None:
            raise ValueError(_NO_GROUPS)
        channels = channels_of(images)
        return cls(
            np.stack([fit(with_channels(i, channels), settings.side_px)[0] for i in images]),
            np.stack([fit_labels(label_map, settings.side_px) for label_map in label_maps]),
            None if groups is None else tuple(groups),
            tuple(class_names),
        )

    @property
    def in_channels(self) -> int:
        """1 for grey slices, 3 for RGB."""
        return 3 if self.squares.ndim == 4 else 1

    @property
    def classes(self) -> int:
        """Classes with the background."""
        return len(self.class_names) + 1

    def resample(self, settings: TrainingSettings, seed: int) -> tuple[Squares, Squares]:
        """Slices and label maps that the member of a seed learns from.

        All of them, once each, where nothing is resampled: members then differ by their weights,
        batches and augmentation alone (Lakshminarayanan et al., NeurIPS 2017, section 2.4, whose
        ensembles were the better for it). Else its bootstrap resample, as in the seed paper. Raises
        ValueError if the settings ask for one over patients and there are no groups.
        """
        if settings.bootstrap_over == "none":
            return self.squares, self.label_maps
        by_patient = settings.bootstrap_over == "patients"
        if by_patient and self.groups is None:
            raise ValueError(_NO_GROUPS)
        groups = self.groups if by_patient else None
        drawn = bootstrap(len(self.squares), np.random.default_rng(seed), groups)
        return self.squares[drawn], self.label_maps[drawn]

    def arrays(self) -> dict[str, npt.NDArray[np.uint8]]:
        """The set without its class names as uint8 arrays, fit for safetensors."""
        arrays = {"squares": self.squares, "label_maps": self.label_maps}
        if self.groups is not None:
            arrays["groups"] = np.frombuffer(json.dumps(self.groups).encode(), dtype=np.uint8)
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], class_names: Sequence[str]
    ) -> TrainingSet:
        """The set that arrays() was taken from. Raises ValueError if they are no such arrays."""
        lacking = sorted({"squares", "label_maps"} - set(arrays))
        if lacking:
            raise ValueError(f"the arrays are no training set: there is no {lacking[0]}")
        groups = arrays.get("groups")
        return cls(
            arrays["squares"],
            arrays["label_maps"],
            None if groups is None else tuple(json.loads(groups.tobytes())),
            tuple(class_names),
        )


_NO_GROUPS = "a bootstrap over patients needs each slice's patient: give groups"


def bootstrap(
    count: int, generator: np.random.Generator, groups: Sequence[str] | None = None
) -> npt.NDArray[np.int64]:
    """Indices of a resample with replacement.

    As many slices as there are, (count,); or, with the group (patient) of each slice, as many
    groups as there are, each with all its slices. A single group cannot be resampled: its slices
    are. Raises ValueError if groups and slices differ in number.
    """
    if groups is not None and len(groups) != count:
        raise ValueError(f"{count} slices need as many groups: there are {len(groups)}")
    names = sorted(set(groups or ()))
    if groups is None or len(names) < 2:
        return generator.integers(0, count, size=count)
    of = np.asarray(groups)
    drawn = generator.integers(0, len(names), size=len(names))
    return np.concatenate([np.flatnonzero(of == names[index]) for index in drawn])
