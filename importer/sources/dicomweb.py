"""DICOM out of a DICOMweb server: QIDO-RS finds the instances, WADO-RS brings them one by one."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from dicomweb_client import DICOMwebClient
from pydicom.datadict import tag_for_keyword

from .dicomweb_exchange import (
    EXCHANGE,
    REMEDIES,
    ExchangeError,
    Reason,
    chunks_of,
    one_part,
    open_session,
    reasoned,
)

__all__ = ["REMEDIES", "Failure", "iter_dicomweb"]

# Attributes that QIDO-RS matches at the series (PS3.18 table 10.6.1-5, PS3.4 C.6.1.1.4); what is
# none of these is asked of the studies.
_SERIES_KEYS = frozenset(
    {
        "Modality",
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDescription",
        "BodyPartExamined",
        "Laterality",
        "ProtocolName",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "Manufacturer",
        "ManufacturerModelName",
        "StationName",
    }
)
_STUDY_UID, _SERIES_UID, _INSTANCE_UID = "0020000D", "0020000E", "00080018"
# Digits and dots only: a UID goes into an address, and a server can be hostile or wrong. Leading
# zeros, which the standard forbids, occur in real archives.
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_PAGE = 200  # answers of one search: most servers allow at least that
_OBJECT_BYTES = 2 * 2**30
# The object as it is stored; by default a server would decompress it (PS3.18 8.7.3.5.2).
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_ANY_SYNTAX = 'multipart/related; type="application/dicom"'
_ATTEMPTS = 4
_BACK_OFF_S = 0.5  # doubles with each attempt
_LONGEST_WAIT_S = 30.0  # of what a server asks for in Retry-After

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Failure:
    """Something that could not be brought; its reason code names no patient and no server."""

    reason: Reason


def iter_dicomweb(
    url: str,
    *,
    study: str | None = None,
    series: str | None = None,
    query: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
    max_object_bytes: int = _OBJECT_BYTES,
    page: int = _PAGE,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[bytes | Failure]:
    """Each object of a server, a study or a series as Part 10 bytes, one in memory at a time.

    `url` is the service's root. `query` holds DICOM keywords and what they must match (PS3.4
    C.2.2.2), of studies or series; without study and query it is the whole archive. Objects come
    as they are stored, unparsed. What fails is a Failure, and the rest goes on; a server that
    stays unreachable ends it. The account is taken from QUORUM_DICOMWEB_USER and
    QUORUM_DICOMWEB_PASSWORD, or QUORUM_DICOMWEB_TOKEN, in the environment. Patients' data never
    go over plain http to another machine unless QUORUM_DICOMWEB_ALLOW_HTTP=1.
    `timeout_s` is the longest silence of the server; a single exchange may take 20 times that.
    Raises ValueError at once for an address, UID, query or account that cannot be meant.
    Source: PS3.18 10.4 (WADO-RS) and 10.6 (QIDO-RS).
    """
    session = open_session(url, environment)
    asked = _filters(study, series, query or {})
    archive = _Archive(url, session, timeout_s, max_object_bytes, page)
    return archive.objects(study, series, *asked)


class _Archive:
    """One server: searches in pages, retrieves with bounds, tries again."""

    def __init__(
        self,
        url: str,
        session: requests.Session,
        timeout_s: float,
        max_object_bytes: int,
        page: int,
    ) -> None:
        self._url = url.rstrip("/")
        self.open_session = session
        self._timeout_s = timeout_s
        self._max_object_bytes = max_object_bytes
        self._page = page
        self._accept = _AS_STORED
        self._client = DICOMwebClient(
            self._url, session=session, timeout=timeout_s, permissive_uid=True
        )
        self._client.set_http_retry_params(retry=False)  # it would hide the reason; see _again

    def objects(
        self,
        study: str | None,
        series: str | None,
        of_studies: Mapping[str, str],
        of_series: Mapping[str, str],
    ) -> Iterator[bytes | Failure]:
        try:
            for study_uid in self._studies(study, of_studies):
                if isinstance(study_uid, Failure):
                    yield study_uid
                    continue
                for series_uid in self._series(study_uid, series, of_series):
                    if isinstance(series_uid, Failure):
                        yield series_uid
                        continue
                    for instance_uid in self._instances(study_uid, series_uid):
                        if isinstance(instance_uid, Failure):
                            yield instance_uid
                            continue
                        yield self._retrieve(study_uid, series_uid, instance_uid)
        except ExchangeError as error:  # unreachable: the rest would only wait and fail one by one
            yield Failure(error.reason)
        finally:
            self.open_session.close()

    def _studies(self, study: str | None, filters: Mapping[str, str]) -> Iterator[str | Failure]:
        if study and not filters:
            return iter([study])
        if study:
            filters = {**filters, "StudyInstanceUID": study}
        search = self._client.search_for_studies
        return self._found(_STUDY_UID, lambda **page: search(search_filters=dict(filters), **page))

    def _series(
        self, study: str, series: str | None, filters: Mapping[str, str]
    ) -> Iterator[str | Failure]:
        if series and not filters:
            return iter([series])
        if series:
            filters = {**filters, "SeriesInstanceUID": series}
        search = self._client.search_for_series
        return self._found(
            _SERIES_UID, lambda **page: search(study, search_filters=dict(filters), **page)
        )

    def _instances(self, study: str, series: str) -> Iterator[str | Failure]:
        search = self._client.search_for_instances
        return self._found(_INSTANCE_UID, lambda **page: search(study, series, **page))

    def _found(self, tag: str, search: Callable[..., object]) -> Iterator[str | Failure]:
        """The UIDs that a search finds, each once, page by page.

        A server may give fewer than asked for before the end, or know no pages at all; so it ends
        with a page that brings nothing new.
        """
        seen: set[str] = set()
        offset = 0

        def answers_of_page() -> list[Any]:
            answers = search(limit=self._page, offset=offset)
            if not isinstance(answers, list):
                raise ExchangeError("damaged-answer")
            return answers

        while True:
            try:
                answers = self._again(answers_of_page)
            except ExchangeError as error:
                if error.reason == "server-unreachable":
                    raise
                yield Failure(error.reason)
                return
            uids = [_uid(answer, tag) for answer in answers]
            if None in uids:  # once a page: a hostile one can hold millions
                yield Failure("damaged-answer")
            new = [uid for uid in dict.fromkeys(uids) if uid is not None and uid not in seen]
            if not new:
                return
            seen.update(new)
            yield from new
            offset += len(answers)

    def _retrieve(self, study: str, series: str, instance: str) -> bytes | Failure:
        address = f"{self._url}/studies/{study}/series/{series}/instances/{instance}"
        try:
            return self._again(lambda: self._get(address))
        except ExchangeError as error:
            if error.reason == "server-unreachable":
                raise
            return Failure(error.reason)

    def _get(self, address: str) -> bytes:
        response = self.open_session.get(
            address, headers={"Accept": self._accept}, stream=True, timeout=self._timeout_s
        )
        with response:
            if response.status_code == 406 and self._accept == _AS_STORED:
                self._accept = _ANY_SYNTAX  # a server from before PS3.18 2016b
                return self._get(address)
            response.raise_for_status()
            content_type = response.headers.get("Content-Type", "")
            chunks = chunks_of(response, EXCHANGE * self._timeout_s)
            return one_part(content_type, chunks, self._max_object_bytes)

    def _again(self, exchange: Callable[[], _Answer]) -> _Answer:
        """What an exchange brings; tried again while the server is gone or busy.

        Raises ExchangeError.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return reasoned(exchange)
            except ExchangeError as error:
                if not error.again or attempt == _ATTEMPTS - 1:
                    raise
                wait_s = _BACK_OFF_S * 2**attempt * random.uniform(1, 1.5)
                time.sleep(min(max(wait_s, error.wait_s), _LONGEST_WAIT_S))
        raise AssertionError("unreachable")


def _uid(answer: Any, tag: str) -> str | None:
    """A UID of a DICOM JSON data set (PS3.18 F.2.2), or None if it is no UID."""
    try:
        value = answer[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return None
    return value if isinstance(value, str) and _UID.fullmatch(value) else None


def _filters(
    study: str | None, series: str | None, query: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What to ask of studies and of series. Raises ValueError, without quoting."""
    if any(uid is not None and not _UID.fullmatch(uid) for uid in (study, series)):
        raise ValueError("a study's or series' UID consists of digits and dots, at most 64")
    if series and not study:
        raise ValueError("a series is found in its study: give the study's UID too")
    if any(tag_for_keyword(keyword) is None for keyword in query):
        raise ValueError("a query names attributes by keywords of DICOM's data dictionary")
    of_studies = {k: v for k, v in query.items() if k not in _SERIES_KEYS}
    return of_studies, {k: v for k, v in query.items() if k in _SERIES_KEYS}
