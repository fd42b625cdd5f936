"""What a person is shown of an object: frames as they came, and as a release leaves them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom.functional_groups import attribute

from .burned_in import Box, blacken, hidden_views, read_frame
from .decode import frames
from .judging import verdict_for_person
from .quarantine import Seen
from .recipe import Recipe
from .render import Rendered, render

# Frames spread over an object that a person is shown.
_SPREAD = 6
# And of those that were read because a release met with text elsewhere, so many more.
_TELLING = 18


@dataclass(frozen=True)
class Shown:
    """Pictures for the contact sheet, before and after, and what the person learns from them."""

    pictures: list[tuple[Rendered, Rendered]]
    seen: Seen


def look(dataset: Dataset, recipe: Recipe, wanted: Collection[int], *, throughout: bool) -> Shown:
    """Pictures of frames that would leave, in every window, what is found on any black on all.

    They are spread over the object, with those `wanted` among them. `throughout` has every frame
    read, as the release does, and shows those where text comes up that was on none before, or that
    is left. Raises DecodeError.
    """
    leaving = leaving_frames(dataset, recipe)
    shown = {*leaving[:: max(1, -(-len(leaving) // _SPREAD))], *wanted}
    verdict = verdict_for_person(dataset)
    before: list[Rendered] = []
    found: tuple[Box, ...] = ()
    black: dict[Box, None] = {}
    frames_shown: list[int] = []
    telling = 0  # frames that are not in `shown`, and should be
    for frame, pixels in enumerate(frames(dataset, recipe.limits)):
        if frame not in shown and not (throughout and frame in leaving):
            continue
        pictures = [render(pixels, dataset, frame, window) for window in recipe.windows]
        if recipe.copies is not None:  # a person must see what the copy would tell
            pictures += hidden_views(pixels, pictures[0])
        read = read_frame(pictures, (), dataset, verdict, found, sample=True)
        tells = bool(set(read.found) - set(found)) or read.doubt == "text-remains"
        found = read.found
        black.update(dict.fromkeys(read.boxes))
        telling += tells and frame not in shown
        if frame in shown or (tells and telling <= _TELLING):
            before += pictures
            frames_shown.append(frame)
    return Shown(
        [(picture, blacken(picture, tuple(black))) for picture in before],
        Seen(found, None if throughout else frozenset(frames_shown), max(0, telling - _TELLING)),
    )


def leaving_frames(dataset: Dataset, recipe: Recipe) -> range:
    """The frames that a release lets go: the tasks' alone, or all into a copy."""
    count = int(attribute(dataset, "NumberOfFrames") or 1)
    return range(0, count, recipe.frame_step if recipe.copies is None else 1)
