"""A corpus of DICOM files in which every place that can hold identity holds a canary.

Places: every row of PS3.15 Table E.1-1 (at the top and below sequences), private tags, curves,
overlays, file meta, preamble, codec comments, fragments, padding, bits above Bits Stored, text and
dates that the table does not list, codes, numbers, character sets, names, and damaged files.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import config
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from ..canaries import Canary, Mint
from ..canaries import survivors as search
from . import attributes, files, pixels
from .corpus import (
    BELOW,
    CHARSETS,
    CODES,
    META,
    NAMES,
    OUTSIDE,
    PIXELS,
    PLACES,
    TABLE,
    Corpus,
    outside_rows,
    table_rows,
    to_bytes,
)
from .pixels import hide_above_bits_stored

__all__ = [
    "BELOW",
    "CHARSETS",
    "CODES",
    "META",
    "NAMES",
    "OUTSIDE",
    "PIXELS",
    "PLACES",
    "TABLE",
    "Planted",
    "hide_above_bits_stored",
    "outside_rows",
    "plant",
    "survivors",
    "table_rows",
    "to_bytes",
]


@dataclass(frozen=True)
class Planted:
    """A corpus: where it is, every canary in it, and what an importer should make of it."""

    folder: Path
    canaries: tuple[Canary, ...]
    files: int  # DICOM objects, those inside the zip too
    slices: int  # frames of the objects that are sound images


def plant(folder: Path, seed: int) -> Planted:
    """Write the corpus into a new folder; the same seed gives the same canaries.

    Raises FileExistsError if the folder is there.
    """
    folder.mkdir(parents=True)
    corpus = Corpus(folder, Mint(seed))
    logger, before = logging.getLogger("pydicom"), config.settings.writing_validation_mode
    disabled, logger.disabled = logger.disabled, True
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is planted
            for write in _FILES:
                write(corpus)
    finally:
        config.settings.writing_validation_mode, logger.disabled = before, disabled
    return Planted(folder, tuple(corpus.mint.canaries), corpus.files, corpus.slices)


def survivors(planted: Planted, *outputs: Path | bytes) -> list[Canary]:
    """The canaries that folders (names and contents) or bytes still hold."""
    return search(planted.canaries, *outputs)


_FILES: tuple[Callable[[Corpus], None], ...] = (
    attributes.table(CTImageStorage, "CT", ExplicitVRLittleEndian, "table-ct.dcm"),
    attributes.table(MRImageStorage, "MR", ImplicitVRLittleEndian, "table-mr.dcm"),
    attributes.command,
    attributes.private,
    attributes.below,
    attributes.outside,
    attributes.codes,
    files.meta,
    pixels.overlays,
    pixels.encapsulated,
    pixels.other_images,
    files.charsets,
    files.names,
    files.damaged,
    files.plain_dates,
)
