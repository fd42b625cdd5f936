"""Label slices of the sample DICOM as if by hand: ``python -m demo.sample_annotator PROJECT``.

It takes what Label Studio serves next, as a person's *Label All Tasks* does, and submits what is
known to be right. So a reader of the tutorial sees rounds without an hour of drawing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from importer.keys import KeyFileError, load_or_make_key
from importer.pseudonyms import pseudonym
from launcher import CLONE
from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.label_studio.transport import TokenAuth
from ml_backend.masks import BrushConfig, MaskError, to_regions
from ml_backend.settings import Settings, SettingsError

from .brain import DemoDataError
from .crowd import Annotator, CrowdError
from .sample_dicom import sample_reference

_TIMEOUT_S = 60.0
_LEAD_TIME_S = 20.0  # what a slice is said to have taken


def label(settings: Settings, key: bytes, project_id: int, count: int) -> tuple[int, int]:
    """Label up to `count` slices in the order that Label Studio serves them.

    How many were labelled, and how many of those came with a draft.
    Raises LabelStudioError, CrowdError, MaskError; CrowdError too for a slice that is not of the
    sample, which stays for a person.
    """
    known = {pseudonym(key, "instance", uid): drawn for uid, drawn in sample_reference().items()}
    with LabelStudio.of(settings) as server:
        config = BrushConfig.parse(str(server.project(project_id)["label_config"]))
        who = str(server.whoami())
    # Either kind of token, which the crowd's own accounts do not need.
    auth = TokenAuth(settings.label_studio_url, settings.label_studio_api_key)
    with httpx.Client(
        base_url=settings.label_studio_url, auth=auth, timeout=_TIMEOUT_S, trust_env=False
    ) as connection:
        annotator, drafted = Annotator(who, connection), 0
        for done in range(count):
            task = annotator.next_task(project_id)
            if task is None:
                return done, drafted
            drawn = known.get(str(task["data"].get("instance")))
            if drawn is None:
                raise CrowdError(
                    f"task {task['id']} is not of the sample, or was imported with another key: "
                    "label it in the browser"
                )
            annotator.submit(project_id, int(task["id"]), to_regions(drawn, config), _LEAD_TIME_S)
            drafted += _has_draft(task)
    return count, drafted


def _has_draft(task: Mapping[str, Any]) -> bool:
    # A slice without a draft carries a rank all the same: a prediction without regions.
    return any(prediction.get("result") for prediction in task.get("predictions") or [])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.sample_annotator",
        description="Label slices of the sample DICOM in the project of LABEL_STUDIO_URL, with "
        "LABEL_STUDIO_API_KEY.",
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    parser.add_argument("--slices", type=int, default=1, help="how many (%(default)s)")
    usual = Path(
        os.environ.get("QUORUM_KEY_FILE")
        or Path(os.environ.get("QUORUM_DATA_DIR") or CLONE / ".quorum") / "importer.key"
    )
    parser.add_argument("--key", type=Path, default=usual, help="what they were imported with")
    arguments = parser.parse_args(argv)
    try:
        if not arguments.key.exists():
            raise KeyFileError(f"there is no key file {arguments.key}: import the sample first")
        key = load_or_make_key(arguments.key)
        count, drafted = label(
            Settings.from_environment(), key, arguments.project, arguments.slices
        )
    except (
        CrowdError,
        DemoDataError,
        KeyFileError,
        LabelStudioError,
        MaskError,
        SettingsError,
        httpx.HTTPError,
    ) as error:
        print(f"demo.sample_annotator: {error}", file=sys.stderr)
        return 1
    print(f"{count} slices labelled in project {arguments.project}, {drafted} of them from a draft")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
