"""What workers run: a look, a step of a round, and the bookkeeping between steps."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ..caches.pictures import PictureCache
from ..connection import is_disconnected, refuse_disconnected
from ..errors import QuorumError
from ..label_studio import LabelStudio
from ..settings import Settings
from ..store import Store, project_ids
from ..survey import Seen, Survey
from .advance import advance
from .errand_figures import ROLLBACK
from .errors import RoundFailed
from .forgetting import forget_if_reached
from .names import QUICK
from .queue import Jobs
from .state import LockedError

if TYPE_CHECKING:
    from ..rounds.context import Context

log = logging.getLogger(__name__)

_LOOK_WAIT_S = 15.0  # longer than the lock of a worker that died
_CLEANED = 40  # predictions removed at once: looks must not wait for long


def look_job(project_id: int) -> str:
    """Look at a project: repair and extend its order, and ask for a round if one is due."""
    from ..rounds import look

    jobs = Jobs.connect(Settings.from_environment())
    state = jobs.state(project_id)
    try:
        with state.locked("look", _LOOK_WAIT_S):
            state.rest_between_looks()
            # Before anything is read: whatever changes from here on asks for another look.
            state.begin_look()
            if is_disconnected(jobs.settings, project_id):  # a late event must not bring it back
                return "disconnected"
            started = time.monotonic()
            with _context(jobs, project_id) as context:
                running = state.running()
                looked = look(context, bool(running), _labels_of(context.store, running))
                took_s = time.monotonic() - started
                state.looked(took_s, looked.trouble)
                if looked.due and not looked.paused and not state.held_back:
                    jobs.request_round(project_id)
                    # At once: the queue may hold another look, which rests before it reads.
                    with suppress(LockedError):
                        advance(jobs, project_id)
                more = looked.more or _tell(context, looked.found, took_s)
                # The figures, too, have kept Label Studio busy: it is left alone as long again.
                state.looked(time.monotonic() - started, looked.trouble)
    except LockedError:
        # The look that holds the lock may have read the tasks before what this one was asked for.
        state.begin_look()
        # Going back holds it for minutes, and asks for a look at its end.
        if ROLLBACK not in jobs.errands.waiting(project_id):
            jobs.request_look(project_id)
        return "busy"
    except QuorumError as error:
        log.warning("project %d: %s", project_id, error)
        state.looked(0, str(error), gone=getattr(error, "status", None) == 404)
        return "failed"
    if more:
        jobs.request_look(project_id)
    return looked.why


def _tell(context: Context, found: Survey, took_s: float) -> bool:
    """Bring what people look at up to date; whether there is more to read. It fails no look.

    `took_s` is how long the look took: as long annotations are read at most.
    """
    from ..figures.refresh import refresh
    from ..rest import show_review

    try:
        remaining = refresh(context.label_studio, context.store, found, context.settings, took_s)
        show_review(context)
    except QuorumError as error:
        log.warning("project %d: figures wait for the next look: %s", found.project_id, error)
        return False
    except Exception as error:  # the order and the rounds must go on, whatever is wrong here
        log.error("project %d: %s in its figures", found.project_id, type(error).__name__)
        return False
    return remaining > 0


def _labels_of(store: Store, running: Mapping[str, str]) -> Seen | None:
    """The labels that the running round trains with, None as long as it has not read them."""
    from ..rounds import RoundError, gathered_of
    from ..rounds.context import seen_by

    version = running.get("version")
    if not version:
        return None
    try:
        return seen_by(gathered_of(store, version).values)
    except RoundError:  # it has just ended
        return None


def gather_job(project_id: int, number: int, force: bool) -> None:
    """The first step of a round: what it trains with, and its plan."""
    from ..rounds import begin

    jobs = Jobs.connect(Settings.from_environment())
    with _step(jobs, project_id, number, "gather") as context:
        state = jobs.state(project_id)
        refuse_disconnected(jobs.settings, project_id)
        # A person may begin anew in an empty store; one that was full at the round's start is away.
        version = begin(context, force, anew=force and "gathered" not in state.running())
        if version is None:
            state.note(number, nothing=1)
        else:
            state.note(number, version=version, gathered=1)


def step_job(project_id: int, number: int, version: str, name: str) -> None:
    """One step of a round."""
    from ..rounds import Step, is_done, run_step

    jobs = Jobs.connect(Settings.from_environment())
    with _step(jobs, project_id, number, name) as context:
        if not is_done(context.store, version):
            run_step(context, version, Step.named(name))


@contextmanager
def _step(jobs: Jobs, project_id: int, number: int, name: str) -> Iterator[Any]:
    """Around a step: its context, its progress, its error in words, and whatever comes after it."""
    from ..learning.memory import TooLittleMemory
    from ..rounds import ArtefactError

    state = jobs.state(project_id)
    if state.running().get("number") != str(number) or state.cancelled:
        log.info("project %d: step %s is of a round that has ended", project_id, name)
        raise RoundFailed("the round has ended")
    told = 0.0

    def report(step: str, done: int, total: int) -> None:
        nonlocal told
        # Redis is told a few times a second at most, however many slices there are.
        if done in (0, total) or time.monotonic() - told > 0.3:
            told = time.monotonic()
            with suppress(RedisError):  # progress is only looked at
                at = json.dumps([step, done, total])
                state.note(number, **{f"at:{name}": at, "last": at})

    try:
        with _context(jobs, project_id, report) as context:
            yield context
    except ArtefactError as error:
        # Gathering again makes what it made, and finds what the others did.
        log.warning("project %d: %s", project_id, error)
        with suppress(RedisError):
            state.note(number, version="")
    except TooLittleMemory as error:
        with suppress(RedisError):
            # Another attempt would need as much.
            attempts = {f"attempts:{name}": jobs.settings.attempts}
            state.note(number, error=str(error), **attempts)
        raise RoundFailed(str(error)) from None
    except QuorumError as error:
        with suppress(RedisError):
            state.note(number, error=str(error))
        raise RoundFailed(str(error)) from None
    else:
        with suppress(RedisError):
            jobs.redis.hdel(f"quorum:project:{project_id}:round", f"at:{name}", "error")
    finally:
        with suppress(RedisError):  # the timer does it then
            advance(jobs, project_id, ended=name)


@contextmanager
def _context(jobs: Jobs, project_id: int, progress: Any = None) -> Iterator[Any]:
    from ..rounds.context import Context, silent

    settings = jobs.settings
    with LabelStudio.of(settings) as server:
        server.kept = PictureCache.of(settings, project_id)
        yield Context.of(settings, server, project_id, progress or silent, max(1, jobs.workers()))


def clean_job(project_id: int) -> int:
    """Remove some predictions of old versions, and go on later if there are more."""
    from ..rounds.cleaning import clean_predictions

    jobs = Jobs.connect(Settings.from_environment())
    try:
        with jobs.state(project_id).locked("look", _LOOK_WAIT_S), _context(jobs, project_id) as it:
            removed = clean_predictions(it, _CLEANED)
    except (QuorumError, LockedError) as error:
        log.warning("project %d: old predictions stay for now: %s", project_id, error)
        return 0
    if removed >= _CLEANED and not jobs.state(project_id).running():
        jobs.enqueue(QUICK, "clean_job", project_id)
    return int(removed)


def advance_job(project_id: int) -> None:
    """Queue whatever of a project's round can be done now."""
    advance(Jobs.connect(Settings.from_environment()), project_id)


def advance_all_job() -> int:
    """The same for every project with a round or an errand: takes up what a dead worker left."""
    jobs = Jobs.connect(Settings.from_environment())
    count = 0
    for project_id in jobs.projects():
        wanted = jobs.state(project_id).running() or jobs.state(project_id).waits
        if wanted or jobs.errands.waiting(project_id):
            try:
                if wanted:
                    advance(jobs, project_id)
                jobs.errands.advance(project_id)
                count += 1
            except LockedError:
                continue
            except Exception as error:  # one project's fault must not keep the others waiting
                log.error("project %d: %s while advancing", project_id, type(error).__name__)
    return count


def reconcile_job() -> int:
    """Look at each known project: finds what a lost webhook missed.

    The projects are read from the store too, so a Redis that came back empty loses none.
    """
    settings = Settings.from_environment()
    jobs = Jobs.connect(settings)
    projects = set(jobs.projects()) | set(project_ids(settings.store_root))
    projects = {project_id for project_id in projects if not jobs.state(project_id).gone}
    for project_id in projects:
        if is_disconnected(settings, project_id):
            forget_if_reached(jobs, project_id, wait_s=1)  # Redis may have been away at the time
            continue
        jobs.request_look(project_id)
        rest = Store(settings.store_root, project_id).figures("rest")
        if rest.get("state") == "running":
            jobs.errands.ask(project_id, "rest_job", rest["as"])
        elif rest.get("state") == "undoing":
            jobs.errands.ask(project_id, "undo_rest_job")
    return len(projects)
