"""How calls reach Label Studio: time limits, what is tried again, and errors for people.

Tokens of both kinds work (see tokens). label-studio-sdk's client has no public way to fetch an
image or to page through tasks without their masks with either kind, so the calls are made with
httpx.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx

from .answers import BUSY, asked_pause_s, check, is_busy, json_of
from .errors import LabelStudioDown, LabelStudioError
from .tokens import TokenAuth, is_personal, is_renewal
from .trust import trusted

__all__ = [
    "BUSY",
    "LabelStudioDown",
    "LabelStudioError",
    "TokenAuth",
    "Transport",
    "certificate_trouble",
    "is_personal",
]

_FIRST_PAUSE_S = 0.3
_PATIENCE_S = 10.0
# What cannot be sent today cannot be sent a moment later.
_HOPELESS = (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class Transport:
    """A connection to one Label Studio as one user.

    A call that may be repeated without harm is tried again while Label Studio is busy, restarting
    or its database locked, with growing pauses and for `patience_s` at most.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        timeout_s: float = 60.0,
        patience_s: float = _PATIENCE_S,
        image_hosts: str = "",
        public_url: str = "",
        ca_file: str = "",
    ) -> None:
        """image_hosts, public_url, ca_file: as the settings of these names (see pictures, trust).

        Raises LabelStudioError without a token that can be sent, or if the file cannot be used.
        """
        self.url = url.rstrip("/")
        self._auth = TokenAuth(self.url, api_key)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._image_hosts = image_hosts
        self._public_url = public_url
        self._trusted = trusted(ca_file)
        # Redirects are not followed: they could carry the token to another host.
        self._http = httpx.Client(
            base_url=self.url,
            auth=self._auth,
            timeout=timeout_s,
            trust_env=False,
            verify=self._trusted,
        )

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        return json_of(self.url, path, self._call(method, path, **arguments))

    def _call(
        self, method: str, path: str, *, repeatable: bool | None = None, **arguments: Any
    ) -> httpx.Response:
        """One call; `repeatable`: doing it twice does no harm (by default of a GET alone)."""
        may_repeat = method == "GET" if repeatable is None else repeatable
        response = self._patiently(
            lambda: self._http.request(method, path, **arguments), may_repeat
        )
        check(self.url, method, path, response)
        return response

    def _patiently(
        self,
        call: Callable[[], httpx.Response],
        may_repeat: bool,
        down: Callable[[Exception], LabelStudioError] | None = None,
    ) -> httpx.Response:
        """Call, and call again while that may help. Raises what `down` makes: LabelStudioDown."""
        down = down or self._down
        until = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                response = call()
                # A call refused for its rate, or for want of a bearer, was not carried out,
                # whatever it was.
                again = response.status_code == 429 or (
                    (may_repeat or is_renewal(response)) and is_busy(response)
                )
                if not again:
                    return response
                failure: Exception | None = None
                pause_s = max(pause_s, asked_pause_s(response))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Where no connection came about, nothing was sent.
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                hopeless = isinstance(error, _HOPELESS) or certificate_trouble(error)
                if not (may_repeat or never_sent) or hopeless:
                    raise down(error) from None
                failure = error
            if time.monotonic() + pause_s > until:
                if failure is not None:
                    raise down(failure) from None
                return response
            # Many clients that were cut off together must not come back together.
            time.sleep(pause_s * random.uniform(0.75, 1.0))
            pause_s *= 2

    def _down(self, error: Exception) -> LabelStudioDown:
        if isinstance(error, httpx.TimeoutException):
            return LabelStudioDown(f"{self.url} did not answer in time: is Label Studio busy?")
        if trouble := certificate_trouble(error):
            return LabelStudioDown(f"{self.url} {trouble}")
        return LabelStudioDown(
            f"{self.url} cannot be reached: check LABEL_STUDIO_URL and that Label Studio is running"
        )


def certificate_trouble(error: BaseException | None) -> str:
    """What to say of a call that failed for the server's certificate: "" if it did not."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    if error is None:
        return ""
    return (
        f"has a certificate that is not accepted ({error.verify_message}): if your own authority "
        "made it, set QUORUM_CA_FILE to the PEM file of its certificate"
    )
