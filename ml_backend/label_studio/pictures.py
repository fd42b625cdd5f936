"""A task's image, fetched with care: from whom, how often passed on, how large and how long.

Label Studio serves uploads, local files and, if so set, what lies in a project's cloud storage. It
may also answer with a redirect to an address of the store's own (a presigned URL); that is followed
if the store's host is listed in QUORUM_IMAGE_HOSTS, and Label Studio's token is not sent there.
The token goes to the paths alone under which Label Studio serves images (see hosts).
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

import httpx

from ..caches.pictures import PictureCache
from .errors import LabelStudioDown, LabelStudioError
from .guarded import Deadline, GuardedTransport, Resolve, system_addresses
from .hosts import Hosts, Place, below, is_clean, odd, place_of
from .transport import BUSY, Transport

# Of Label Studio's import storages, io_storages/*/models.py (url_scheme).
_STORAGES = frozenset({"s3", "gs", "azure-blob"})
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_MOST_REDIRECTS = 3
_REMARK_BYTES = 2**16  # of an error's body, which may say that the database is locked
_PIECE = 2**16
# Some uploaders leave the name of their own transfer on the object; the bytes are plain.
_PLAIN = frozenset({"", "identity", "aws-chunked"})
_LOGIN = "/user/login"


class Pictures(Transport):
    """The call that fetches an image."""

    resolve: ClassVar[Resolve] = staticmethod(system_addresses)
    most_bytes: ClassVar[int] = 256 * 2**20  # of an image, as it is sent and unpacked
    longest_s: ClassVar[float] = 300.0  # for one answer in all, however steadily it comes
    kept: PictureCache | None = None  # of the project that this client is used for

    def image(self, url: str, task_id: int | None = None) -> bytes:
        """The bytes of a task's image, from Label Studio or a listed host.

        task_id: needed for an address in a cloud storage (s3://, gs://, azure-blob://), which Label
        Studio resolves for its task. Raises LabelStudioError if the image is gone, too large, slow,
        or where none may be fetched from; LabelStudioDown if its server cannot be reached.
        """
        kept = self.kept.get(task_id, url) if self.kept and task_id else None
        if kept is not None:
            return kept
        content = self._fetched(url, task_id)
        if self.kept and task_id:
            self.kept.keep(task_id, url, content)
        return content

    def _fetched(self, url: str, task_id: int | None) -> bytes:
        target = self._at_home(self._address(url, task_id))
        for _ in range(_MOST_REDIRECTS + 1):
            place = self._hosts.checked(target)
            response = self._asked(target, place)
            if not response.has_redirect_location:
                return self._content(response, place)
            target = self._at_home(_joined(target, response.headers["Location"]))
            if place.own and self._is_login(target):
                raise LabelStudioError(
                    f"{self.url} refuses the token for images: check LABEL_STUDIO_API_KEY", 401
                )
        raise LabelStudioError(
            f"the image is redirected more than {_MOST_REDIRECTS} times: correct the task's address"
        )

    def __exit__(self, *exception: object) -> None:
        if "_picture_client" in vars(self):
            self._picture_client.close()
        super().__exit__(*exception)

    @cached_property
    def _hosts(self) -> Hosts:
        return Hosts(self.url, self._image_hosts)

    @cached_property
    def _deadline(self) -> Deadline:
        return Deadline()

    @cached_property
    def _picture_client(self) -> httpx.Client:
        return httpx.Client(
            transport=GuardedTransport(
                self._hosts, type(self).resolve, self._deadline, self._trusted
            ),
            timeout=self._timeout_s,
            # A cookie of Label Studio's would go to every port of its host.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
        )

    def _address(self, url: str, task_id: int | None) -> str:
        """A task's value as an absolute http(s) URL. Raises LabelStudioError."""
        scheme = _SCHEME.match(url)
        name = scheme[1].lower() if scheme else ""
        if name in _STORAGES:
            if task_id is None:
                raise LabelStudioError(
                    "the image is in a cloud storage, and its task is not in Label Studio yet: "
                    "import the task first"
                )
            uri = base64.urlsafe_b64encode(url.encode()).decode()
            return f"{self.url}/tasks/{int(task_id)}/resolve/?fileuri={uri}"
        if name and name not in ("http", "https"):
            raise LabelStudioError(
                "the image's address is of a kind that is not fetched: use http:// or https://, a "
                "path on Label Studio, or its cloud storages' s3://, gs://, azure-blob://"
            )
        target = _joined(self.url + "/", url)
        return target if name else self._below_own(target)

    @cached_property
    def _bases(self) -> tuple[str, ...]:
        """Paths that Label Studio may think it is at: as reached, as in browsers, and the root."""
        return tuple(urlsplit(each.rstrip("/")).path for each in (self.url, self._public_url, ""))

    def _below_own(self, target: str) -> str:
        """A path that Label Studio wrote, at the address that it is reached by.

        It writes paths with the sub-path of LABEL_STUDIO_HOST before them (FileUpload.url); those
        written before it was moved there, and `./quorum import`'s, have none.
        """
        parts = urlsplit(target)
        for base in self._bases:
            rest = below(parts.path, base)
            if rest is not None:
                return parts._replace(path=self._bases[0] + rest).geturl()
        return target

    def _is_login(self, target: str) -> bool:
        path = urlsplit(target).path
        return any(path.startswith(base + _LOGIN) for base in self._bases)

    def _at_home(self, target: str) -> str:
        """An address in Label Studio's public name as one in the name that it is reached by."""
        public = self._public_url.rstrip("/")
        if not public:
            return target
        with suppress(LabelStudioError):  # an odd address is told of when it is checked
            if place_of(target) == place_of(public) != self._hosts.own:
                own, base = urlsplit(self.url), urlsplit(public).path
                parts = urlsplit(target)
                if parts.path.startswith(f"{base}/"):
                    path = own.path + parts.path[len(base) :]
                    return parts._replace(scheme=own.scheme, netloc=own.netloc, path=path).geturl()
        return target

    def _asked(self, target: str, place: Place) -> httpx.Response:
        """One answer, its body read and unpacked. Raises LabelStudioError."""
        auth = self._auth if place.own else None

        def read() -> httpx.Response:
            with self._deadline.within(self.longest_s):
                try:
                    with self._picture_client.stream("GET", target, auth=auth) as streamed:
                        content = b"".join(self._pieces(streamed))
                except httpx.TimeoutException:
                    if self._deadline.passed():
                        raise LabelStudioError(
                            f"the image took more than {self.longest_s:g} s: see why "
                            f"{place.shown} is so slow"
                        ) from None
                    raise
            return httpx.Response(
                streamed.status_code,
                headers={
                    name: streamed.headers[name]
                    for name in ("Location", "Retry-After")
                    if name in streamed.headers
                },
                content=content,
            )

        return self._patiently(read, may_repeat=True, down=lambda error: self._silent(error, place))

    def _pieces(self, streamed: httpx.Response) -> Iterator[bytes]:
        """The body; of an answer without an image only as much as may be a remark."""
        if streamed.status_code != 200:
            if streamed.is_stream_consumed:  # a bearer's renewal, which was read to be judged
                yield streamed.content[:_REMARK_BYTES]
            elif not streamed.is_redirect:
                yield next(streamed.iter_raw(_REMARK_BYTES), b"")
            return
        said = streamed.headers.get("Content-Length", "")
        if said.isdecimal() and int(said) > self.most_bytes:
            raise self._too_large()
        total = 0
        for piece in _unpacked(streamed, self.most_bytes):
            total += len(piece)
            if total > self.most_bytes:
                raise self._too_large()
            yield piece

    def _too_large(self) -> LabelStudioError:
        return LabelStudioError(
            f"the image is larger than {self.most_bytes / 2**20:g} MiB: import a smaller one"
        )

    def _content(self, response: httpx.Response, place: Place) -> bytes:
        if response.status_code == 200:
            return response.content
        status = response.status_code
        if place.own:
            raise LabelStudioError(
                f"the image is gone or refused (HTTP {status}): "
                "import the slice again, or delete the task",
                status,
            )
        # A store answers 403 for what is not there, so that says nothing about other images.
        raise LabelStudioError(
            f"{place.shown} does not give the image (HTTP {status}): it is gone, or the storage's "
            "credentials in Label Studio are out of date",
            status if status in BUSY else None,
        )

    def _silent(self, error: Exception, place: Place) -> LabelStudioError:
        if place.own:
            return self._down(error)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return LabelStudioDown(
                f"{place.shown}, where images are, cannot be reached: see that it runs and that "
                "its certificate is valid, or take it out of QUORUM_IMAGE_HOSTS"
            )
        return LabelStudioError(f"{place.shown} broke off while it sent the image")


def _joined(base: str, url: str) -> str:
    """Raises LabelStudioError for what a parser would silently change."""
    if not is_clean(url):
        raise odd()
    try:
        return urljoin(base, url)
    except ValueError:
        raise odd() from None


def _unpacked(streamed: httpx.Response, most_bytes: int) -> Iterator[bytes]:
    """The body's bytes, never more than _PIECE out of one step. Raises LabelStudioError."""
    encoding = streamed.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _PLAIN:
        yield from streamed.iter_raw(_PIECE)
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise LabelStudioError(
            "the image is packed in a way that was not asked for: store it as is"
        )
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, told apart by its header
    try:
        for piece in streamed.iter_raw(_PIECE):
            while piece and not unpack.eof:
                yield unpack.decompress(piece, _PIECE)
                piece = unpack.unconsumed_tail
            if unpack.eof:
                return
        yield unpack.flush()
        if not unpack.eof:
            raise zlib.error
    except zlib.error:
        raise LabelStudioError("the image is packed, and damaged: store it as it is") from None
