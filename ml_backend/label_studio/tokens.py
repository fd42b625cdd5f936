"""Who Quorum is to Label Studio, by either kind of token.

A legacy token is sent as it is, a personal access token (a refresh JWT) is exchanged for a
short-lived bearer.
"""

from __future__ import annotations

from collections.abc import Generator

import httpx

from .answers import check, is_busy, json_of, not_label_studio
from .errors import LabelStudioDown, LabelStudioError

_REFRESH = "/api/token/refresh/"


class TokenAuth(httpx.Auth):
    """Adds the Authorization header; renews a personal access token's bearer when it expires.

    A renewal that finds Label Studio busy is the call's answer: the call itself was not carried
    out. One that is refused raises LabelStudioError; one that fails otherwise raises
    LabelStudioDown, without a status: a caller would take that for what became of its own call.
    """

    # Not requires_response_body, which would take all of an image into memory, however large.

    def __init__(self, url: str, api_key: str) -> None:
        """Raises LabelStudioError without a token, or for one that no header can hold."""
        self._url = url.rstrip("/")
        self._api_key = _checked(api_key)
        self._is_personal = is_personal(self._api_key)
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
            "POST", f"{self._url}{_REFRESH}", json={"refresh": self._api_key}
        )
        renewed.read()
        if is_busy(renewed):
            return
        self._bearer = self._bearer_in(renewed)
        request.headers["Authorization"] = f"Bearer {self._bearer}"
        yield request

    def _bearer_in(self, renewed: httpx.Response) -> str:
        if renewed.status_code in (401, 403):
            raise LabelStudioError(
                f"{self._url} refuses the token (HTTP {renewed.status_code}): it has ended, was "
                "revoked or is not whole, or the organisation does not allow its kind. Make a new "
                "one under Account & Settings > Personal Access Token and set LABEL_STUDIO_API_KEY",
                renewed.status_code,
            )
        try:
            check(self._url, "POST", _REFRESH, renewed)
            told = json_of(self._url, _REFRESH, renewed)
            bearer = told.get("access") if isinstance(told, dict) else None
            if not isinstance(bearer, str) or not _fits_header(bearer):
                raise not_label_studio(self._url, _REFRESH)
        except LabelStudioError as error:
            raise LabelStudioDown(str(error)) from None
        return bearer


def is_personal(token: str) -> bool:
    """Whether a token is a personal access token (a JWT), not a legacy one."""
    return token.count(".") == 2


def is_renewal(response: httpx.Response) -> bool:
    """Whether this answers a bearer's renewal, and not the call that needed it."""
    return response.request.url.path.endswith(_REFRESH)


def _checked(api_key: str) -> str:
    """The token without the white space that files and shells leave around it."""
    token = api_key.strip()
    if not token:
        raise LabelStudioError(
            "no Label Studio token is set: copy one from Account & Settings > Access Token "
            "(or Personal Access Token) and set LABEL_STUDIO_API_KEY"
        )
    if not _fits_header(token):
        raise LabelStudioError(
            "LABEL_STUDIO_API_KEY holds characters that no token of Label Studio has: copy it "
            "again from Account & Settings"
        )
    return token


def _fits_header(text: str) -> bool:
    return bool(text.strip()) and text.isascii() and text.isprintable()
