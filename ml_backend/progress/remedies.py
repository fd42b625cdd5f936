"""What to do about an error: the texts that rounds and looks leave, and their remedies in words."""

from __future__ import annotations

import re

# The first that fits. What is told in the error itself is not told again.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"Redis",
        "Start Redis, or check QUORUM_REDIS_URL. Nothing that was labelled is lost: the work goes "
        "on by itself.",
    ),
    (
        r"no space left|quota",
        "Free some space where the store is kept, then press Train now.",
    ),
    (
        r"could not be \w+ \(",
        "Look whether the store's folder or bucket may be read and written by the backend and "
        "its workers.",
    ),
    (
        r"refuses the token|no Label Studio token",
        "Copy an access token of Label Studio (Account & Settings), set LABEL_STUDIO_API_KEY to "
        "it, and start the backend again.",
    ),
    (
        r"redirects /",
        "Set LABEL_STUDIO_URL to the address that Label Studio itself shows in the browser, and "
        "start the backend again.",
    ),
    (
        r"answered (GET|POST|PATCH|DELETE) .* HTTP 404|there is no project",
        "Look whether the project is still there in Label Studio, and whether the account of the "
        "token may see it.",
    ),
    (
        r"answered .* HTTP 5|cannot be reached|could not be reached|does not answer|is it a Label",
        "Look whether Label Studio runs and can be reached from the backend's machine. The work "
        "goes on by itself once it answers.",
    ),
    (
        r"\bmemory\b",
        "Set a smaller side for this project (./quorum project ID set side_px=…), or start a "
        "worker on a machine with more memory. Then press Train now.",
    ),
    (
        r"no usable label",
        "Label some slices that are not held out, then press Train now.",
    ),
    (
        r"label config",
        "Open Settings > Labeling Interface in Label Studio and correct what the error names. "
        "Then press Train now.",
    ),
    (
        r"follows r[0-9]+-|store holds no version|mounted",
        "Bring the store's folder back, or restore it from a backup. If it is lost for good, "
        "press Train now: a new version is made from the labels.",
    ),
    (
        r"is damaged|is missing in",
        "Roll back to another version, or press Train now for a new one.",
    ),
    (
        r"the image|import the slice again",
        "Import the missing images again, or delete their tasks. The other slices go on without "
        "them.",
    ),
    (
        r"stored none of",
        "Press Train now: the new round reads the label config as it is now.",
    ),
    (
        r"a step of the round failed|work-horse|died|timeout",
        "A worker ended without saying why. Look into its log, then press Train now.",
    ),
)
_OTHERWISE = "Press Train now to try again. If it comes back, the worker's log says more."


def remedy(error: str | None) -> str | None:
    """What a person can do about an error; None without one."""
    if not error:
        return None
    return next(
        (words for pattern, words in _REMEDIES if re.search(pattern, error, re.IGNORECASE)),
        _OTHERWISE,
    )
