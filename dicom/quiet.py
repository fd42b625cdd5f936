"""Silence around pydicom, whose warnings and log lines quote values."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log lines, which quote values, from anyone's screen or log."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    mode, config.settings.reading_validation_mode = (
        config.settings.reading_validation_mode,
        config.IGNORE,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
        config.settings.reading_validation_mode = mode
