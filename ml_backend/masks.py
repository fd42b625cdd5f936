"""Label Studio's regions to label maps and back.

A label map is (H, W) uint8: 0 is background, n is the n-th label of the project's BrushLabels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from .brush import MaskError, decode_bitmask, decode_rle, encode_rle
from .shapes import BoolMask, ShapeError, inside

__all__ = [
    "BoolMask",
    "BrushConfig",
    "LabelMap",
    "MaskError",
    "decode_rle",
    "encode_rle",
    "to_label_map",
    "to_regions",
]

LabelMap = npt.NDArray[np.uint8]

# A label config is a page of text; what is larger is an attack or a mistake.
_MAX_CONFIG_CHARACTERS = 1_000_000
_MAX_PIXELS = 8192 * 8192  # of the image that a region says it was drawn on
_KINDS = {
    "brushlabels": "a brush stroke",
    "bitmasklabels": "a bitmask",
    "polygonlabels": "the polygon",
    "rectanglelabels": "the rectangle",
    "ellipselabels": "the ellipse",
    "vectorlabels": "a vector",  # an open or closed line: never a mask, and not to be overlooked
}


@dataclass(frozen=True)
class BrushConfig:
    """What of a project's label config the committee needs."""

    from_name: str
    to_name: str
    image_key: str
    labels: tuple[str, ...]
    # Labels of the config's other tools: their regions are no masks.
    other_labels: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def parse(cls, label_config: str) -> BrushConfig:
        """Read the first BrushLabels of a label config.

        Raises MaskError if the XML is broken, or has no BrushLabels over an Image.
        """
        # Entities and doctypes have no business here; expat would expand them. Nowhere: what looks
        # like a comment may stand within an instruction, and be none.
        declared = "<!DOCTYPE" in label_config or "<!ENTITY" in label_config
        if len(label_config) > _MAX_CONFIG_CHARACTERS or declared:
            raise MaskError("the label config is too long, or declares a DOCTYPE: remove it")
        try:
            root = ElementTree.fromstring(label_config)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise MaskError(
                f"the label config is not well-formed XML (line {line}, column {column}): "
                "correct it in Label Studio under Settings > Labeling Interface"
            ) from None
        images = {e.get("name"): e.get("value") or "" for e in root.iter("Image")}
        for brush in root.iter("BrushLabels"):
            to_name, from_name = brush.get("toName"), brush.get("name")
            labels = tuple(_name_of(e) for e in brush.iter("Label"))
            value = images.get(to_name, "")
            if from_name and to_name and value.startswith("$") and labels and all(labels):
                if len(labels) > 254:
                    raise MaskError(f"{len(labels)} labels in BrushLabels: at most 254 work")
                others = {_name_of(e) for e in root.iter("Label")} - set(labels)
                return cls(from_name, to_name, value[1:], labels, frozenset(others))
        raise MaskError(
            "the label config has no BrushLabels over an Image with value='$…': add "
            "<BrushLabels name='mask' toName='image'> with one <Label> a class "
            "(label_config.xml is an example)"
        )


def _name_of(label: ElementTree.Element) -> str:
    """What regions call a <Label>: its alias if it has one."""
    return label.get("alias") or label.get("value") or ""


def to_regions(label_map: LabelMap, config: BrushConfig) -> list[dict[str, Any]]:
    """Turn a label map, (H, W) uint8, into brush regions: one for each class that occurs."""
    height, width = label_map.shape
    regions = []
    for index, label in enumerate(config.labels, start=1):
        mask = label_map == index
        if mask.any():
            regions.append(
                {
                    "id": f"draft-{index}",
                    "type": "brushlabels",
                    "from_name": config.from_name,
                    "to_name": config.to_name,
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {
                        "format": "rle",
                        "rle": encode_rle(mask),
                        "brushlabels": [label],
                    },
                }
            )
    return regions


def to_label_map(
    regions: Sequence[Mapping[str, Any]] | None, config: BrushConfig, height: int, width: int
) -> LabelMap:
    """Paint an annotation's regions, in their order, to a label map (height, width) uint8.

    Regions of one class are joined; a later region covers an earlier one. Brush strokes, bitmasks,
    polygons, rectangles and ellipses count, hidden and locked ones too; key points, choices, texts
    and relations are no masks, nor is what was drawn on another image or with another tool's label.
    Drawn on a smaller or larger copy of the image, a region is scaled. A rotated view changes
    nothing: the editor keeps coordinates and strokes in the frame of the image as it is stored.
    Raises MaskError, with the region's number, where a region cannot become what was meant.
    """
    label_map = np.zeros((height, width), dtype=np.uint8)
    for number, region in enumerate(regions or (), start=1):
        try:
            if not isinstance(region, Mapping):
                raise MaskError("is no region")
            index = _class_of(region, config)
            if index:
                label_map[_painted(region, height, width)] = index
        except MaskError as error:
            raise MaskError(f"region {number}: {error}") from None
    return label_map


def _class_of(region: Mapping[str, Any], config: BrushConfig) -> int:
    """The class that a region paints, 0 if it is no mask of ours."""
    kind, value = str(region.get("type")), region.get("value")
    if kind not in _KINDS or region.get("to_name", config.to_name) != config.to_name:
        return 0
    if not isinstance(value, Mapping):
        raise MaskError("it has no value: draw it again")
    names = value.get(kind) or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise MaskError("its label is no text: draw it again")
    if not names:
        raise MaskError("it has no label: give it one, or delete it")
    ours = [name for name in dict.fromkeys(names) if name in config.labels]
    own_tool = region.get("from_name", config.from_name) == config.from_name
    for name in names:
        if name not in config.labels and (own_tool or name not in config.other_labels):
            raise MaskError(
                f"the label config has no label '{name[:60]}' any more: add it again, "
                "or label the region anew"
            )
    if len(ours) > 1:
        raise MaskError(f"it is '{ours[0]}' and '{ours[1]}' at once: a pixel has one class")
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
        raise MaskError("it does not say how large the image was that it was drawn on")
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
