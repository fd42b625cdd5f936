"""Label Studio's regions to label maps and back.

A label map is (H, W) uint8: 0 is background, n is the n-th label of the project's BrushLabels and
BitmaskLabels for its image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import BoolMask, LabelMap
from .brush import MaskError, decode_bitmask, decode_rle, encode_bitmask, encode_rle
from .config import BrushConfig
from .shapes import ShapeError, inside

_MAX_PIXELS = 8192 * 8192  # of the image that a region says it was drawn on
_KINDS = {
    "brushlabels": "a brush stroke",
    "bitmasklabels": "a bitmask",
    "polygonlabels": "the polygon",
    "rectanglelabels": "the rectangle",
    "ellipselabels": "the ellipse",
    "vectorlabels": "a vector",  # an open or closed line: never a mask, and not to be overlooked
}
# Pixels of a class by their nature: one that is overlooked would say that there is nothing.
_PIXEL_KINDS = ("brushlabels", "bitmasklabels")
_UNREAD_KINDS = ("brush", "bitmask", "labels")  # of a Brush or a Bitmask beside Labels
_PIXELS = frozenset({"rle", "imageDataURL"})


def to_regions(label_map: LabelMap, config: BrushConfig) -> list[dict[str, Any]]:
    """Turn a label map, (H, W) uint8, into regions: one for each class that occurs.

    Each is of the control that its label belongs to: a brush stroke or a bitmask.
    """
    height, width = label_map.shape
    regions = []
    for index, label in enumerate(config.labels, start=1):
        mask = label_map == index
        if mask.any():
            control, value = config.control_of(label), dict[str, Any]()
            if control.kind == "bitmasklabels":
                value["imageDataURL"] = encode_bitmask(mask)
            else:
                value |= {"format": "rle", "rle": encode_rle(mask)}
            regions.append(
                {
                    "id": f"draft-{index}",
                    "type": control.kind,
                    "from_name": control.name,
                    "to_name": config.to_name,
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {**value, control.kind: [label]},
                }
            )
    return regions


def to_label_map(
    regions: Sequence[Mapping[str, Any]] | None, config: BrushConfig, height: int, width: int
) -> LabelMap:
    """Paint an annotation's regions, in their order, to a label map (height, width) uint8.

    Regions of one class are joined; a later region covers an earlier one. Brush strokes, bitmasks,
    polygons, rectangles and ellipses count, hidden and locked ones too; key points, choices, texts
    and relations are no masks, nor is what was drawn on another image, nor a shape with another
    tool's label. A stroke or a bitmask of a label that is no class is refused, not passed over.
    Drawn on a smaller or larger copy of the image, a region is scaled. A rotated view changes
    nothing: the editor keeps coordinates and strokes in the frame of the image as it is stored.
    Raises MaskError, with the region's number, where a region cannot become what was meant.
    """
    label_map = np.zeros((height, width), dtype=np.uint8)
    for number, region in enumerate(regions or (), start=1):
        try:
            if not isinstance(region, Mapping):
                raise MaskError("it is no region: delete it, and draw it again")
            index = _class_of(region, config)
            if index:
                label_map[_painted(region, height, width)] = index
        except MaskError as error:
            raise MaskError(f"region {number}: {error}") from None
    return label_map


def _class_of(region: Mapping[str, Any], config: BrushConfig) -> int:
    """The class that a region paints, 0 if it is no mask of ours."""
    kind, value = str(region.get("type")), region.get("value")
    if region.get("to_name", config.to_name) != config.to_name:
        return 0
    if kind in _UNREAD_KINDS and isinstance(value, Mapping) and value.keys() & _PIXELS:
        raise MaskError(
            "it was drawn with a control that is not read: draw it with a BrushLabels or "
            "BitmaskLabels of the label config"
        )
    if kind not in _KINDS:
        return 0
    if not isinstance(value, Mapping):
        raise MaskError("it has no value: draw it again")
    names = value.get(kind) or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise MaskError("its label is no text: draw it again")
    if not names:
        raise MaskError("it has no label: give it one, or delete it")
    ours = [name for name in dict.fromkeys(names) if name in config.labels]
    tool = region.get("from_name", config.from_name)
    own = tool == config.from_name or any(tool == control.name for control in config.controls)
    for name in names:
        passed_over = name in config.other_labels and not own and kind not in _PIXEL_KINDS
        if name not in config.labels and not passed_over:
            raise MaskError(
                f"the label config has no label '{name[:60]}' to draw with any more: add it to a "
                "BrushLabels, or label the region anew"
            )
    if len(ours) > 1:
        raise MaskError(f"it is '{ours[0]}' and '{ours[1]}' at once: leave it one label")
    return config.labels.index(ours[0]) + 1 if ours else 0


def _painted(region: Mapping[str, Any], height: int, width: int) -> BoolMask:
    """The pixels, (height, width), of one region."""
    kind, value = str(region["type"]), region["value"]
    if region.get("item_index"):
        raise MaskError("it was drawn on another image of the task")
    drawn_height, drawn_width = _drawn_on(region, height, width)
    if kind in ("brushlabels", "bitmasklabels"):
        if kind == "bitmasklabels":
            mask = decode_bitmask(value.get("imageDataURL"), drawn_height, drawn_width)
        elif "rle" in value:
            mask = decode_rle(value["rle"], drawn_height, drawn_width)
        else:
            raise MaskError("a brush region carries no mask: draw it again")
        return _resized(mask, height, width)
    if kind == "vectorlabels":
        raise MaskError("a vector is no mask: draw it as a polygon or with the brush")
    try:
        return inside(kind, value, height, width)  # in percent: scaled by itself
    except ShapeError as error:
        raise MaskError(f"{_KINDS[kind]} {error}") from None


def _drawn_on(region: Mapping[str, Any], height: int, width: int) -> tuple[int, int]:
    """Height and width of the image that a region was drawn on, a copy of this one."""
    drawn = (region.get("original_height"), region.get("original_width"))
    h, w = height if drawn[0] is None else drawn[0], width if drawn[1] is None else drawn[1]
    if (h, w) == (height, width):
        return height, width
    if not (type(h) is int and type(w) is int and h > 0 and w > 0 and h * w <= _MAX_PIXELS):
        raise MaskError(
            "it does not say how large the image was that it was drawn on: draw it again"
        )
    # A copy has the same shape up to its rounding to whole pixels; what is equal along one side
    # and not along the other was cut.
    rounding = max(h + w, height + width) / 2
    if h == height or w == width or abs(w * height - h * width) > rounding:
        raise MaskError(
            f"it was drawn on an image of another size, {w} x {h} pixels, than the slice has now, "
            f"{width} x {height}: draw it again"
        )
    return h, w


def _resized(mask: BoolMask, height: int, width: int) -> BoolMask:
    """A mask at another size, by nearest neighbour."""
    if mask.shape == (height, width):
        return mask
    rows = (np.arange(height) * 2 + 1) * mask.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * mask.shape[1] // (2 * width)
    resized: BoolMask = mask[np.ix_(rows, columns)]
    return resized
