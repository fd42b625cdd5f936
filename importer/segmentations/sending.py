"""Segmentations to a PACS: C-STORE (pynetdicom), or STOW-RS (dicomweb-client)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

# VR AE, PS3.5 6.2: no control character, no backslash, not blanks alone.
_TITLE = re.compile(r"(?=.*[!-~])[ -\[\]-~]{1,16}")
_PLACE = re.compile(r"([^@]+)@(\[[0-9a-fA-F:]+\]|[^@:/\s]+):([0-9]{1,5})")
_TIMEOUT_S = 30.0
# PS3.4 B.2.3: stored, or stored with a remark.
_STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007})

Send = Callable[[Dataset], None]


class SendError(RuntimeError):
    """A segmentation that was not taken; the message says why and the remedy, and names nobody."""


def by_store(place: str, calling: str = "QUORUM") -> Send:
    """What sends by C-STORE to AE@HOST:PORT. Raises ValueError if that, or our title, is none."""
    parsed = _PLACE.fullmatch(place)
    if parsed is None or not 0 < int(parsed[3]) < 65536:
        raise ValueError("give the PACS as AE@HOST:PORT, PACS@10.0.0.7:104")
    if not (_TITLE.fullmatch(parsed[1]) and _TITLE.fullmatch(calling)):
        raise ValueError("an AE title has 1 to 16 ASCII characters, none of them a backslash")
    title, host, port = parsed[1].strip(), parsed[2].strip("[]"), int(parsed[3])

    def send(dataset: Dataset) -> None:
        from pynetdicom import AE

        # Its log lines quote the peer's answers and the objects' UIDs.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        entity = AE(ae_title=calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_S
        entity.connection_timeout = _TIMEOUT_S
        entity.add_requested_context(SegmentationStorage, [ExplicitVRLittleEndian])
        try:
            association = entity.associate(host, port, ae_title=title)
        except (OSError, UnicodeError):  # of looking its host up
            raise SendError("the PACS's host has no address: check how it is spelled") from None
        try:
            if not association.is_established:
                raise SendError(
                    "the PACS does not answer, or does not know us: check its address and title, "
                    f"that it knows {calling}, and that it takes segmentations"
                )
            try:
                status = association.send_c_store(dataset).get("Status")
            except ValueError:  # no presentation context
                raise SendError("the PACS does not take segmentations") from None
            if status not in _STORED:
                told = "nothing" if status is None else f"status 0x{status:04X}"
                raise SendError(f"the PACS did not store it ({told}): look into its log")
        finally:
            if association.is_established:
                association.release()

    return send


def by_dicomweb(url: str, environment: Mapping[str, str] = os.environ) -> Send:
    """What sends by STOW-RS (PS3.18 10.5); account as for imports. Raises ValueError."""
    from dicomweb_client import DICOMwebClient

    from ..sources.dicomweb_exchange import REMEDIES, ExchangeError, open_session, reasoned

    session = open_session(url, environment)
    client = DICOMwebClient(url.rstrip("/"), session=session, timeout=_TIMEOUT_S)
    client.set_http_retry_params(retry=False)

    def send(dataset: Dataset) -> None:
        def store() -> Any:
            return client.store_instances([dataset], study_instance_uid=dataset.StudyInstanceUID)

        try:
            answer = reasoned(store)
        except ExchangeError as error:
            raise SendError(REMEDIES[error.reason]) from None
        if answer.get("FailedSOPSequence"):
            raise SendError("the server did not store it: look into its log")

    return send
