"""One exchange with a DICOMweb server: its account, its bounds, and why it came to nothing."""

from __future__ import annotations

import io
import ipaddress
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import DecodeError, HTTPError

Reason = Literal[
    "server-unreachable",
    "untrusted-certificate",
    "redirected",
    "refused",
    "not-found",
    "server-error",
    "damaged-answer",
    "too-large",
]

REMEDIES: dict[Reason, str] = {
    "server-unreachable": "the server does not answer: check the address, then start again",
    "untrusted-certificate": "the server's certificate is not trusted: name its authority's file "
    "in REQUESTS_CA_BUNDLE",
    "redirected": "the server sends elsewhere, where nothing is sent: give the address it ends at",
    "refused": "the server refuses: check QUORUM_DICOMWEB_USER and _PASSWORD, or _TOKEN, and the "
    "account's rights",
    "not-found": "the server does not have it (any more): check the address and the UIDs",
    "server-error": "the server failed: look into its log, then start again",
    "damaged-answer": "the answer is not DICOMweb: check the address (…/dicom-web, …/rs)",
    "too-large": "the object is beyond the limit on bytes: raise it, or export the object split",
}

_SEARCH_BYTES = 64 * 2**20  # of one page
EXCHANGE = 20  # times timeout_s
_HEADER_BYTES = 2**14  # of a part
_BUSY = (429, 502, 503, 504)

_Answer = TypeVar("_Answer")


class ExchangeError(Exception):
    """An exchange that came to nothing; always handled here."""

    def __init__(self, reason: Reason, again: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.wait_s = wait_s


def one_part(content_type: str, chunks: Iterator[bytes], limit: int) -> bytes:
    """The object in a multipart/related answer of one part, or in a bare application/dicom.

    Raises ExchangeError("damaged-answer" | "too-large"). Source: PS3.18 8.7.3, RFC 2046 5.1.1.
    """
    parsed = Message()
    parsed["Content-Type"] = content_type
    boundary = parsed.get_boundary()
    content = io.BytesIO()  # its getvalue() makes no copy

    def write(data: bytes) -> None:
        if content.tell() + len(data) > limit:
            raise ExchangeError("too-large")
        content.write(data)

    if parsed.get_content_type() == "application/dicom":
        for chunk in chunks:
            write(chunk)
        return content.getvalue()
    if parsed.get_content_type() != "multipart/related" or not boundary:
        raise ExchangeError("damaged-answer")
    delimiter = b"\r\n--" + boundary.encode("ascii", "replace")
    data = b"\r\n"  # the first delimiter may stand without its line break
    while True:
        start = data.find(delimiter)
        end = data.find(b"\r\n\r\n", start + len(delimiter)) if start >= 0 else -1
        if end >= 0:
            break
        if len(data) > _HEADER_BYTES + 2**18:
            raise ExchangeError("damaged-answer")
        data += _next(chunks)
    data = data[end + 4 :]
    while (at := data.find(delimiter)) < 0:
        safe = max(0, len(data) - len(delimiter) + 1)  # what follows may begin a delimiter
        write(data[:safe])
        data = data[safe:] + _next(chunks)
    write(data[:at])
    after = data[at + len(delimiter) :]
    while len(after) < 2:
        after += _next(chunks)
    if after[:2] != b"--":
        raise ExchangeError("damaged-answer")  # a second part: not what was asked for
    return content.getvalue()


def _next(chunks: Iterator[bytes]) -> bytes:
    for chunk in chunks:
        return chunk
    raise ExchangeError("damaged-answer", again=True)  # cut off


def chunks_of(response: requests.Response, limit_s: float) -> Iterator[bytes]:
    """An answer's body as it comes, unless a server that drips it takes too long."""
    end = time.monotonic() + limit_s
    while chunk := response.raw.read1(2**18, decode_content=True):
        if time.monotonic() > end:
            raise ExchangeError("server-unreachable", again=True)
        yield chunk


def reasoned(exchange: Callable[[], _Answer]) -> _Answer:
    """What an exchange brings.

    Raises ExchangeError, never a library's error, which quotes addresses.
    """
    try:
        return exchange()
    except requests.HTTPError as error:
        raise _failed_status(error.response) from None
    except requests.TooManyRedirects:
        raise ExchangeError("redirected") from None
    except requests.exceptions.SSLError as error:
        if _caused_by(error, ssl.SSLCertVerificationError):
            raise ExchangeError("untrusted-certificate") from None
        raise ExchangeError("server-unreachable", again=True) from None
    except (requests.exceptions.ContentDecodingError, DecodeError):
        raise ExchangeError("damaged-answer") from None
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        HTTPError,
    ):
        raise ExchangeError("server-unreachable", again=True) from None
    except (requests.RequestException, ValueError, TypeError, AttributeError, RecursionError):
        raise ExchangeError("damaged-answer") from None  # no JSON, or JSON that is not DICOM's


def _failed_status(response: requests.Response | None) -> ExchangeError:
    if response is None:
        return ExchangeError("server-error")
    status = response.status_code
    if status in _BUSY:
        asked = response.headers.get("Retry-After", "")
        wait_s = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        return ExchangeError("server-unreachable", again=True, wait_s=wait_s)
    if status in (401, 403, 407):
        return ExchangeError("refused")
    return ExchangeError("not-found" if status in (404, 410) else "server-error")


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_session(url: str, environment: Mapping[str, str]) -> requests.Session:
    """A session for an address and an account. Raises ValueError, quoting neither."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ValueError("the address of a DICOMweb server looks like https://HOST/dicom-web")
    if "@" in parts.netloc:
        raise ValueError(
            "no account in the address, where others see it: set QUORUM_DICOMWEB_USER and "
            "QUORUM_DICOMWEB_PASSWORD"
        )
    allowed = environment.get("QUORUM_DICOMWEB_ALLOW_HTTP") == "1"
    if parts.scheme == "http" and not (allowed or _is_loopback(host)):
        raise ValueError(
            "plain http shows patients' data and the password to the network: use https, or set "
            "QUORUM_DICOMWEB_ALLOW_HTTP=1"
        )
    # These two would write addresses and servers' warnings, UIDs among them.
    for name in ("dicomweb_client", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    session = _Session()
    session.auth = _account(environment)
    # Pixels hardly shrink, and a server that packs them is 10 times slower (Orthanc).
    session.headers["Accept-Encoding"] = "identity"
    # The environment's proxy and authorities are for TLS; a proxy would read plain http.
    session.trust_env = parts.scheme == "https"
    return session


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _account(environment: Mapping[str, str]) -> AuthBase:
    user, password, token = (
        environment.get(f"QUORUM_DICOMWEB_{name}", "") for name in ("USER", "PASSWORD", "TOKEN")
    )
    if bool(user) != bool(password) or (user and token):
        raise ValueError(
            "set QUORUM_DICOMWEB_USER and QUORUM_DICOMWEB_PASSWORD, or QUORUM_DICOMWEB_TOKEN alone"
        )
    if user:
        return HTTPBasicAuth(user.encode(), password.encode())
    if token and not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):  # RFC 6750 2.1
        raise ValueError("QUORUM_DICOMWEB_TOKEN is no bearer token")
    return _Bearer(token)


class _Bearer(AuthBase):
    """A bearer token, or nothing; either way ~/.netrc is not asked."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    """Follows no redirect, and reads no answer without a bound."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        if resp.is_redirect:
            resp.close()
            raise requests.TooManyRedirects
        return None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        request.headers.pop("Host", None)  # dicomweb-client's lacks the port
        # It escapes wildcards, which need not be (RFC 3986 3.4) and Orthanc 1.10 takes literally.
        request.url = (request.url or "").replace("%2A", "*")
        streamed = kwargs.pop("stream", False)
        response = super().send(request, stream=True, **kwargs)
        if not streamed:  # a search
            body = io.BytesIO()
            with response:
                for chunk in chunks_of(response, EXCHANGE * float(kwargs["timeout"])):
                    if body.tell() + len(chunk) > _SEARCH_BYTES:
                        raise ExchangeError("damaged-answer")
                    body.write(chunk)
            body.seek(0)
            response.raw = body
        return response
