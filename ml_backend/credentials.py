"""Who may call the backend: user and password as Label Studio sends them, or the webhooks' secret.

Everything but `/` and `/health` needs them. Guessing is limited by address, and whoever has shown
the right ones before, as Label Studio has, is never kept out by what others at its address try.
"""

from __future__ import annotations

import hmac
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field

from flask import current_app, request
from redis import Redis
from redis.exceptions import RedisError
from werkzeug.exceptions import TooManyRequests, Unauthorized

from .callers import caller, networks_in
from .label_studio.attached import SECRET_HEADER
from .settings import Settings, SettingsError, variable_of
from .windows import PER_ADDRESS, WINDOW_S, Windows, hashed

log = logging.getLogger(__name__)

MOST_GUESSES = PER_ADDRESS  # that differ: the same wrong password is counted once
_REMEMBERED_S = 30 * 24 * 3600
_NOTED_EVERY_S = 3600


def require_credentials(settings: Settings) -> None:
    """Refuse settings under which somebody could call the backend without credentials.

    Raises SettingsError, which names the variable and the remedy.
    """
    for name in ("basic_auth_user", "basic_auth_password", "webhook_secret"):
        value, variable = str(getattr(settings, name)), variable_of(name)
        if not value:
            raise SettingsError(
                f"{variable} is not set, and the backend answers nobody without credentials: "
                "./quorum up makes them; elsewhere set it, to what openssl rand -hex 24 prints "
                "for example"
            )
        # Label Studio and proxies change or drop other characters on their way in a header.
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise SettingsError(
                f"{variable} must have letters, digits and signs of ASCII alone, without spaces "
                "around it: Label Studio could not send it"
            )
    if ":" in settings.basic_auth_user:
        raise SettingsError(
            f"{variable_of('basic_auth_user')} must have no colon: in basic auth one ends the user"
        )


@dataclass
class _Tried:
    """What an address has tried in its window."""

    wrong: set[int] = field(default_factory=set)
    asked_redis: bool = False


@dataclass
class Guesses:
    """Wrong credentials by address, and the addresses that have shown right ones.

    The same wrong password counts once, however often it comes: after a change of password Label
    Studio sends the old one until somebody connects again, and that is no guessing.
    """

    redis: Redis
    _tried: Windows[_Tried] = field(default_factory=lambda: Windows(_Tried))
    _right: dict[str, float] = field(default_factory=dict)

    def refuses(self, address: str) -> bool:
        """Whether an address has guessed so often that its credentials are not looked at."""
        with self._tried.lock:
            tried = self._tried.get(address)
            if tried is None or len(tried.wrong) < MOST_GUESSES or address in self._right:
                return False
            if tried.asked_redis:
                return True
            tried.asked_redis = True
        try:
            before = bool(self.redis.exists(_key(address)))  # this process may have started late
        except RedisError:
            before = False
        if before:
            with self._tried.lock:
                self._right[address] = time.monotonic()
        else:
            log.warning("%s has guessed too often: it is refused for a while", address)
        return not before

    def wrong(self, address: str, credentials: str) -> None:
        """These were wrong."""
        shape = hash(credentials)  # keyed: nothing can be read back from it
        with self._tried.lock:
            tried = self._tried.of(address)
            new = shape not in tried.wrong and len(tried.wrong) < MOST_GUESSES
            if new:
                tried.wrong.add(shape)
        if new:
            log.warning("%s sent wrong credentials", address)

    def right(self, address: str) -> None:
        """These were right: whatever else comes from there, the right ones are looked at."""
        now = time.monotonic()
        with self._tried.lock:
            noted = self._right.get(address)
            if noted is not None and now - noted < _NOTED_EVERY_S:
                return
            self._right[address] = now
        with suppress(RedisError):
            self.redis.set(_key(address), 1, ex=_REMEMBERED_S)


def admit() -> None:
    """Before each request: let in who sends the right credentials.

    Raises Unauthorized, TooManyRequests.
    """
    # The pages see to it themselves: people sign in there, scripts send user and password.
    if request.endpoint in ("root", "health") or request.blueprint == "progress":
        return
    check_credentials(or_secret=request.endpoint == "webhook")


def check_credentials(or_secret: bool = False) -> None:
    """Look at the user and password in a request's header, or else at the webhooks' secret.

    Raises Unauthorized, TooManyRequests.
    """
    about = current_app.extensions["quorum"]
    settings: Settings = about["settings"]
    guesses: Guesses = about["guesses"]
    address = address_of_caller()
    if guesses.refuses(address):
        raise too_many()
    user, password = _basic_auth()
    secret = request.headers.get(SECRET_HEADER, "") if or_secret else ""
    right_user = same(user, settings.basic_auth_user)
    right = same(password, settings.basic_auth_password) and right_user
    if or_secret:
        right = same(secret, settings.webhook_secret) or right
    if right:
        guesses.right(address)
        return
    if secret or "Authorization" in request.headers:
        guesses.wrong(address, f"{request.headers.get('Authorization')}\0{secret}")
    if or_secret:
        raise Unauthorized(
            f"the webhook's {SECRET_HEADER} header is missing or wrong: run ./quorum connect "
            "with the project's number"
        )
    raise Unauthorized("user or password is missing or wrong")


def _basic_auth() -> tuple[str, str]:
    """User and password of a request's header, empty if there are none."""
    try:
        given = request.authorization
    except ValueError:  # werkzeug lets it through for what is not even ASCII
        return "", ""
    if given is None or given.type != "basic":
        return "", ""
    return given.username or "", given.password or ""


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how far; an empty one fits none.

    What cannot be encoded is equal to nothing.
    """
    fits = hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
    return fits and bool(wanted)


def address_of_caller() -> str:
    """Whose attempts are counted together, told by proxies where those are trusted."""
    settings: Settings = current_app.extensions["quorum"]["settings"]
    return caller(
        request.remote_addr or "",
        request.headers.get("X-Forwarded-For", ""),
        networks_in(settings.trusted_proxies),
    )


def too_many() -> TooManyRequests:
    """To be raised for one who has guessed too often."""
    minutes = WINDOW_S // 60
    return TooManyRequests(
        f"too many wrong passwords from your address: wait {minutes} minutes, then try again",
        retry_after=WINDOW_S,
    )


def _key(address: str) -> str:
    return f"quorum:callers:{hashed(address)}"
