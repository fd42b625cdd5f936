"""One request on its way through the server: how it is read, worked on, and refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from waitress.channel import ClientDisconnected  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.receiver import ChunkedReceiver  # type: ignore[import-untyped]
from waitress.task import ErrorTask, WSGITask  # type: ignore[import-untyped]
from waitress.utilities import BadRequest, InternalServerError  # type: ignore[import-untyped]

from ..bodies import MAX_BODY_BYTES, NOT_HTTP
from ..logs import type_and_place

log = logging.getLogger(__name__)

ANSWERS: Mapping[int, str] = {
    400: NOT_HTTP,
    413: f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB: send fewer tasks at once",
    431: "the head of the request is too large",
    500: "internal error: see the backend's log",
    501: "this transfer encoding is not known here: send the body with its length, or in chunks",
}
_LARGEST_CHUNK_HEAD = 8 * 2**10  # and of what may follow the chunks
_CHUNKS_OVERHEAD = 256 * 2**10  # each small chunk costs time, however little it holds


class Parser(HTTPRequestParser):
    """Chunks' heads and what follows them have a bound, too."""

    completed: bool
    error: Any

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        chunks = self.body_rcv
        if isinstance(chunks, ChunkedReceiver) and not self.completed:
            overhead = self.body_bytes_received - len(chunks)
            head = len(chunks.control_line) + len(chunks.trailer)
            if head > _LARGEST_CHUNK_HEAD or overhead > _CHUNKS_OVERHEAD:
                self.error = BadRequest("chunks")
                self.completed = True
        return taken


class Refusal(ErrorTask):
    """What the server refuses itself, in the words and the form of the application."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps({"error": ANSWERS.get(error.code, NOT_HTTP)}).encode() + b"\n"
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Work(WSGITask):
    """One request's work, in a thread."""

    def service(self) -> None:
        try:
            super().service()
        except ClientDisconnected:
            self.close_on_finish = True
        except Exception as error:  # waitress itself would log the request's path
            log.error("a request ended by %s", type_and_place(error))
            self.close_on_finish = True
            if not self.wrote_header:
                self.request.error = InternalServerError("")
                Refusal(self.channel, self.request).service()

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        # A part of a file would be read by a thread, for as long as the client takes.
        environ.pop("HTTP_RANGE", None)
        return environ

    def build_response_header(self) -> bytes:
        if self.channel.server.stopping:
            self.set_close_on_finish()
        head: bytes = super().build_response_header()
        return head
