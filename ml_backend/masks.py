"""Label Studio's regions to label maps and back.

A label map is (H, W) uint8: 0 is background, n is the n-th label of the project's BrushLabels.
The brush code is Label Studio's own bit-packed RGBA run-length code, written and read by
``label_studio_sdk.converter.brush``; a mask must be 0/255, for 1 would be an all but invisible
alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

BoolMask = npt.NDArray[np.bool_]
LabelMap = npt.NDArray[np.uint8]

# A label config is a page of text; what is larger is an attack or a mistake.
_MAX_CONFIG_CHARACTERS = 1_000_000
_REGION_TYPES = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")


class MaskError(ValueError):
    """A region or a label config that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class BrushConfig:
    """What of a project's label config the committee needs."""

    from_name: str
    to_name: str
    image_key: str
    labels: tuple[str, ...]

    @classmethod
    def parse(cls, label_config: str) -> BrushConfig:
        """Read the first BrushLabels of a label config.

        Raises MaskError if the XML is broken, or has no BrushLabels over an Image.
        """
        if len(label_config) > _MAX_CONFIG_CHARACTERS or "<!" in _without_comments(label_config):
            # Entities and doctypes have no business here; expat would expand them.
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
            labels = tuple(e.get("value") or e.get("alias") or "" for e in brush.iter("Label"))
            value = images.get(to_name, "")
            if from_name and to_name and value.startswith("$") and labels and all(labels):
                if len(labels) > 254:
                    raise MaskError(f"{len(labels)} labels in BrushLabels: at most 254 work")
                return cls(from_name, to_name, value[1:], labels)
        raise MaskError(
            "the label config has no BrushLabels over an Image with value='$…': add "
            "<BrushLabels name='mask' toName='image'> with one <Label> a class "
            "(label_config.xml is an example)"
        )


def _without_comments(xml: str) -> str:
    parts = xml.split("<!--")
    return parts[0] + "".join(part.partition("-->")[2] for part in parts[1:])


def encode_rle(mask: npt.NDArray[Any]) -> list[int]:
    """Encode a mask, (H, W) bool, as Label Studio's brush code: a list of bytes.

    Raises MaskError if the mask is not two-dimensional or empty in size.
    """
    from label_studio_sdk.converter import brush

    flat = np.asarray(mask, dtype=bool)
    if flat.ndim != 2 or flat.size == 0:
        raise MaskError(f"a mask must be (H, W) with pixels in it: its shape is {flat.shape}")
    encoded = brush.encode_rle(np.repeat(flat.ravel().astype(np.uint8) * np.uint8(255), 4))
    return [int(byte) for byte in encoded]


def decode_rle(rle: Sequence[int], height: int, width: int) -> BoolMask:
    """Decode Label Studio's brush code, a list of bytes, to a mask (height, width) bool.

    Any alpha above 0 is inside: the editor anti-aliases a stroke's rim.
    Raises MaskError if the code is damaged or belongs to another size.
    """
    from label_studio_sdk.converter import brush

    data = bytes(rle)
    if len(data) < 8:
        raise MaskError("a brush region's code is too short to be one")
    if int.from_bytes(data[:4], "big") != height * width * 4:
        raise MaskError(f"a brush region's code does not belong to {height} x {width} pixels")
    try:
        pixels = brush.decode_rle(data)
    except (ValueError, IndexError):
        raise MaskError("a brush region's code is damaged") from None
    alpha: BoolMask = pixels.reshape(height, width, 4)[:, :, 3] > 0
    return alpha


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
    regions: Sequence[Mapping[str, Any]], config: BrushConfig, height: int, width: int
) -> LabelMap:
    """Paint an annotation's regions, in their order, to a label map (height, width) uint8.

    Regions of one class are joined; a later region covers an earlier one. Brush strokes,
    polygons, rectangles and ellipses count; other types (choices, text, relations) are not masks.
    Raises MaskError for a rotated image, a region of another size, or a damaged brush code.
    """
    label_map = np.zeros((height, width), dtype=np.uint8)
    for region in regions:
        kind = str(region.get("type", ""))
        if kind not in _REGION_TYPES:
            continue
        value = region.get("value") or {}
        names = value.get(kind) or []
        if not names or names[0] not in config.labels:
            continue
        if region.get("image_rotation"):
            raise MaskError("the image was rotated in the editor: turn it back and save again")
        if region.get("original_height", height) != height or (
            region.get("original_width", width) != width
        ):
            raise MaskError(f"a region was drawn on an image of another size than {height}x{width}")
        label_map[_inside(kind, value, height, width)] = config.labels.index(names[0]) + 1
    return label_map


def _inside(kind: str, value: Mapping[str, Any], height: int, width: int) -> BoolMask:
    """The pixels of one region; all but brush strokes are in percent of the image's size."""
    if kind == "brushlabels":
        if "rle" not in value:
            raise MaskError("a brush region carries no mask")
        return decode_rle(value["rle"], height, width)
    try:
        corners = _outline(kind, value, height, width)
    except (KeyError, TypeError, ValueError):
        raise MaskError(f"a region of type {kind} has no valid coordinates") from None
    canvas = Image.new("1", (width, height))
    if len(corners) >= 3:
        ImageDraw.Draw(canvas).polygon(corners, fill=1)
    return np.array(canvas, dtype=bool)


def _outline(
    kind: str, value: Mapping[str, Any], height: int, width: int
) -> list[tuple[float, float]]:
    if kind == "polygonlabels":
        return [(float(x) * width / 100, float(y) * height / 100) for x, y in value["points"]]
    x, y = float(value["x"]) * width / 100, float(value["y"]) * height / 100
    turn = math.radians(float(value.get("rotation", 0)))
    if kind == "rectanglelabels":  # turns about its upper left corner
        w, h = float(value["width"]) * width / 100, float(value["height"]) * height / 100
        offsets = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    else:  # an ellipse, given by its centre and radii
        rx, ry = float(value["radiusX"]) * width / 100, float(value["radiusY"]) * height / 100
        angles = np.linspace(0, 2 * math.pi, 90, endpoint=False)
        offsets = [(rx * math.cos(a), ry * math.sin(a)) for a in angles]
    cos, sin = math.cos(turn), math.sin(turn)
    return [(x + dx * cos - dy * sin, y + dx * sin + dy * cos) for dx, dy in offsets]
