"""Which code and which key of the division a process runs with, as short fingerprints."""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from pathlib import Path

# Fields of RQ's own record of a worker, gone with it.
CODE = "code"
SPLIT = "split"


@cache
def fingerprint() -> str:
    """Twelve hex digits of all of ml_backend's modules, as they lay there at the first call."""
    root = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()[:12]


def split_fingerprint(split_key: str) -> str:
    """Twelve hex digits that tell two keys of the held-out hash apart; the key stays unknown."""
    return hmac.digest(split_key.encode(), b"which split key is this", "sha256").hex()[:12]
