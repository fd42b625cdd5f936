"""What kind of frame: the attributes that image and frame type share (PS3.3 C.8.16)."""

from __future__ import annotations

from ..checks import Entry, ImageType, terms, type1, type1c
from ..tables import Items, Table
from . import terms as t

FRAME_TYPE = ImageType(t.IMAGE_TERMS, ("ORIGINAL", "PRIMARY", "OTHER", "NONE"), mixed=True)
FRAME_TYPE_DUMMY = ("DERIVED", "PRIMARY", "OTHER", "NONE")
PIXEL_PRESENTATION = terms("COLOR MONOCHROME MIXED TRUE_COLOR COLOR_RANGE COLOR_REF")
VOLUMETRIC = terms("VOLUME SAMPLED DISTORTED MIXED")
VOLUME_TECHNIQUE = terms("MAX_IP MIN_IP VOLUME_RENDER SURFACE_RENDER MPR CURVED_MPR NONE MIXED "
                         "TOMOSYNTHESIS MEAN_IP MEDIAN_IP")  # fmt: skip

FRAME_KIND: dict[str, Entry] = {
    "FrameType": type1(FRAME_TYPE, *FRAME_TYPE_DUMMY),
    "PixelPresentation": type1(PIXEL_PRESENTATION, "MONOCHROME"),
    "VolumetricProperties": type1(VOLUMETRIC, "SAMPLED"),
    "VolumeBasedCalculationTechnique": type1(VOLUME_TECHNIQUE, "NONE"),
}
MR_KIND: dict[str, Entry] = {
    "ComplexImageComponent": type1c(terms("MAGNITUDE PHASE REAL IMAGINARY MIXED"), "MIXED"),
    "AcquisitionContrast": type1c(
        terms("DIFFUSION FLOW_ENCODED FLUID_ATTENUATED PERFUSION PROTON_DENSITY STIR TAGGING T1 T2 "
              "T2_STAR TOF UNKNOWN MIXED"),
        "UNKNOWN",
    ),
}  # fmt: skip


def group(*parts: dict[str, Entry]) -> Items:
    """A functional group: a sequence of one item."""
    return Items(Table(*parts), most=16)
