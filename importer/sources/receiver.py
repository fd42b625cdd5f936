"""A C-STORE receiver: a PACS pushes, objects land unparsed in an inbox folder, in batches."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from pydicom import config as pydicom_config
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt, register_uid
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.service_class import StorageServiceClass

from ml_backend.syncing import sync_folder

from .receiver_bounds import MAX_PDU_BYTES, BoundedServer, Pending, wake

__all__ = ["Receiver", "ReceiverError", "receive"]

_VERIFICATION = "1.2.840.10008.1.1"
# C-STORE statuses (PS3.4 table B.2-1).
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000

# Retired classes of images (PS3.6 A) that old archives hold and pynetdicom does not list.
_RETIRED_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.3": "UltrasoundMultiFrameImageStorageRetired",
    "1.2.840.10008.5.1.4.1.1.5": "NuclearMedicineImageStorageRetired",
    "1.2.840.10008.5.1.4.1.1.6": "UltrasoundImageStorageRetired",
    "1.2.840.10008.5.1.4.1.1.12.3": "XRayAngiographicBiPlaneImageStorageRetired",
    "1.2.840.10008.5.1.4.1.1.77.1": "VLImageStorageTrialRetired",
    "1.2.840.10008.5.1.4.1.1.77.2": "VLMultiFrameImageStorageTrialRetired",
}
# Pixels behind an address (JPIP) or in a live stream (SMPTE) do not come with the object; offered
# to none, a sender takes another transfer syntax.
_ELSEWHERE = ("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.7.")
_TRANSFER_SYNTAXES = [
    str(syntax) for syntax in AllTransferSyntaxes if not syntax.startswith(_ELSEWHERE)
]

_OBJECT = re.compile(r"[0-9a-f]{32}\.dcm")
_PART = re.compile(r"[0-9a-f]{32}\.dcm\.part")
_BATCH = re.compile(r"batch-([0-9]{1,9})")
_COLLECTING = "collecting.part"


class ReceiverError(RuntimeError):
    """The receiver cannot start; the message says why and what to do."""


class Receiver:
    """Answers C-ECHO and stores what is pushed by C-STORE as INBOX/<random>.dcm, mode 0600.

    Objects are written as they come, of every class of storage and transfer syntax, without being
    parsed; a file has its name once it is whole and on the disk, and only then is the sender told
    so. A peer must call `ae_title` and be one of `allowed_calling`, if any are given (a title is
    no proof of identity: keep the port inside the hospital's network). An object beyond
    `max_object_bytes`, or beyond `max_pending_bytes` together with what other peers are sending,
    costs its association; that keeps memory below the latter. A disk with less than
    `min_free_bytes` left is answered with 0xA700. `idle_s` of silence closes a connection. Port 0
    takes a free one, and `port` tells which.
    Nothing is logged: messages of pynetdicom and pydicom quote identifiers, so both are silenced
    in this process. Source: PS3.4 B (storage), PS3.8 9 (upper layer).
    """

    def __init__(
        self,
        inbox: Path,
        port: int,
        ae_title: str = "QUORUM",
        host: str = "127.0.0.1",
        allowed_calling: Collection[str] = (),
        *,
        max_object_bytes: int = 2**30,
        max_pending_bytes: int = 2**31,
        max_associations: int = 8,
        idle_s: float = 60.0,
        min_free_bytes: int = 2**30,
    ) -> None:
        """Raises ValueError for a title that is none (PS3.5 6.2, AE)."""
        for title in (ae_title, *allowed_calling):
            if not re.fullmatch(r"[ -\[\]-~]{1,16}", title) or not title.strip():
                raise ValueError("an AE title is 1 to 16 ASCII characters without a backslash")
        self.inbox, self.host, self.port = inbox, host, port
        self.received = 0  # objects stored
        self.refused = 0  # objects not stored: too large, unreadable, or the disk is full
        self.last_received_s = 0.0  # time.monotonic()
        self._min_free_bytes = min_free_bytes
        self._counting = threading.Lock()
        self._pending = Pending(max_object_bytes, max_pending_bytes, self._count_refused)
        self._idle_s, self._max_associations = idle_s, max_associations
        self._ae = _application_entity(ae_title, allowed_calling, max_associations, idle_s)
        self._server: BoundedServer | None = None
        self._inbox_lock = -1

    def start(self) -> None:
        """Listen. Raises ReceiverError if the inbox or the port is taken or cannot be used."""
        _silence()
        self._inbox_lock = _lock_inbox(self.inbox)
        try:
            self._server = BoundedServer(
                self._ae,
                (self.host, self.port),
                self._ae.ae_title,
                self._ae.supported_contexts,
                evt_handlers=[(evt.EVT_C_STORE, self._store), *self._pending.handlers()],
            )
        except (OSError, OverflowError):
            os.close(self._inbox_lock)
            raise ReceiverError(
                "the receiver cannot listen: another program has the port, or the address is not "
                "this machine's; choose another"
            ) from None
        self._server.idle_s = self._idle_s
        # Connections that never become associations: pynetdicom rejects the others itself.
        self._server.max_connections = 2 * self._max_associations
        self.port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="receiver", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port and all connections; what is half received is not kept."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        associations = server.active_associations
        for association in associations:
            association.abort()
            wake(association)
        for association in associations:
            association.join(5)
        os.close(self._inbox_lock)

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _count_refused(self) -> None:
        with self._counting:
            self.refused += 1

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE: the object is on the disk, or not at all."""
        data_set = cast(C_STORE, event.request).DataSet
        content = data_set.getbuffer() if data_set else memoryview(b"")
        if self._pending.is_dropped(event.assoc):  # beyond the limits with its last bytes
            return _OUT_OF_RESOURCES
        try:
            if not content:
                status = _CANNOT_UNDERSTAND
            elif shutil.disk_usage(self.inbox).free < self._min_free_bytes + len(content):
                status = _OUT_OF_RESOURCES
            else:
                # PS3.10 7.1; PatientID and the rest stay in the bytes, unread.
                meta = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
                _write(self.inbox, meta, content)
                status = _SUCCESS
        except OSError:
            status = _OUT_OF_RESOURCES
        except Exception:  # identifiers that cannot be encoded: pydicom's errors would quote them
            status = _CANNOT_UNDERSTAND
        finally:
            self._pending.done(event.assoc, len(content))
        if status == _SUCCESS:
            with self._counting:
                self.received += 1
                self.last_received_s = time.monotonic()
        else:
            self._count_refused()
        return status


def receive(
    inbox: Path,
    port: int,
    ae_title: str = "QUORUM",
    host: str = "127.0.0.1",
    allowed_calling: Collection[str] = (),
    *,
    on_idle: Callable[[Path], None],
    on_start: Callable[[Receiver], None] | None = None,
    quiet_s: float = 20.0,
    longest_wait_s: float = 600.0,
    stop: threading.Event | None = None,
    **limits: Any,
) -> None:
    """Receive until `stop` is set; call `on_idle` with each batch, a folder INBOX/batch-N.

    A batch is closed after `quiet_s` seconds without a new object, or `longest_wait_s` after its
    first one, while receiving goes on. The folder is the callee's, to import and delete; one that
    it leaves, or that an earlier run left, comes again at the next start. What has come when `stop`
    is set makes a last batch; with an exception (Ctrl-C) it waits in the inbox for the next start.
    `limits` are Receiver's. Raises ReceiverError, and whatever `on_idle` raises.
    """
    stop = stop or threading.Event()
    with Receiver(inbox, port, ae_title, host, allowed_calling, **limits) as receiver:
        if on_start is not None:
            on_start(receiver)
        for batch in _left_batches(inbox):
            on_idle(batch)
        first_s: float | None = None  # when the batch's first object was seen
        while not stop.wait(min(0.5, quiet_s / 4)):
            now_s = time.monotonic()
            if first_s is None and _waiting(inbox):
                first_s = now_s
            if first_s is None:
                continue
            quiet = now_s - max(receiver.last_received_s, first_s) >= quiet_s
            if quiet or now_s - first_s >= longest_wait_s:
                first_s = None
                on_idle(_close_batch(inbox))
    if _waiting(inbox):
        on_idle(_close_batch(inbox))


def _waiting(inbox: Path) -> bool:
    with os.scandir(inbox) as entries:
        return any(_OBJECT.fullmatch(entry.name) for entry in entries)


def _close_batch(inbox: Path) -> Path:
    """Move all whole objects into a new folder, which has its name when they are all there.

    Raises OSError.
    """
    collecting = inbox / _COLLECTING  # of a run that was killed here: it is taken up
    collecting.mkdir(mode=0o700, exist_ok=True)
    with os.scandir(inbox) as entries:
        names = [entry.name for entry in entries if _OBJECT.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # its name could not be synced
            (inbox / name).rename(collecting / name)
    sync_folder(collecting)
    numbers = [int(match[1]) for path in inbox.iterdir() if (match := _BATCH.fullmatch(path.name))]
    batch = inbox / f"batch-{max(numbers, default=0) + 1}"
    collecting.rename(batch)
    sync_folder(inbox)
    return batch


def _left_batches(inbox: Path) -> list[Path]:
    found = [path for path in inbox.iterdir() if _BATCH.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("batch-")))


def _write(inbox: Path, meta: bytes, content: memoryview) -> None:
    """A whole file that outlasts a power cut, or none. Raises OSError."""
    path = inbox / f"{secrets.token_hex(16)}.dcm"
    part = path.with_name(path.name + ".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(meta)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # the sender may delete its own once it is told
        part.rename(path)
        sync_folder(inbox)  # a next start deletes what has its name no more
    except OSError:
        part.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise


def _lock_inbox(inbox: Path) -> int:
    """Take the folder for this process, and clear what a killed one was writing."""
    try:
        inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(inbox / "receiver.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        raise ReceiverError("the inbox cannot be written: check its rights and the disk") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ReceiverError("another receiver uses this inbox: stop it, or name another") from None
    for path in inbox.iterdir():
        if _PART.fullmatch(path.name):
            path.unlink(missing_ok=True)
    return handle


def _silence() -> None:
    """Keep identifiers out of logs and warnings, for the process: pynetdicom works in threads."""
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


def _application_entity(
    ae_title: str, allowed_calling: Collection[str], max_associations: int, idle_s: float
) -> AE:
    entity = AE(ae_title)
    entity.add_supported_context(_VERIFICATION)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), _TRANSFER_SYNTAXES)
    for uid, keyword in _RETIRED_IMAGES.items():
        register_uid(uid, keyword, StorageServiceClass)
        entity.add_supported_context(uid, _TRANSFER_SYNTAXES)
    entity.require_called_aet = True
    entity.require_calling_aet = list(allowed_calling)
    entity.maximum_associations = max_associations
    entity.maximum_pdu_size = MAX_PDU_BYTES
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = idle_s
    return entity
