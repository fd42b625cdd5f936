"""Committees of a seed's first batch, trained once for all strategies that begin with it.

The same labels, recipe and seed give the same weights. They are put into a round's work area as
those of a worker that died after training: the round takes them up and does all that follows.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from ml_backend.committees import recipe
from ml_backend.fingerprint import fingerprint
from ml_backend.rounds import Context, begin, gathered_of, run_round
from ml_backend.rounds.graph import member_name
from ml_backend.settings import Settings
from ml_backend.store import Work
from ml_backend.store.folder import FolderObjects

from .project import PROJECT_ID, InMemoryProject

_SECONDS = "train_s"  # kept last: with it all members are there


def first_round(
    folder: Path, settings: Settings, project: InMemoryProject, labelled: Sequence[str]
) -> dict[str, Any]:
    """run_round() with force, its members taken from `folder` if they were trained before.

    `labelled` names the slices, and the data they are of. The outcome's train_s is that of the
    training, whoever did it; saved_s is how much of it was not done here. Raises as run_round().
    """
    context = Context.of(settings, project, PROJECT_ID)
    version = begin(context, force=True)
    plan = gathered_of(context.store, version).plan if version else None
    if plan is None or plan.encoder or plan.further:  # their members are made in several steps
        return {**run_round(settings, project, PROJECT_ID, force=True), "saved_s": 0.0}
    made_of = [*labelled, recipe(settings, project.data.class_names), context.seed(plan.version)]
    made_of.append(fingerprint())  # of the code: another trains otherwise
    key = hashlib.sha256(json.dumps([made_of, settings.device]).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    kept, work = Work(FolderObjects(folder), key), context.store.work(plan.version)
    names = [member_name(number) for number in plan.members]
    with (folder / f"{key}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # another strategy may be training just these
        known = kept.get(_SECONDS)
        for name in names if known else ():
            content = kept.get(name)
            if content is not None:  # a damaged one is trained again
                work.put(name, content)
        outcome = run_round(settings, project, PROJECT_ID, force=True)
        if known:
            train_s = float(json.loads(known))
            return {**outcome, "train_s": train_s, "saved_s": train_s - outcome["train_s"]}
        for name, state in zip(names, context.store.states(plan.version), strict=True):
            kept.put(name, save(state))
        kept.put(_SECONDS, json.dumps(outcome["train_s"]).encode())
        return {**outcome, "saved_s": 0.0}
