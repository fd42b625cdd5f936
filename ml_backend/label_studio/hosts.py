"""Which hosts an image may come from, and at which addresses; nothing here opens a connection.

A task's data is written by whoever may import tasks, so its addresses are foreign input. Besides
Label Studio's own images only listed hosts are asked, and a listed name must not lead to an address
inside the network unless the list says so: whoever runs a name server could else point it there.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

import httpx

from .addresses import is_inside, is_public
from .errors import LabelStudioError

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
# Browsers read 2130706433, 0x7f.1 and 127.1 as addresses (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:@]+)(?::([0-9]{1,5}))?")
_PRIVATE = "private:"

# Where Label Studio serves images: uploads, local files, uploads kept in a cloud
# (data_import/urls.py), and a storage's files by task or project (io_storages/urls.py).
_MEDIA = re.compile(
    r"/(?:(?:data|storage-data)/.+|(?:tasks|projects)/[0-9]+/(?:resolve|presign)/?)"
)
# Some servers read these as . / and \ after a proxy has looked at the path.
_ENCODED = re.compile(r"%(?:2e|2f|5c)", re.IGNORECASE)
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:;[^/]*)?(?:/|$)")


@dataclass(frozen=True)
class Place:
    """Where a URL leads."""

    scheme: str  # http or https
    host: str  # in lower case, an IPv6 address without brackets
    port: int
    # An image of Label Studio's own: it alone gets the token.
    own: bool = field(default=False, compare=False)

    @property
    def shown(self) -> str:
        """For messages: host, and port if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Listed:
    """A host that images may come from; `port` None: the scheme's usual one."""

    host: str
    port: int | None
    private: bool  # its name may lead to an address inside the network


def listed_hosts(text: str) -> tuple[Listed, ...]:
    """The hosts in a comma-separated list. Raises ValueError, for people.

    Each is HOST or HOST:PORT, a name or an IP address (IPv6 in brackets); ``private:HOST:PORT`` if
    the name leads to an address inside the network.
    """
    return tuple(_listed(entry.strip()) for entry in text.split(",") if entry.strip())


def _listed(entry: str) -> Listed:
    rest = entry.lower()
    private = rest.startswith(_PRIVATE) and not rest[len(_PRIVATE) :].isdigit()
    found = _AUTHORITY.fullmatch(rest.removeprefix(_PRIVATE) if private else rest)
    host = _host(found[1]) if found else None
    port = int(found[2]) if found and found[2] else None
    if host is None or (port is not None and not 0 < port < 65536):
        raise ValueError(
            f"{entry[:80]!r} is no host: write HOST or HOST:PORT, without scheme, path or *"
        )
    return Listed(host, port, private)


def place_of(url: str) -> Place:
    """Where an absolute URL leads. Raises LabelStudioError for one that can be read in two ways."""
    try:
        parts, other = urlsplit(url), httpx.URL(url)
        found = _AUTHORITY.fullmatch(parts.netloc)
        host = _host(found[1]) if found else None
        usual = _PORTS[parts.scheme]
        if host is None or "\\" in parts.path or not is_clean(url):
            raise odd()
        place = Place(parts.scheme, host, parts.port or usual)
        # Two parsers that disagree: what is checked might not be what is asked.
        if place != Place(other.scheme, other.raw_host.decode("ascii"), other.port or usual):
            raise odd()
    except (ValueError, KeyError, httpx.InvalidURL):
        raise odd() from None
    return place


def below(path: str, base: str) -> str | None:
    """Where among Label Studio's images a path is, if Label Studio is at `base`; else None."""
    rest = path[len(base) :] if path.startswith(f"{base}/") else ""
    return rest if _MEDIA.fullmatch(unquote(rest)) else None


def _path(url: httpx.URL) -> str:
    """As it is sent."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _climbs(path: str) -> bool:
    """Whether somebody may read it as one that leads elsewhere, however often it is decoded."""
    for _ in range(4):
        if "\\" in path or _ENCODED.search(path) or _DOTS.search(path):
            return True
        path, before = unquote(path), path
        if path == before:
            return False
    return True


def is_clean(url: str) -> bool:
    """Whether there is nothing in it that parsers leave out without a word."""
    return url == url.strip() and not any(unicodedata.category(c) == "Cc" for c in url)


def odd() -> LabelStudioError:
    """What is raised for an address that is none, or can be read in two ways."""
    return LabelStudioError(
        "the image's address is not a plain http:// or https:// one (no user name, no odd spelling "
        "of host or path): import the slice again, or correct the task"
    )


def _host(text: str) -> str | None:
    """A host as it is compared, None if it is none or is spelled oddly."""
    text = text.lower()
    if text.startswith("[") and text.endswith("]"):
        try:
            return ipaddress.IPv6Address(text[1:-1]).compressed if "%" not in text else None
        except ValueError:
            return None
    if _NUMBER.fullmatch(text):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            return None
    return text if _NAME.fullmatch(text) and ".." not in text else None


class Hosts:
    """The hosts that images may come from: Label Studio's own, and those listed."""

    def __init__(self, own_url: str, listed: str = "") -> None:
        """Raises LabelStudioError if the list cannot be read."""
        own = httpx.URL(own_url)
        self.own = Place(
            own.scheme, own.raw_host.decode("ascii"), own.port or _PORTS.get(own.scheme, 0)
        )
        self._base = _path(own).rstrip("/")
        try:
            self._listed = listed_hosts(listed)
        except ValueError as error:
            raise LabelStudioError(f"QUORUM_IMAGE_HOSTS: {error}") from None

    def checked(self, url: str) -> Place:
        """Where a URL leads. Raises LabelStudioError if no image may come from there.

        Below Label Studio's address other sites may lie, which other people write: what is on its
        host and is no image of its own is a foreign host's, to be listed and without the token.
        """
        place = place_of(url)
        if place == self.own:
            if _climbs(urlsplit(url).path):
                raise odd()
            if below(_path(httpx.URL(url)), self._base):
                return replace(place, own=True)
        if not any(
            each.host == place.host and (each.port or _PORTS[place.scheme]) == place.port
            for each in self._listed
        ):
            if place == self.own:
                raise LabelStudioError(
                    "the address is on Label Studio's host but is no image of Label Studio's: "
                    f"import the image (./quorum import), or name {place.shown} in "
                    "QUORUM_IMAGE_HOSTS; Label Studio's token is not sent there"
                )
            raise LabelStudioError(
                f"the image is not served by Label Studio but by {place.shown}: import it there "
                "(./quorum import), or name the host in QUORUM_IMAGE_HOSTS; if that is Label "
                "Studio's address in browsers, set LABEL_STUDIO_PUBLIC_URL"
            )
        if place.scheme == "http" and self.own.scheme == "https":
            raise LabelStudioError(
                f"{place.shown} would send the image unencrypted, and Label Studio is reached by "
                "https://: serve it by https:// too"
            )
        return place

    def addresses(self, host: str, port: int, resolved: Sequence[str]) -> Sequence[str]:
        """The addresses of a host that may be connected to: all that it has, or none.

        resolved: what its name leads to. Raises LabelStudioError.
        """
        if host == self.own.host:
            return resolved
        named = [each for each in self._listed if each.host == host and each.port in (None, port)]
        for address in map(ipaddress.ip_address, resolved):
            literal = any(each.host == str(address) for each in self._listed)
            private = any(each.private for each in named)
            if literal or is_public(address) or (private and is_inside(address)):
                continue
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            remedy = (
                f"if that is your own store, write private:{shown} in QUORUM_IMAGE_HOSTS"
                if is_inside(address)
                else "no image is fetched from there"
            )
            raise LabelStudioError(f"{shown} leads to the address {address}: {remedy}")
        return resolved
