"""What is checked: the settings, and the servers that they name, as a check reaches them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from redis import Redis

from ..connection import connections, usual_url
from ..label_studio import LabelStudio, LabelStudioError
from ..label_studio.trust import trusted
from ..settings import Settings
from ..store import StoreError
from .findings import CannotTellError

REQUEST_S = 8.0  # one call to Label Studio, Redis or the backend


@dataclass
class Deployment:
    """One installation of Quorum, from the host that checks it.

    `now` is this host's clock (seconds since 1970). What turns out not to be there is noted in
    `away`, so that the checks behind it do not wait for it again.
    """

    settings: Settings
    asked_backend_url: str = ""
    least_free_bytes: int = 2 * 2**30
    webhook_wait_s: float = 10.0
    now: Callable[[], float] = time.time
    away: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _label_studio(self) -> LabelStudio:
        # Asked once, and not for long: who waits for an answer wants to see that there is none.
        return LabelStudio.of(replace(self.settings, request_timeout_s=REQUEST_S, patience_s=0.0))

    @property
    def label_studio(self) -> LabelStudio:
        """Label Studio with the settings' token. Raises CannotTellError if it is away."""
        self.need("Label Studio")
        try:
            return self._label_studio
        except LabelStudioError as error:
            raise CannotTellError(str(error)) from None

    @property
    def trusted(self) -> ssl.SSLContext:
        """Whose certificates are believed. Raises CannotTellError if the file is of no use."""
        try:
            return trusted(self.settings.ca_file)
        except LabelStudioError as error:
            raise CannotTellError(str(error)) from None

    @cached_property
    def any_redis(self) -> Redis:
        """The settings' Redis, whether it answers or not."""
        return Redis.from_url(
            self.settings.redis_url, socket_connect_timeout=3.0, socket_timeout=REQUEST_S
        )

    @property
    def redis(self) -> Redis:
        """The settings' Redis. Raises CannotTellError if it is away."""
        self.need("Redis")
        return self.any_redis

    def need(self, server: str) -> None:
        """Raises CannotTellError if a server was found to be away."""
        if server in self.away:
            raise CannotTellError(self.away[server])

    @cached_property
    def backend_url(self) -> str:
        """The backend's address: as asked for, as projects are connected to, or as it runs here."""
        if self.asked_backend_url:
            return self.asked_backend_url.rstrip("/")
        try:
            known = [c.backend_url for c in connections(self.settings).values() if c.connected]
        except StoreError:
            known = []
        return known[-1] if known else usual_url(self.settings)
