"""What the C-STORE receiver takes from the network: bounded in bytes, requests and time."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer

MAX_PDU_BYTES = 2**17  # of a P-DATA-TF
_OTHER_PDU_BYTES = 2**20  # 128 contexts with all transfer syntaxes take some 100 KiB
_COMMAND_BYTES = 2**16  # of a message beside its data set
_P_DATA_TF = 0x04  # PS3.8 9.3.5
_PDU_HEADER = struct.Struct(">BxL")


class Pending:
    """What associations have sent and is not on the disk yet: bounded for one and for all."""

    def __init__(self, one: int, all_together: int, refused: Callable[[], None]) -> None:
        self._one, self._all, self._refused = one, all_together, refused
        self._lock = threading.Lock()
        self._data: Counter[Association] = Counter()  # bytes of data sets
        self._command: Counter[Association] = Counter()  # bytes of the command now coming
        self._unanswered: Counter[Association] = Counter()  # C-STORE requests
        self._dropped: set[Association] = set()

    def handlers(self) -> list[Any]:
        return [
            (evt.EVT_PDU_RECV, self._pdu),
            (evt.EVT_DIMSE_RECV, self._message),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def is_dropped(self, association: Association) -> bool:
        with self._lock:
            return association in self._dropped

    def done(self, association: Association, size: int) -> None:
        """A C-STORE request was handled."""
        with self._lock:
            if association in self._data:
                self._data[association] -= size
                self._unanswered[association] -= 1

    def _pdu(self, event: evt.Event) -> None:
        if not isinstance(event.pdu, P_DATA_TF):
            return
        association = event.assoc
        with self._lock:
            if association in self._dropped:
                return
            for item in event.pdu.presentation_data_value_items:
                value = item.presentation_data_value or b""
                is_command = bool(value) and bool(value[0] & 1)  # PS3.8 E.2
                counts = self._command if is_command else self._data
                counts[association] += max(0, len(value) - 1)
            too_much = (
                self._data[association] > self._one
                or sum(self._data.values()) > self._all
                or self._command[association] > _COMMAND_BYTES
            )
        if too_much:
            self._drop(association)

    def _message(self, event: evt.Event) -> None:
        association = event.assoc
        with self._lock:
            self._command[association] = 0
            if isinstance(event.message, C_STORE_RQ):
                self._unanswered[association] += 1
            else:
                data_set = event.message.data_set
                self._data[association] -= len(data_set.getbuffer()) if data_set else 0
            # More than one is not negotiated (PS3.7 D.3.3.3), and would pile up in memory.
            too_many = self._unanswered[association] > 1
        if too_many:
            self._drop(association)

    def _drop(self, association: Association) -> None:
        with self._lock:
            if association in self._dropped:
                return
            self._dropped.add(association)
        self._refused()
        association.abort()  # within a handler it does not block

    def _closed(self, event: evt.Event) -> None:
        wake(event.assoc)
        with self._lock:
            self._dropped.discard(event.assoc)
            for counts in (self._data, self._command, self._unanswered):
                counts.pop(event.assoc, None)


def wake(association: Association) -> None:
    """End an association whose peer closed before it asked for one; it would wait in vain."""
    cast(Any, association.dul.to_user_queue).put(None)


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections whose PDUs are bounded, and prints nothing about them."""

    idle_s = 60.0
    max_connections = 16

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted, address = super().get_request()
        bounded = _BoundedSocket(fileno=accepted.detach())
        bounded.settimeout(self.idle_s)
        return bounded, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < self.max_connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The library's would print a traceback."""

    def shutdown(self) -> None:
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class _BoundedSocket(socket.socket):
    """A connection on which no PDU is too long or too slow.

    pynetdicom reads a PDU of the length its header claims, up to 4 GiB, however long it takes.
    """

    _header = b""
    _left = 0  # bytes of the PDU's content still to come
    _begun_s = 0.0

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        data = super().recv(bufsize, flags)
        at = 0
        while at < len(data):
            if not self._left and not self._header:
                self._begun_s = time.monotonic()
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = min(_PDU_HEADER.size - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == _PDU_HEADER.size:
                    kind, self._left = _PDU_HEADER.unpack(self._header)
                    self._header = b""
                    most = MAX_PDU_BYTES if kind == _P_DATA_TF else _OTHER_PDU_BYTES
                    if self._left > most:
                        raise ConnectionAbortedError
            at += step
        if self._left and time.monotonic() - self._begun_s > (self.gettimeout() or 60.0):
            raise ConnectionAbortedError
        return data
