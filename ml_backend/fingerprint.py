"""Which code a process runs, as a short fingerprint of the backend's own modules."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

CODE = "code"  # a field of RQ's own record of a worker, gone with it


@cache
def fingerprint() -> str:
    """Twelve hex digits of all of ml_backend's modules, as they lay there at the first call."""
    root = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()[:12]
