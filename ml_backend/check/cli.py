"""The command line of ``./quorum check``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from ..settings import Settings, SettingsError
from ..urls import WEB_ADDRESS, is_web_address
from .deployment import Deployment
from .findings import Finding, State, as_json, as_text
from .run import SETTINGS, check_all


def main(argv: Sequence[str] | None = None) -> int:
    """Check, print, and exit with 1 if anything fails."""
    arguments = _parser().parse_args(argv)
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not arguments.json:
            print(as_text([finding]), flush=True)

    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        tell(Finding(SETTINGS, State.FAILS, str(error), "Correct it; the rest waits for it."))
    else:
        tell(Finding(SETTINGS, State.OK, "all are within their bounds"))
        deployment = Deployment(
            settings,
            asked_backend_url=arguments.backend_url or "",
            least_free_bytes=round(arguments.least_free_gib * 2**30),
            webhook_wait_s=arguments.webhook_wait,
        )
        for finding in check_all(deployment, arguments.projects):
            tell(finding)
    failing = sum(finding.state is State.FAILS for finding in findings)
    untold = sum(finding.state is State.UNKNOWN for finding in findings)
    if arguments.json:
        print(as_json(findings))
    else:
        good = len(findings) - failing - untold
        print(f"\n{good} ok, {failing} failing, {untold} unknown")
    return 1 if failing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum check",
        description="Test what a deployment needs, one line each, with a remedy under each line "
        "that fails. Nothing is changed: a probe is written to the store and removed, and each "
        "project is made to send one event. Exit status 1 if anything fails.",
    )
    parser.add_argument(
        "projects",
        metavar="PROJECT",
        type=_project,
        nargs="*",
        help="numbers of projects (default: those that are connected)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--backend-url",
        type=_address,
        help="the backend's address (default: as projects are connected to it)",
    )
    parser.add_argument(
        "--least-free-gib",
        type=_amount,
        default=2.0,
        metavar="GIB",
        help="free space that the disks of store and data must have (default: %(default)s)",
    )
    parser.add_argument(
        "--webhook-wait",
        type=_amount,
        default=10.0,
        metavar="S",
        help="seconds to wait for a provoked event (default: %(default)s)",
    )
    return parser


def _project(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no project: give its number, as in its address, 1 or more"
        )
    return int(text)


def _address(text: str) -> str:
    if not is_web_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give {WEB_ADDRESS}")
    return text


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount: give a number, 0 or more")
    return amount
