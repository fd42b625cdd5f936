"""How calls reach Label Studio: tokens, time limits, what is tried again, and errors for people.

Tokens of both kinds work: a legacy token is sent as it is, a personal access token (a refresh JWT)
is exchanged for a short-lived bearer. label-studio-sdk's client has no public way to fetch an image
or to page through tasks without their masks with either kind, so the calls are made with httpx.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx

from .errors import LabelStudioDown, LabelStudioError
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

# What a proxy or a busy Label Studio answers when the same call may well succeed a moment later.
BUSY = frozenset({429, 502, 503, 504})
# SQLite, which Label Studio uses by default, gives up on a lock after 5 s.
_LOCKED = "database is locked"
_FIRST_PAUSE_S = 0.3
_PATIENCE_S = 10.0


class TokenAuth(httpx.Auth):
    """Adds the Authorization header; renews a personal access token's bearer when it expires."""

    # Not requires_response_body, which would take all of an image into memory, however large.

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._api_key = api_key
        self._is_personal = is_personal(api_key)
        self._bearer = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._is_personal:
            request.headers["Authorization"] = f"Token {self._api_key}"
            yield request
            return
        if self._bearer:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
            response = yield request
            if response.status_code != 401:
                return
        renewed = yield httpx.Request(
            "POST", f"{self._url}/api/token/refresh/", json={"refresh": self._api_key}
        )
        renewed.read()
        if renewed.is_success:
            self._bearer = str(renewed.json()["access"])
        # With an expired token the request goes out without a bearer, and its 401 tells.
        request.headers["Authorization"] = f"Bearer {self._bearer}"
        yield request


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

        Raises LabelStudioError without a token, or if the file cannot be used.
        """
        self.url = url.rstrip("/")
        if not api_key:
            raise LabelStudioError(
                "no Label Studio token is set: copy one from Account & Settings > Access Token "
                "(or Personal Access Token) and set LABEL_STUDIO_API_KEY"
            )
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._image_hosts = image_hosts
        self._public_url = public_url
        self._trusted = trusted(ca_file)
        self._auth = TokenAuth(self.url, api_key)
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
        response = self._call(method, path, **arguments)
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{self.url} answered {path} with something else than JSON: is it a Label Studio?"
            ) from None

    def _call(
        self, method: str, path: str, *, repeatable: bool | None = None, **arguments: Any
    ) -> httpx.Response:
        """One call; `repeatable`: doing it twice does no harm (by default of a GET alone)."""
        may_repeat = method == "GET" if repeatable is None else repeatable
        response = self._patiently(
            lambda: self._http.request(method, path, **arguments), may_repeat
        )
        if response.status_code in (401, 403):
            raise LabelStudioError(
                f"{self.url} refuses the token (HTTP {response.status_code}): check "
                "LABEL_STUDIO_API_KEY, and that this kind of token is enabled in the organisation",
                response.status_code,
            )
        if response.is_redirect:
            raise LabelStudioError(
                f"{self.url} redirects {path}: set LABEL_STUDIO_URL to the final address, "
                "https:// included",
                response.status_code,
            )
        if response.is_error:
            raise LabelStudioError(
                f"{self.url} answered {method} {path} with HTTP {response.status_code}"
                f"{_detail(response)}",
                response.status_code,
            )
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
                # A call refused for its rate was not carried out, whatever it was.
                again = response.status_code == 429 or (may_repeat and _is_busy(response))
                if not again:
                    return response
                failure: Exception | None = None
                pause_s = max(pause_s, _asked_pause_s(response))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Where no connection came about, nothing was sent.
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                hopeless = isinstance(error, httpx.InvalidURL) or certificate_trouble(error)
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


def is_personal(token: str) -> bool:
    """Whether a token is a personal access token (a JWT), not a legacy one."""
    return token.count(".") == 2


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


def _is_busy(response: httpx.Response) -> bool:
    if response.status_code in BUSY:
        return True
    return response.status_code == 500 and _LOCKED in response.text


def _asked_pause_s(response: httpx.Response) -> float:
    """What Retry-After asks for in seconds; 0 without it, or if it names a date."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else 0.0


def _detail(response: httpx.Response) -> str:
    """Label Studio's own words about an error, without values that a task might hold."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return f" ({str(detail)[:120]})" if detail else ""
