"""Objects behind an fsspec URL: S3 and what speaks it, or any other file system fsspec knows.

A put is one request (or one multipart upload), so it is atomic by the server's own promise.
Credentials and the server's address come the way fsspec and s3fs read them: ``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, a profile, or ``FSSPEC_S3`` and its like.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from .names import StoreError

# What S3 adds to requests and answers by default since 2025 many other servers refuse; the store
# has checksums of its own. A dead server is found out in seconds: the queue tries again later.
_S3 = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "retries": {"total_max_attempts": 1, "mode": "standard"},  # s3fs tries again itself
}
# Of s3fs, squared for a read. If a server accepts but does not answer, each takes 15 s.
_ATTEMPTS = 2
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}


class RemoteObjects:
    """Objects below an fsspec URL; made in one process it also works in those forked from it."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._opened: tuple[int, Any, str] | None = None  # process, file system, path in it
        self._inherited: list[Any] = []

    @property
    def where(self) -> str:
        """The URL without what may be secret in it."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def get(self, key: str) -> bytes | None:
        """An object's content, None if there is none. Raises StoreError."""
        with self._reaching(key, "read") as (files, root):
            try:
                content: bytes = files.cat_file(f"{root}/{key}")
            except FileNotFoundError as error:
                _refuse_lost_bucket(error)
                return None
            return content

    def put(self, key: str, content: bytes) -> None:
        """Write an object in one piece. Raises StoreError."""
        with self._reaching(key, "written") as (files, root):
            files.pipe_file(f"{root}/{key}", content)

    def put_new(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there. Raises StoreError.

        A server that cannot do both in one step is asked first, then written to.
        """
        with self._reaching(key, "written") as (files, root):
            path = f"{root}/{key}"
            try:
                files.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (OSError, NotImplementedError, TypeError, ValueError):
                if files.exists(path):
                    return False
                files.pipe_file(path, content)
        return True

    def keys(self, prefix: str) -> list[str]:
        """Every key below a prefix. Raises StoreError."""
        with self._reaching(prefix, "listed") as (files, root):
            try:
                found = files.find(f"{root}/{prefix}")
            except FileNotFoundError as error:
                _refuse_lost_bucket(error)
                return []
            return sorted(path[len(root) + 1 :] for path in found if not path.endswith("/"))

    def folders(self, prefix: str) -> list[str]:
        """The first parts of the keys below a prefix that have more than one. Raises StoreError."""
        with self._reaching(prefix, "listed") as (files, root):
            try:
                found = files.ls(f"{root}/{prefix}", detail=True)
            except FileNotFoundError as error:
                _refuse_lost_bucket(error)
                return []
            names = (item["name"] for item in found if item["type"] == "directory")
            return sorted(name.rstrip("/").rpartition("/")[2] for name in names)

    def remove(self, key: str) -> None:
        """Remove an object, if it is there. Raises StoreError."""
        with self._reaching(key, "removed") as (files, root):
            try:
                files.rm_file(f"{root}/{key}")
            except FileNotFoundError as error:
                _refuse_lost_bucket(error)

    def age_s(self, key: str) -> float | None:
        """Seconds since an object was written, None if it cannot be told. Raises StoreError."""
        with self._reaching(key, "read") as (files, root):
            try:
                changed: datetime = files.modified(f"{root}/{key}")
            except (FileNotFoundError, NotImplementedError):
                return None
            if changed.tzinfo is None:
                changed = changed.replace(tzinfo=timezone.utc)
            return (datetime.now(timezone.utc) - changed).total_seconds()

    def sweep(self, prefix: str) -> None:
        """Nothing: an upload that was broken off is no object."""

    @contextmanager
    def _reaching(self, key: str, done: str) -> Iterator[tuple[Any, str]]:
        try:
            yield self._open()
        except (StoreError, MemoryError):
            raise
        except Exception as error:  # each file system has its own
            if type(error).__module__.startswith("rq."):
                raise  # the queue's time limit comes up wherever the code stands
            raise StoreError(
                f"{self.where}/{key} could not be {done} ({_code(error)}): {_remedy(error)}"
            ) from error

    def _open(self) -> tuple[Any, str]:
        """The file system, opened anew in a forked process: connections cannot be shared."""
        opened = self._opened
        if opened is not None and opened[0] == os.getpid():
            return opened[1], opened[2]
        if opened is not None:
            # Never let go: closing them here would take them from the parent's event loop too.
            self._inherited.append(opened[1])
        import fsspec

        scheme = self._url.partition("://")[0]
        options: dict[str, Any] = {}
        if scheme in ("s3", "s3a"):
            own = fsspec.config.conf.get(scheme, {}).get("config_kwargs", {})
            # One stream: a large object read in parallel pieces could be torn by a put meanwhile.
            options = {"config_kwargs": {**_S3, **own}, "max_concurrency": 1}
        # Others write here too, so no listing may be remembered, nor an instance that has one.
        files, root = fsspec.core.url_to_fs(
            self._url, use_listings_cache=False, skip_instance_cache=True, **options
        )
        if scheme in ("s3", "s3a"):
            files.retries = _ATTEMPTS
        self._opened = (os.getpid(), files, root)
        return files, root


def _code(error: BaseException) -> str:
    """What the server called it, or else the exception's name; never its text."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", type(error).__name__))
    return type(error).__name__


def _refuse_lost_bucket(error: FileNotFoundError) -> None:
    """Nothing under a key is an answer, but no bucket is not: it would look like an empty store."""
    if _code(error) == "NoSuchBucket":
        raise error


def _remedy(error: BaseException) -> str:
    code = _code(error)
    if isinstance(error, ImportError):
        return "install the package that fsspec needs for it, for s3:// `pip install s3fs`"
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return "fsspec knows no such kind of address: check QUORUM_STORE_URL"
    if code == "NoSuchBucket":
        return "make the bucket, or check QUORUM_STORE_URL"
    if isinstance(error, PermissionError) or code in _REFUSED or "Credentials" in code:
        return "check the credentials and the rights that they have (for s3:// AWS_ACCESS_KEY_ID …)"
    return (
        "check that the server runs and has space (for s3:// AWS_ENDPOINT_URL); it is tried again"
    )
