"""A look at a project: repair and extend its order at once, and say whether a round is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..label_studio import SAMPLING, LabelStudioError
from ..learning.memory import TooLittleMemory
from ..moments import moment
from ..settings import SettingsError
from ..store import DamagedError, StoreError
from ..survey import Seen, Survey, remembered, survey
from .context import Context, metadata_of, refuse_lost_store, seen_by
from .extend import bring_forward, extend, repair

_CHANGING_HANDS = 5
_PACE_S = 3600.0  # of the labels that tell how fast annotators are
_LEAST_S = 60.0  # that they are taken to have needed


@dataclass(frozen=True)
class Looked:
    """What a look found and did."""

    found: Survey
    due: bool
    added: int  # tasks that joined the order
    more: bool = False  # whether others may still have to
    trouble: str | None = None  # why the order could not be brought up to date
    paused: bool = False  # whether no round is to begin by itself

    @property
    def why(self) -> str:
        """One word for the log."""
        return "due" if self.due else "extended" if self.added else "nothing"


def look(context: Context, busy: bool = False, running: Seen | None = None) -> Looked:
    """Survey a project, bring its order up to date with its tasks; is a round due?

    While a round is made (`busy`) only labels beyond those it trains with, `running`, call for
    another; before it has read them, none does. Raises LabelStudioError, MaskError, StoreError.
    """
    store = context.store
    refuse_lost_store(context)
    found = survey(context.label_studio, context.project_id, context.settings)
    found = remembered(found, context.label_studio, context.settings)
    current = store.current()
    metadata = metadata_of(store, current)
    # None that can be served: there is none, it is of other labels, or it is damaged.
    usable = metadata is not None and tuple(metadata["labels"]) == found.config.labels
    added, trouble = 0, None
    if current is not None and usable:
        try:
            added = extend(context, found, current, at_most=context.settings.shard_slices)
            repair(context, found, current)
            bring_forward(context, found, current)
            _serve(context)
        except DamagedError as error:
            # Its weights are lost: only a new version helps.
            usable, trouble = False, str(error)
        except (LabelStudioError, SettingsError, StoreError, TooLittleMemory) as error:
            # The order is not up to date; that must not keep labels from being learnt from. A store
            # that does not answer or a network that is not set here calls for no round by itself:
            # where nothing else has changed, it would find nothing to do.
            trouble = str(error)
    if busy:
        due = running is not None and found.due(running, context.settings)
    elif current is not None and usable and metadata is not None:
        # After a rollback: the labels there were then.
        seen = seen_by(store.noted(current, "kept") or metadata)
        due = _due(context, found, metadata, seen)
    else:
        due = bool(found.tasks)
    settings = context.settings
    return Looked(found, due, added, added >= settings.shard_slices, trouble, settings.paused)


def _serve(context: Context) -> None:
    """Make Label Studio follow the current version, whoever set it to something else."""
    for _ in range(_CHANGING_HANDS):
        # Read each time: a round that ends meanwhile must not be taken back.
        current = context.store.current()
        project = context.label_studio.project(context.project_id)
        followed = project.get("model_version") == current
        if current is None or (followed and project.get("sampling") == SAMPLING):
            return
        try:
            context.label_studio.serve_order_of(context.project_id, current)
        except LabelStudioError as error:
            if error.status != 400:  # it has no prediction of the version: no task is open
                raise
            return


def _due(context: Context, found: Survey, metadata: Mapping[str, Any], seen: Seen) -> bool:
    settings = context.settings
    if found.due(seen, settings):
        return True
    age_s = _age_s(metadata.get("gathered_at"))
    if settings.round_after_s and age_s >= settings.round_after_s:
        return found.due(seen, settings, after=1)
    half = max(1, settings.due_after // 2)
    if settings.ahead and found.due(seen, settings, after=half):
        return _left_of_batch(context, found) <= _labelled_meanwhile(context, found, seen)
    return False


def _left_of_batch(context: Context, found: Survey) -> int:
    """Slices of the selected batch that nobody has labelled yet."""
    current = context.store.current()
    selected = set(context.store.noted(current, "order").get("selected", [])) if current else set()
    return sum(t.id in selected and t.annotations == 0 for t in found.open_tasks())


def _labelled_meanwhile(context: Context, found: Survey, seen: Seen) -> float:
    """Labels to be expected while a round is made: the pace now times the last round's duration."""
    current = context.store.current()
    outcome = context.store.noted(current, "round") if current else {}
    if not outcome.get("train_s"):
        return 0.0
    duration_s = sum(outcome[name] for name in ("train_s", "score_s", "select_s", "reorder_s"))
    return pace(found, seen, datetime.now(timezone.utc)) * float(duration_s)


def pace(found: Survey, seen: Seen, now: datetime) -> float:
    """Labels a second since the first of the last hour, of those that are new since `seen`.

    Not since the last round: nights and weekends lie between. Two labels make a pace; with fewer
    it is 0.
    """
    labels = found.seen()
    # Task.changed ends with the time.
    times = {i: moment(v[1].rpartition("/")[2]) for i, v in labels.items() if v != seen.get(i)}
    recent = {i: at for i, at in times.items() if at and (now - at).total_seconds() <= _PACE_S}
    if not recent:
        return 0.0
    first = min(recent.values())
    # The times are Label Studio's, whose clock may be ahead.
    now = max(now, *recent.values())
    later = {i for i, at in recent.items() if at > first}
    # As if all others were known already.
    before = {i: v for i, v in labels.items() if i not in later}
    before |= {i: seen[i] for i in later if i in seen}
    return found.fresh(before) / max(_LEAST_S, (now - first).total_seconds())


def _age_s(text: str | None) -> float:
    when = moment(text)
    return (datetime.now(timezone.utc) - when).total_seconds() if when else 0.0
