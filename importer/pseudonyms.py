"""Keyed pseudonyms: stable over imports, unlinkable without the hospital's key."""

from __future__ import annotations

import hmac

_LENGTH = 20  # hex digits, 80 bits: no two of a hospital's instances will meet


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """The pseudonym of an identifier, 20 hex digits: HMAC-SHA256 (RFC 2104) over kind and value.

    The kind ("patient", "study", "series", "instance", "slice") separates domains: the same text
    as patient and as study gives two pseudonyms. Plain hashing would not do, for identifiers can
    be guessed; so can a key that is a word, and importer.keys makes one of 32 random bytes.
    Raises ValueError for an empty key.
    """
    if not key:
        raise ValueError("the key is empty: give the hospital's key, 32 random bytes")
    message = kind.encode() + b"\0" + value.encode()
    return hmac.digest(key, message, "sha256").hex()[:_LENGTH]
