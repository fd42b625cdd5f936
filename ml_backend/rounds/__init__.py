"""Rounds: gather → train → evaluate → publish → score → select → reorder, step by step.

Every step can be run again: a version is named after the annotations it was trained on, what a
step makes lies in the version's work area, and a step whose artefact is there is done. The switch
to the new version is the last step, so a half-made round never shows.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ..label_studio import LabelStudio
from ..pool import Progress
from ..settings import Settings
from ..store import Store
from . import order as order_
from . import train as train_
from .artefacts import ArtefactError, from_value
from .begin import begin
from .context import GATHERED, Context, Gathered, RoundError, complaints, gathered_of, silent
from .graph import Plan, Step, ready
from .look import Looked, look

__all__ = [
    "GATHERED",
    "ArtefactError",
    "Context",
    "Gathered",
    "Looked",
    "Plan",
    "RoundError",
    "Step",
    "begin",
    "gathered_of",
    "is_done",
    "look",
    "next_steps",
    "run_round",
    "run_step",
]

_STEPS = {
    "encode": train_.encode,
    "train": train_.train,
    "further": train_.further,
    "publish": train_.publish,
    "score": order_.score,
    "order": order_.order,
}


def run_step(context: Context, version: str, step: Step) -> None:
    """Run one step of a version's round, whatever was done of it before.

    Raises LabelStudioError, MaskError, StoreError, RoundError, or ArtefactError if what an earlier
    step made is gone: next_steps() then names that step again.
    """
    gathered = gathered_of(context.store, version)
    # A setting changed meanwhile waits for the next round.
    context = replace(context, settings=gathered.settings(context.settings))
    started = time.time()
    _STEPS[step.kind](context, gathered, step.index)
    if step.kind != "order":  # it ends the round, whose work area is gone by then
        work = context.store.work(version)
        work.put(f"seconds-{step.name}", from_value([started, time.time()]))


def next_steps(store: Store, version: str) -> list[Step]:
    """The steps of a version's round that can run now; none when it is done.

    Raises RoundError if the round's work is gone without its having ended.
    """
    if is_done(store, version):
        return []
    names = store.work(version).names()
    return ready(gathered_of(store, version).plan, names, version in store.versions())


def is_done(store: Store, version: str) -> bool:
    """Whether a version is the one that drafts and orders now."""
    return store.current() == version


def run_round(
    settings: Settings,
    label_studio: LabelStudio,
    project_id: int,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Bring a project up to date in this process; what was done, JSON-able with a key "did".

    "trained": a new version. "ordered": the first order, before any label. "extended": tasks
    imported since were scored and queued. "nothing": neither was due (see look(); `force` trains
    whatever the count, unless nothing has changed).

    Raises LabelStudioError, MaskError, StoreError, or RoundError if forced without any label.
    """
    context = Context.of(settings, label_studio, project_id, progress)
    if not force:
        looked = look(context)
        if not looked.due:
            return {"did": looked.why, "added": looked.added, "problems": []}
    version = begin(context, force)
    if version is None:
        kept = context.store.current()
        return {"did": "nothing", "version": kept, "problems": complaints(context.store)}
    while steps := next_steps(context.store, version):
        try:
            for step in steps:
                run_step(context, version, step)
        except ArtefactError:
            again = begin(context, force)
            if again is None:
                break
            version = again
    return context.store.noted(version, "round")
