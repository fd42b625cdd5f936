"""The hospital's DICOM files by the pseudonyms that the importer gave them.

The key makes the pseudonyms anew from what is in the files, so nothing but the key is needed. The
vault helps where the key was changed since the import: it knows the old pseudonyms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.functional_groups import value_of
from dicom.quiet import quiet

from ..decode import DecodeError, parse
from ..limits import Limits
from ..pseudonyms import pseudonym
from ..sources import SourceObject


@dataclass(frozen=True)
class Original:
    """An image of the hospital's."""

    instance: str  # pseudonym
    path: Path

    def header(self) -> Dataset:
        """Its data set without pixels. Raises DecodeError."""
        try:
            with quiet():
                return dcmread(self.path, stop_before_pixels=True, force=True)
        except Exception:  # pydicom's texts quote values
            raise DecodeError("damaged") from None


@dataclass
class Originals:
    """What a source holds: images by series, each once, in the order they came."""

    series: dict[str, list[Original]] = field(default_factory=dict)  # by pseudonym
    found: set[str] = field(default_factory=set)  # pseudonyms of instances
    unreadable: Counter[str] = field(default_factory=Counter)  # reason codes
    objects: int = 0


def find_originals(
    objects: Iterable[SourceObject],
    key: bytes,
    wanted: Collection[str],
    spool: Path,
    *,
    old_names: Mapping[str, str] | None = None,
    whole_series: bool = False,
    limits: Limits | None = None,
) -> Originals:
    """Index a source; of others than the wanted instances only if `whole_series` asks for them.

    old_names: pseudonyms by SOP Instance UID where the key is no longer the import's. What lies in
    archives is written to `spool`, a folder that only its owner can read. Whatever is wrong with an
    object, the others go on. Raises OSError if the spool cannot be written.
    """
    limits, old_names = limits or Limits(), old_names or {}
    index = Originals()
    names = frozenset(wanted)
    for source in objects:
        index.objects += 1
        if source.problem:
            index.unreadable[source.problem] += 1
            continue
        try:
            named = _named(source, key, old_names, limits)
        except DecodeError as error:
            index.unreadable[error.reason] += 1
            continue
        if named is None:
            continue
        series, instance = named
        if instance in index.found or not (whole_series or instance in names):
            continue
        index.found.add(instance)
        path = Path(source.path)
        if source.content is not None:
            path = spool / f"{instance}.dcm"
            path.write_bytes(source.content)
        index.series.setdefault(series, []).append(Original(instance, path))
    return index


def _named(
    source: SourceObject, key: bytes, old_names: Mapping[str, str], limits: Limits
) -> tuple[str, str] | None:
    """Pseudonyms of an image's series and of itself; None if it is none. Raises DecodeError."""
    try:
        content = source.content
        if content is None:
            content = Path(source.path).read_bytes()
        with quiet():
            dataset = parse(content, limits, whole=False)
            if dataset is None or "Rows" not in dataset:
                return None
            uid = str(value_of(dataset, "SOPInstanceUID") or "").strip()
            series = str(value_of(dataset, "SeriesInstanceUID") or "").strip()
    except OSError:
        raise DecodeError("cannot-be-read") from None
    except DecodeError:
        raise
    except Exception:  # pydicom's texts quote values
        raise DecodeError("damaged") from None
    if not uid:
        return None
    instance = old_names.get(uid) or pseudonym(key, "instance", uid)
    return pseudonym(key, "series", series or uid), instance
