"""A project's rounds by hand: ``./quorum project ID COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from .errors import QuorumError
from .figures.quality import BASELINE, baseline, version_row
from .jobs import Jobs, JobsError
from .jobs.errors import DOWN
from .jobs.state import LockedError
from .label_studio import LabelStudio
from .settings import (
    PROJECT_SETTINGS,
    TRAINING_SETTINGS,
    Settings,
    SettingsError,
    is_own_network,
    parse_setting,
)
from .store import Store


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum project``; its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        settings = Settings.from_environment()
        if not Jobs.connect(settings).knows(arguments.project):
            raise SettingsError(
                f"project {arguments.project} is not connected: "
                f"run ./quorum connect {arguments.project} first"
            )
        answer = _COMMANDS[arguments.command](settings, arguments)
    except QuorumError as error:
        print(f"quorum project: {error}", file=sys.stderr)
        return 1
    print(answer)
    return 0


def _status(settings: Settings, arguments: argparse.Namespace) -> str:
    from .progress.panels import Project, as_json, kept, now
    from .progress.terminal import in_lines

    project = Project(arguments.project, Jobs.connect(settings), settings)
    moment, quality = now.now(project), kept.quality_panel(project)
    if arguments.json:
        return as_json({"now": moment, "quality": quality})
    return "\n".join(in_lines(moment, quality))


def _train(settings: Settings, arguments: argparse.Namespace) -> str:
    return f"asked for {Jobs.connect(settings).request_round(arguments.project, force=True)}"


def _cancel(settings: Settings, arguments: argparse.Namespace) -> str:
    Jobs.connect(settings).cancel(arguments.project)
    return "the round ends; what it has trained is kept. None begins by itself for an hour"


def _versions(settings: Settings, arguments: argparse.Namespace) -> str:
    store = Store(settings.store_root, arguments.project)
    current = store.current()
    rows = []
    for version in store.versions():
        row = version_row(store.metadata(version))
        quality = row["mean_iou"]["mean"]
        shown = f"{quality:.3f}" if quality is not None else "–"
        mark = "*" if version == current else " "
        rows.append(f"{mark} {version}  {row['labels']:>6} labels  mean IoU {shown}")
    return "\n".join(rows) or "no version yet"


def _annotate_rest(settings: Settings, arguments: argparse.Namespace) -> str:
    errands = Jobs.connect(settings).errands
    if arguments.cancel:
        errands.cancel_rest(arguments.project)
        return "it stops; what is made stays until it is undone"
    if arguments.undo:
        errands.request_rest_undo(arguments.project)
        return "what the committee made of the rest is taken back; the page shows how far it is"
    own = Store(settings.store_root, arguments.project).overrides()
    errands.request_rest(arguments.project, settings.of_project(own).rest_as)
    return "the committee annotates the rest; the page shows how far it is"


def _rollback(settings: Settings, arguments: argparse.Namespace) -> str:
    from .jobs.errand_work import go_back
    from .rounds import Context

    with LabelStudio.of(settings) as server:
        context = Context.of(settings, server, arguments.project)
        try:
            go_back(Jobs.connect(settings), context, arguments.version)
        except LockedError:
            raise JobsError(
                "the project is being looked at, and that takes long: try again in a minute"
            ) from None
        except RedisError:
            raise JobsError(DOWN) from None
    return f"{arguments.version} drafts and orders again, until new labels come"


def _share(settings: Settings, arguments: argparse.Namespace) -> str:
    from .credentials import require_credentials
    from .progress.shares import ShareError, make_link, revoke_links

    require_credentials(settings)  # a link is signed with what the backend itself has
    if arguments.end:
        revoke_links(Store(settings.store_root, arguments.project))
        return "all read-only links of this project have ended"
    try:
        path = make_link(settings, arguments.project, arguments.days)
    except ShareError as error:
        raise SettingsError(str(error)) from None
    before = settings.page_url.rstrip("/") or "the backend's address, followed by "
    return f"{before}{path}"


def _baseline(settings: Settings, arguments: argparse.Namespace) -> str:
    store = Store(settings.store_root, arguments.project)
    try:
        points = baseline(arguments.file.read_text().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{arguments.file} cannot be read: {reason}") from None
    except ValueError as error:
        raise SettingsError(f"{arguments.file}: {error}") from None
    store.keep_figures(BASELINE, {"points": points})
    return f"the page draws {len(points)} points of labels chosen at random beside the project's"


def _set(settings: Settings, arguments: argparse.Namespace) -> str:
    store = Store(settings.store_root, arguments.project)
    before = store.overrides()
    values: dict[str, Any] = dict(before)
    for assignment in arguments.assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise SettingsError(f"{assignment!r}: write NAME=VALUE, or NAME= to unset")
        if text:
            values[name] = parse_setting(name, text)
        elif name in PROJECT_SETTINGS:
            values.pop(name, None)
    try:
        chosen = settings.of_project(values)  # refuses what is out of bounds before it is kept
        trained = ("strategy", *TRAINING_SETTINGS)
        changed = any(values.get(name) != before.get(name) for name in trained)
        if changed and not is_own_network(chosen.network):
            from .committees import refuse_untrainable

            # What the device of a round cannot do besides, the round says.
            refuse_untrainable(chosen)
    except SettingsError:
        if not _mends(settings, before, values):
            raise
    store.keep_overrides(values)
    return "\n".join(f"{name}={value}" for name, value in sorted(values.items())) or "nothing set"


def _mends(settings: Settings, before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether overrides that an earlier release took are only taken away: one at a time will do."""
    try:
        settings.of_project(before)
    except SettingsError:
        return len(values) < len(before) and all(before.get(n) == v for n, v in values.items())
    return False


_COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], str]] = {
    "status": _status,
    "train": _train,
    "cancel": _cancel,
    "versions": _versions,
    "rollback": _rollback,
    "share": _share,
    "baseline": _baseline,
    "annotate-rest": _annotate_rest,
    "set": _set,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum project", description="See to one project's rounds."
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="quorum project ID"
    )
    status = commands.add_parser("status", help="how far, how good, and how the round stands")
    status.add_argument("--json", action="store_true", help="what the page's panels hold")
    for name, about in (
        ("train", "start a round now, whatever the number of new labels"),
        ("cancel", "end the running round"),
        ("versions", "the versions there are; * marks the one that drafts now"),
    ):
        commands.add_parser(name, help=about)
    back = commands.add_parser("rollback", help="draft and order with an older version again")
    back.add_argument("version", help="such as r0007-3f9c2a")
    rest = commands.add_parser("annotate-rest", help="the committee's masks for what is left")
    rest.add_argument("--undo", action="store_true", help="take back what nobody has changed")
    rest.add_argument("--cancel", action="store_true", help="stop, and keep what is made")
    share = commands.add_parser("share", help="a read-only link to the project's page")
    share.add_argument("--days", type=int, default=7, help="it is good for (%(default)s)")
    share.add_argument("--end", action="store_true", help="end all links of the project")
    random = commands.add_parser(
        "baseline", help="where labels chosen at random would lead, for the page's curve"
    )
    random.add_argument("file", type=Path, help="lines of LABELS,MEAN_IOU; an empty file ends it")
    own = commands.add_parser("set", help="settings of this project alone; NAME= unsets one")
    own.add_argument(
        "assignments",
        nargs="*",
        metavar="NAME=VALUE",
        help=f"of {', '.join(PROJECT_SETTINGS)}",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
