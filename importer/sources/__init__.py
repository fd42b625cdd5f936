"""Where DICOM comes from: files, folder trees and zips; a DICOMweb server; a C-STORE sender."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .files import LeftOut, SourceObject, iter_objects

__all__ = ["LeftOut", "SourceObject", "dicomweb_objects", "iter_objects"]


def dicomweb_objects(
    urls: Sequence[str],
    *,
    study: str | None = None,
    series: str | None = None,
    query: Mapping[str, str] | None = None,
    max_object_bytes: int,
) -> Iterator[SourceObject]:
    """All objects of DICOMweb servers that match, one at a time; failures are among them.

    Raises ValueError for an address or query that cannot be.
    """
    from .dicomweb import Failure, iter_dicomweb

    number = 0
    for url in urls:
        found = iter_dicomweb(
            url, study=study, series=series, query=query, max_object_bytes=max_object_bytes
        )
        for answer in found:
            number += 1
            # Objects have no path, and their addresses hold UIDs: the number names them.
            if isinstance(answer, Failure):
                yield SourceObject(number, "", b"", problem=answer.reason)
            else:
                yield SourceObject(number, "", answer, len(answer))
