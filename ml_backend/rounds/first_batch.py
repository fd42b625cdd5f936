"""The first batch, before any label, by where slices lie and what they look like.

Each is held while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..committees import training_settings
from ..gathering import Grey, Problem, read_images, reduced
from ..label_studio import Task
from ..learning.geometry import thumbnails
from ..learning.sample import evenly
from ..learning.self_supervision import describe, train_encoder
from ..learning.strategies import cold_start
from ..masks import BrushConfig
from .context import Context

_THUMBNAIL_PX = 16
# Slices that self- and semi-supervision look at: more cost memory and bring little.
MOST_LOOKED_AT = 2000

Features = npt.NDArray[np.float32]


def choose_first_batch(
    context: Context,
    candidates: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    depths: Mapping[int, float],
) -> tuple[list[int], list[int]]:
    """Ids of the k slices to label first, and of all candidates whose image can be read.

    `depths` are the places in their series by task (relative_depths), NaN where not known.
    Raises LabelStudioError, and TooLittleMemory if an encoder is to be trained and the device holds
    not even a single slice.
    """
    by = _by_encoder if context.settings.cold_start == "encoder" else _by_thumbnail
    readable, features = by(context, candidates, config, problems)
    if not readable:
        return [], []
    places = np.array([depths.get(task_id, np.nan) for task_id in readable])
    chosen = cold_start(features, context.settings.k, context.settings.seed, places)
    return [readable[index] for index in chosen], readable


def _by_thumbnail(
    context: Context, candidates: Sequence[Task], config: BrushConfig, problems: list[Problem]
) -> tuple[list[int], Features]:
    small = dict(_reduced(context, candidates, config, problems, _THUMBNAIL_PX))
    return list(small), thumbnails(list(small.values()), _THUMBNAIL_PX)


def _by_encoder(
    context: Context, candidates: Sequence[Task], config: BrushConfig, problems: list[Problem]
) -> tuple[list[int], Features]:
    settings = training_settings(context.settings)
    context.progress("encode", 0, len(candidates))
    sample = evenly(candidates, MOST_LOOKED_AT)
    learnt_from = {task.id for task in sample}
    others = [task for task in candidates if task.id not in learnt_from]
    squares = dict(_reduced(context, sample, config, problems, settings.side_px))
    if not squares:
        return [], np.zeros((0, 1), np.float32)
    encoder = train_encoder(list(squares.values()), settings)
    readable = list(squares)

    def images() -> Iterator[Grey]:
        for task_id, image in _reduced(context, others, config, problems, settings.side_px):
            readable.append(task_id)
            yield image

    features = describe(encoder, chain(squares.values(), images()))
    return readable, features


def _reduced(
    context: Context,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    side_px: int,
) -> Iterator[tuple[int, Grey]]:
    for task, image in read_images(context.label_studio, tasks, config, problems):
        yield task.id, reduced(image, side_px)
