"""Hook a Label Studio project up to this backend: ``./quorum connect PROJECT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .connection import USUAL_URL, keep_connected, usual_url
from .errors import QuorumError
from .jobs import Jobs
from .label_studio import LabelStudio
from .masks import BrushConfig
from .settings import Settings


def connect_project(
    settings: Settings, label_studio: LabelStudio, project_id: int, backend_url: str
) -> str:
    """Connect backend and webhook, and ask for the first order; the id of the job that makes it.

    Everything can be done again: nothing is doubled. Raises MaskError for a label config without
    BrushLabels, LabelStudioError if Label Studio refuses, StoreError if the store cannot remember
    it, JobsError if Redis is down.
    """
    project = label_studio.project(project_id)
    BrushConfig.parse(str(project["label_config"]))
    label_studio.connect_backend(
        project_id, backend_url, settings.basic_auth_user, settings.basic_auth_password
    )
    label_studio.connect_webhook(
        project_id, f"{backend_url.rstrip('/')}/webhook", settings.webhook_secret
    )
    keep_connected(settings, project_id, project, backend_url)
    return Jobs.connect(settings).request_look(project_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum connect``; its exit status."""
    parser = argparse.ArgumentParser(
        prog="quorum connect",
        description="Connect a Label Studio project to the running backend: ML backend, webhook, "
        "labelling order. Run ./quorum up first; Label Studio must reach the backend's address.",
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    parser.add_argument(
        "--backend-url",
        help="the backend's address as Label Studio sees it (default: where ./quorum up or the "
        f"demo listens on this machine, else {USUAL_URL})",
    )
    arguments = parser.parse_args(argv)
    backend_url = arguments.backend_url or ""
    try:
        settings = Settings.from_environment()
        backend_url = backend_url or usual_url(settings)
        label_studio = LabelStudio.of(settings)
        connect_project(settings, label_studio, arguments.project, backend_url)
    except QuorumError as error:
        print(f"quorum connect: {error}", file=sys.stderr)
        if "health check" in str(error) or getattr(error, "status", None) == 400:
            print(
                f"Label Studio could not use the backend at {backend_url}. Is "
                "./quorum up running? A private address is refused until Label Studio runs with "
                "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and "
                "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false.",
                file=sys.stderr,
            )
        return 1
    print(f"Project {arguments.project} is connected; its first order is being made.")
    print(f"Progress: {backend_url.rstrip('/')}/progress/{arguments.project}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
