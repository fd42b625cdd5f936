"""The finished data set: ``./quorum export PROJECT``, and the download on the progress page.

A format is one module with a ``write()`` (see formats): ``dataset`` reads slices one after another,
the format writes them, ``exporting`` keeps the manifest and the data sheet, ``archive`` sees to it
that an export is whole or not there.
"""

from __future__ import annotations

from .archive import downloads, keep_download
from .cli import main
from .dataset import Choice
from .exporting import export_to
from .formats import FORMATS, ExportError

__all__ = [
    "FORMATS",
    "Choice",
    "ExportError",
    "downloads",
    "export_to",
    "keep_download",
    "main",
]
