"""What workers run of errands: going back, annotating the rest and undoing it, a data set."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ..connection import refuse_disconnected
from ..errors import QuorumError
from ..label_studio import LabelStudio
from ..settings import Settings
from .errand_figures import EXPORT, FIGURES, REST, ROLLBACK, note_failure
from .errands import about
from .errors import RoundFailed
from .queue import Jobs
from .state import LockedError

if TYPE_CHECKING:
    from ..rounds.context import Context

# Shorter than forgetting a project waits for what is under way, which holds the same lock.
_LOOK_WAIT_S = 15.0


def rollback_job(project_id: int, version: str) -> None:
    """Draft and order with an older version again."""
    with _errand(project_id, ROLLBACK) as errand:
        try:
            done = go_back(errand.jobs, errand.context, version, errand.cancelled)
        except LockedError:
            # A look at a large project scores what came late. The timer has it tried again.
            errand.more = not errand.cancelled()
            return
        if done:
            errand.jobs.request_look(project_id)


def go_back(
    jobs: Jobs, context: Context, version: str, cancelled: Callable[[], bool] = lambda: False
) -> bool:
    """Draft and order with an older version again, between two looks and without a round.

    False if it was cancelled while it waited: the project may have been disconnected meanwhile.

    Until the switch a look would compare the labels with the version that is left: the round that
    it found due would then switch to its own.
    Raises as roll_back() does; DisconnectedError, JobsError, RedisError; LockedError if a look is
    long.
    """
    from ..rounds.rollback import refuse_other_labels, refuse_unusable, roll_back

    refuse_disconnected(context.settings, context.project_id)
    refuse_unusable(context.store, version)
    with jobs.state(context.project_id).locked("look", _LOOK_WAIT_S):
        if cancelled():
            return False
        refuse_other_labels(context, version)  # before a round is ended for it
        # One that has begun since it was asked for.
        jobs.cancel(context.project_id, hold_s=0)
        roll_back(context, version)
    # Also of one by hand: that an earlier one failed is over.
    context.store.keep_figures(FIGURES[ROLLBACK], {"state": "done", "version": version})
    return True


def rest_job(project_id: int, made_as: str) -> None:
    """Annotate the rest; a round that is due comes first, and then this goes on."""
    from ..rest import annotate_rest

    with _errand(project_id, REST) as errand:
        refuse_disconnected(errand.jobs.settings, project_id)
        stops = (errand.cancelled, errand.round_wants)
        done = annotate_rest(errand.context, made_as, errand.on_progress, *stops)
        errand.more = done["state"] == "running"


def undo_rest_job(project_id: int) -> None:
    """Take back what was made of the rest."""
    from ..rest import undo_rest

    with _errand(project_id, REST) as errand:
        undo_rest(errand.context, errand.on_progress)


def export_job(project_id: int, format_name: str, include: str = "labelled") -> None:
    """Prepare a data set for download."""
    from ..export import export_to
    from ..export.archive import keep_download
    from ..export.dataset import Choice

    with _errand(project_id, EXPORT) as errand:
        settings, server = errand.jobs.settings, errand.context.label_studio
        about: dict[str, Any] = {"format": format_name, "error": None}
        errand.tell({"state": "running", **about})
        try:
            target = keep_download(settings, project_id, format_name)
            # It begins anew when it is tried again: no progress of it lasts.
            choice = Choice(include="all" if include == "all" else "labelled")
            export_to(settings, server, project_id, format_name, target, choice=choice)
        except OSError as error:
            place = settings.data_dir / "exports"
            errand.fail(f"{place} cannot be written ({error.strerror}): free some space there")
        else:
            # Workers on other machines keep files that the backend does not see.
            made = {"name": target.name, "host": socket.gethostname()}
            errand.tell({"state": "done", **about, **made})


@dataclass
class _Errand:
    """One errand while it is done."""

    jobs: Jobs
    context: Any
    project_id: int
    slot: str
    about: dict[str, str]  # for its figures, should it fail
    more: bool = False  # it steps aside for a round, and keeps its slot

    def cancelled(self) -> bool:
        """Whether it is asked to end; if nobody can say so now, not yet."""
        try:
            return self.jobs.errands.cancelled(self.project_id, self.slot)
        except RedisError:
            return False

    def round_wants(self) -> bool:
        """Whether a round of the project waits or runs."""
        try:
            state = self.jobs.state(self.project_id)
            return bool(state.running()) or state.waits
        except RedisError:
            return False

    def on_progress(self, step: str, done: int, total: int) -> None:
        """Something is done that lasts: what it has failed before counts no more."""
        self.jobs.errands.came_on(self.project_id, self.slot)

    def tell(self, figures: dict[str, Any]) -> None:
        """Keep how it stands, for the page."""
        self.context.store.keep_figures(FIGURES[self.slot], figures)

    def fail(self, error: str) -> None:
        """Keep why it failed."""
        note_failure(self.jobs.settings, self.project_id, self.slot, error, **self.about)


@contextmanager
def _errand(project_id: int, slot: str) -> Iterator[_Errand]:
    """Around an errand: its context, an error in words, and the slot freed at its end."""
    from ..rounds.context import Context

    jobs = Jobs.connect(Settings.from_environment())
    entry = jobs.errands.waiting(project_id).get(slot)
    if entry is None:
        raise RoundFailed("it was done meanwhile, or taken back")
    with LabelStudio.of(jobs.settings) as server:
        errand = _Errand(jobs, None, project_id, slot, about(entry))
        try:
            errand.context = Context.of(jobs.settings, server, project_id)
            yield errand
        except QuorumError as error:
            errand.fail(str(error))
    if errand.more:
        jobs.errands.came_on(project_id, slot)  # to step aside is not to fail
    else:
        jobs.errands.done(project_id, slot)
