"""Text burned into pixels: how carefully to look, where it stands, and its removal."""

from __future__ import annotations

from .boxes import Box, blacken
from .clean import Cleaned, clean
from .frame import FrameRead, is_sample, read_frame, suspect
from .hidden import hidden_views
from .rules import SAID, Care, Verdict, care_for
from .text import OcrMissingError, cheap_boxes, ocr_boxes, text_boxes

__all__ = [
    "SAID",
    "Box",
    "Care",
    "Cleaned",
    "FrameRead",
    "OcrMissingError",
    "Verdict",
    "blacken",
    "care_for",
    "cheap_boxes",
    "clean",
    "hidden_views",
    "is_sample",
    "ocr_boxes",
    "read_frame",
    "suspect",
    "text_boxes",
]
