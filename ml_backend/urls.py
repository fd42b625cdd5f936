"""What the addresses in settings may look like; in those of web pages no password may stand."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

WEB_ADDRESS = "an http:// or https:// address, without user name, password, ? or #"
REDIS_ADDRESS = (
    "redis://, rediss:// or unix://, as redis://USER:PASSWORD@HOST:PORT/0; in the password write / "
    "as %2F, ? as %3F, # as %23, @ as %40, % as %25"
)


def is_web_address(text: str) -> bool:
    """Whether it is http(s)://HOST, with a port and a path where there are any."""
    parts = _split(text)
    return (
        parts is not None
        and text.startswith(("http://", "https://"))
        and bool(parts.hostname)
        and not set("@?#\\").intersection(text)
        and not any(character.isspace() or not character.isprintable() for character in text)
    )


def is_origin(text: str) -> bool:
    """Whether it is such an address of a whole host, without a path."""
    parts = _split(text)
    return is_web_address(text) and parts is not None and parts.path in ("", "/")


def is_redis_address(text: str) -> bool:
    """Whether all readers agree where its password ends.

    An unencoded / in a password ends the host for them: what follows is read as a database, and is
    shown in messages.
    """
    parts = _split(text)
    if parts is None or parts.scheme not in ("redis", "rediss", "unix"):
        return False
    rest = f"{parts.path}?{parts.query}#{parts.fragment}"
    if parts.scheme == "unix":
        return (not parts.netloc or ("@" in parts.netloc and "@" not in rest)) and bool(parts.path)
    return "@" not in rest


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError
    except ValueError:
        return None
    return parts
