"""What people draw in Label Studio, as arrays, and back: regions, brush code, shapes, targets."""

from .arrays import BoolMask, LabelMap
from .brush import MaskError, decode_rle, encode_rle
from .config import BrushConfig
from .regions import to_label_map, to_regions

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
