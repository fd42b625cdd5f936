"""Whose certificates are believed: the usual authorities', and a hospital's own."""

from __future__ import annotations

import ssl
from functools import lru_cache

import httpx

from .errors import LabelStudioError


@lru_cache(maxsize=4)
def trusted(ca_file: str) -> ssl.SSLContext:
    """A context that also believes the authorities in a PEM file; "" names none.

    Raises LabelStudioError if the file cannot be read, or holds no certificate.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # also what is no certificate
            reason = (
                "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            )
            raise LabelStudioError(
                f"QUORUM_CA_FILE: {ca_file} cannot be used ({reason}): name a PEM file of your "
                "authority's certificate"
            ) from None
    return context
