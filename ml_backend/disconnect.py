"""Take a Label Studio project off this backend: ``./quorum disconnect PROJECT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .caches.disk import DiskCache
from .connection import (
    DEFAULT_SAMPLING,
    Connection,
    announced_url,
    connection_of,
    is_disconnected,
    keep_disconnected,
)
from .errors import QuorumError
from .jobs import Jobs
from .jobs.forgetting import forget_if_reached
from .label_studio import SAMPLING, LabelStudio, LabelStudioDown, LabelStudioError
from .label_studio.attached import is_ours, same_address
from .rest.tabs import REVIEW_TAB
from .rounds.tabs import ADJUDICATE_TAB, NEXT_TAB
from .settings import Settings
from .store import Store, StoreError, is_version

TABS = (NEXT_TAB, ADJUDICATE_TAB, REVIEW_TAB)
_AT_ONCE = 200  # predictions between two lines of progress


@dataclass
class Disconnected:
    """What was taken off; `gone` if Label Studio has no such project any more."""

    backends: int = 0
    webhooks: int = 0
    sampling: str = ""
    predictions: int = 0
    tabs: int = 0
    gone: bool = False
    forgotten: bool | None = True  # None: Redis could not be reached
    left: list[str] = field(default_factory=list)  # what could not be done, and the remedy


def disconnect_project(
    settings: Settings,
    label_studio: LabelStudio,
    project_id: int,
    backend_urls: Iterable[str],
    predictions: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Disconnected:
    """Undo what connecting did; labels and versions stay. Done again it changes nothing.

    The loop is told first, so that nothing of it comes back while it is taken off. Only what is
    at `backend_urls` is removed. Raises LabelStudioError, and StoreError if the store cannot
    remember it: the loop would then go on by itself.
    """
    known, jobs = connection_of(settings, project_id), Jobs.connect(settings)
    if known is not None or jobs.knows(project_id):  # else the number may be mistyped
        keep_disconnected(settings, project_id)
    done = Disconnected()
    done.forgotten = forget_if_reached(jobs, project_id)
    DiskCache.of(settings).remove(f"projects/{project_id}")  # other machines tidy themselves
    try:
        remove_attached(label_studio, project_id, backend_urls, done)
        _restore_order(label_studio, project_id, known, done)
        if predictions:
            _remove_predictions(settings, label_studio, project_id, done, say)
    except LabelStudioError as error:
        if error.status != 404:
            raise
        done.gone = True
    return done


def remove_attached(
    label_studio: LabelStudio, project_id: int, backend_urls: Iterable[str], done: Disconnected
) -> None:
    """Remove the ML backends and webhooks at some addresses. Raises LabelStudioError."""
    urls = [url.rstrip("/") for url in backend_urls if url]
    label_studio.project(project_id)  # 404 if it is gone, where a list of webhooks says 400
    # The webhook first: without it annotators wait for nobody.
    done.webhooks += label_studio.disconnect_webhook(project_id, [f"{url}/webhook" for url in urls])
    done.backends += label_studio.disconnect_backend(project_id, urls)


def _restore_order(
    label_studio: LabelStudio, project_id: int, known: Connection | None, done: Disconnected
) -> None:
    """The order as it was before, unless somebody has chosen another meanwhile."""
    before = known or Connection("")
    project = label_studio.project(project_id)
    sampling, followed = project.get("sampling"), str(project.get("model_version") or "")
    ours = is_version(followed)
    wanted = before.sampling_before or DEFAULT_SAMPLING
    # Disconnected already: what is set now was chosen since.
    first = known is None or known.connected
    if ours or (first and sampling == SAMPLING and wanted != SAMPLING):
        version = before.model_version_before if ours else followed
        label_studio.restore_order(project_id, wanted, version)
        done.sampling = wanted


def _remove_predictions(
    settings: Settings,
    label_studio: LabelStudio,
    project_id: int,
    done: Disconnected,
    say: Callable[[str], None],
) -> None:
    """Our versions' predictions and our tabs. Raises LabelStudioError."""
    done.tabs = label_studio.remove_tabs(project_id, TABS)
    for version, count in label_studio.prediction_counts(project_id).items():
        if not is_version(version):
            continue
        removed = 0
        while part := label_studio.delete_predictions(project_id, version, at_most=_AT_ONCE):
            removed += part
            say(f"{version}: {removed} of {count} predictions removed")
        done.predictions += removed
    try:
        # The tab is made again after the next connection although its list is the same.
        Store(settings.store_root, project_id).keep_figures("rest-shown", {})
    except StoreError as error:
        done.left.append(str(error))


def addresses(settings: Settings, project_id: int, asked: str) -> list[str]:
    """Where this backend is or was for a project. Raises StoreError."""
    known = connection_of(settings, project_id)
    if asked:
        return [asked]
    # Never a usual address: another ML backend may well listen there.
    return [url for url in (known.backend_url if known else "", announced_url(settings)) if url]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum disconnect``; its exit status."""
    arguments = _parser().parse_args(argv)
    number: int = arguments.project
    try:
        settings = Settings.from_environment()
        server = LabelStudio.of(settings)
        if arguments.only:
            return _only(server, number, arguments.only)
        urls = addresses(settings, number, arguments.backend_url or "")
        done = disconnect_project(settings, server, number, urls, arguments.predictions, _tell)
        others = [] if done.gone else _others(server, number, urls)
    except QuorumError as error:
        _tell(f"quorum disconnect: {error}")
        if isinstance(error, LabelStudioDown) and not arguments.only and _is_off(settings, number):
            _tell("No round begins by itself any more; call this again once Label Studio is back.")
        return 1
    _report(number, done, others)
    return 0


def _is_off(settings: Settings, number: int) -> bool:
    """Whether the store remembers that a project is not ours any more."""
    try:
        return is_disconnected(settings, number)
    except StoreError:
        return False


def _only(server: LabelStudio, number: int, url: str) -> int:
    done = Disconnected()
    remove_attached(server, number, [url], done)
    print(
        f"Project {number}: {done.backends} ML backends and {done.webhooks} webhooks at {url} "
        "removed; the project stays connected otherwise."
    )
    return 0


def _others(server: LabelStudio, number: int, urls: Sequence[str]) -> list[str]:
    """Addresses of backends of Quorum's that are connected beside ours."""
    listed = [*server.backends(number), *server.webhooks(number)]
    found = {str(o["url"]).rstrip("/").removesuffix("/webhook") for o in listed if is_ours(o)}
    return sorted(url for url in found if not same_address(url, urls))


def _report(number: int, done: Disconnected, others: Sequence[str]) -> None:
    if done.gone:
        print(f"Label Studio has no project {number} any more; it is forgotten.")
    else:
        taken = done.backends or done.webhooks or done.sampling or done.predictions or done.tabs
        print(
            f"Project {number} is disconnected."
            if taken
            else f"Project {number} was not connected; nothing had to be removed."
        )
    if done.sampling:
        print(f"Its tasks are served by '{done.sampling}' again.")
    if done.predictions or done.tabs:
        print(f"{done.predictions} predictions and {done.tabs} tabs were removed.")
    if done.forgotten is None:
        print("Redis could not be reached: what waits there is dropped when the backend is back.")
    elif not done.forgotten:
        print("A step of its round is still being stopped; call this again in a minute.")
    for url in others:
        print(f"Another Quorum is connected at {url}: --only {url} removes it.")
    for text in done.left:
        print(f"Left as it is: {text}")
    print(f"Labels and versions stay. Connect it again with ./quorum connect {number}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum disconnect",
        description="Take a project off this backend: the ML backend and the webhook are removed, "
        "the order is as it was before, and no round begins by itself any more. Labels and "
        "versions stay. May be called again, without a running backend, and for a project that "
        "was deleted.",
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    parser.add_argument(
        "--backend-url",
        help="the backend's address as Label Studio sees it (default: as it was connected)",
    )
    parser.add_argument(
        "--predictions",
        action="store_true",
        help="remove the committee's predictions and the tabs that Quorum made, too",
    )
    parser.add_argument(
        "--only",
        metavar="URL",
        help="remove only what is left at an earlier address; the project stays connected",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
