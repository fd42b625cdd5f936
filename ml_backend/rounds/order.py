"""Steps that reorder: score the pool in shards, select, push the order, and switch to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..caches.pictures import PictureCache
from ..committees import load
from ..gathering import Problem
from ..masks import BrushConfig
from ..order import rank_scores
from ..pool import (
    Draft,
    held_back,
    prediction,
    score_pool,
)
from ..store import Work, number_of
from ..survey import survey
from .artefacts import (
    ArtefactError,
    from_arrays,
    from_drafts,
    from_value,
    to_drafts,
    to_value,
)
from .choosing import ORDER, chosen_order, problems_of
from .context import Context, Gathered, artefact
from .extend import extend
from .graph import descriptors_name, drafts_name, problems_name, shard_name
from .tabs import ADJUDICATE_TAB, show_next, show_tab
from .train import config_of, tasks_of

log = logging.getLogger(__name__)

_REFUSED = "Label Studio refuses its draft: was the label config changed during the round?"
_NOTED = ("tasks", "first_free_score", "quantiles", "selected", "next")
_CATCHING_UP = 3  # tasks may be imported while others are caught up with


def score(context: Context, gathered: Gathered, index: int) -> None:
    """Score one shard of the pool; drafts are kept beside the scores."""
    work = context.store.work(gathered.version)
    # Here, for each machine has pictures of its own: what was deleted or labelled goes.
    PictureCache.of(context.settings, context.project_id).forget_others(
        [task_id for shard in gathered.plan.shards for task_id in shard]
    )
    committee = load(
        context.store,
        gathered.version,
        gathered.labels,
        context.settings.device,
        context.settings.network,
    )
    problems: list[Problem] = []
    pool = score_pool(
        context.label_studio,
        committee,
        tasks_of(context, gathered, list(gathered.plan.shards[index])),
        config_of(gathered),
        problems,
        context.progress,
    )
    work.put(drafts_name(gathered.plan, index), from_drafts(pool.drafts))
    told = from_value([asdict(problem) for problem in problems])
    work.put(problems_name(gathered.plan, index), told)
    descriptors = from_arrays({"descriptors": pool.descriptors})
    work.put(descriptors_name(gathered.plan, index), descriptors)
    work.put(shard_name(gathered.plan, index), from_arrays(pool.scores()))


def order(context: Context, gathered: Gathered, index: int) -> None:
    """Select, push drafts and scores, the first to be served first; then switch to the version.

    The order is chosen once and kept: repeated, the step pushes what Label Studio still lacks.
    """
    store, version, settings = context.store, gathered.version, context.settings
    work = store.work(version)
    chosen = chosen_order(context, gathered, work)
    started = time.time()
    refused = _push(context, gathered, work, chosen)
    # A round that an earlier release began has chosen without some of them.
    store.note(version, ORDER, {name: chosen[name] for name in _NOTED if name in chosen})
    store.note(version, "uncertainty", chosen.get("uncertainty", {}))
    store.note(version, "readers", gathered.values["crowd"])
    found = survey(context.label_studio, context.project_id, settings)
    for _ in range(_CATCHING_UP):
        # What was imported during the round joins before anybody is served this order.
        if not extend(context, found, version):
            break
        found = survey(context.label_studio, context.project_id, settings)
    outcome = _outcome(context, gathered, work, chosen, started)
    outcome["problems"] += [asdict(Problem(task_id, _REFUSED)) for task_id in refused]
    store.note(version, "round", outcome)
    # The pointer first: a look in between makes Label Studio follow it, not the version before.
    store.point_to(version)
    if found.open_tasks():  # Label Studio refuses an order of which no task is left
        context.label_studio.serve_order_of(context.project_id, version)
    _tidy(context, gathered)


def _push(context: Context, gathered: Gathered, work: Work, chosen: Mapping[str, Any]) -> list[int]:
    """Push what Label Studio lacks of the order; the tasks whose prediction it refuses."""
    settings, version = context.settings, gathered.version
    tasks = chosen["tasks"]
    if not tasks:
        return []
    there = context.label_studio.predicted(context.project_id, version, tasks)
    first = [task for task in tasks[: settings.drafts_ahead] if not held_back(settings, task)]
    drafts = _first_drafts(gathered, work, first)
    project = context.label_studio.project(context.project_id)
    # As it is now: what belongs to an older one would be refused.
    config = BrushConfig.parse(str(project["label_config"]))
    if gathered.plan.groups and config.labels != gathered.labels:
        # A draft's classes are numbers: under other labels they would carry wrong names.
        raise ArtefactError("the label config was changed during the round: it is begun anew")
    ranked = zip(tasks, rank_scores(len(tasks)), strict=True)
    lacking = [(task, score) for task, score in ranked if task not in there]
    pushed = context.label_studio.push_predictions(
        context.project_id,
        # Encoded one by one: full masks of a large pool do not fit in memory.
        (prediction(version, task, score, drafts, config) for task, score in lacking),
        settings.push_chunk,
        settings.push_pause_s,
        on_pushed=lambda done: context.progress("push", done, len(lacking)),
        rest_after=False,  # only short calls follow, and annotators wait for the switch
    )
    return pushed.refused


def _first_drafts(gathered: Gathered, work: Work, first: Sequence[int]) -> dict[int, Draft]:
    wanted = set(first)
    drafts: dict[int, Draft] = {}
    for index in range(len(gathered.plan.shards)):
        kept = to_drafts(artefact(work, drafts_name(gathered.plan, index)))
        drafts.update((task, draft) for task, draft in kept.items() if task in wanted)
    return drafts


def _outcome(
    context: Context,
    gathered: Gathered,
    work: Work,
    chosen: Mapping[str, Any],
    started: float,
) -> dict[str, Any]:
    values, version = gathered.values, gathered.version
    seconds = _seconds(work)
    problems = [*values["problems"], *problems_of(gathered, work)]
    return {
        "did": "trained" if gathered.plan.groups else "ordered",
        "version": version,
        "gathered_at": values["gathered_at"],
        "labelled": len(values["training_tasks"]),
        "evaluated_on": len(values["evaluation_tasks"]),
        "held_out_unit": values["held_out_unit"],
        "quality": context.store.metadata(version)["quality"],
        "wanted": chosen["wanted"],
        "train_s": _span(seconds, ("encode", "train", "further", "publish")),
        "score_s": _span(seconds, ("score",)),
        "select_s": chosen["select_s"],
        "reorder_s": time.time() - started,
        "seconds": seconds,
        "problems": problems,
    }


def _seconds(work: Work) -> dict[str, list[float]]:
    """When each step began and ended, Unix time."""
    spans = {}
    for name in sorted(work.names()):
        if name.startswith("seconds-"):
            content = work.get(name)
            if content is not None:
                spans[name.removeprefix("seconds-")] = to_value(content)
    return spans


def _span(seconds: Mapping[str, Sequence[float]], kinds: Sequence[str]) -> float:
    """From the first of these steps' begin to the last one's end."""
    spans = [span for name, span in seconds.items() if name.split("-")[0] in kinds]
    return max(s[1] for s in spans) - min(s[0] for s in spans) if spans else 0.0


def _tidy(context: Context, gathered: Gathered) -> None:
    """What the new version leaves behind; a failure here harms nothing, the next round tidies."""
    store, settings = context.store, context.settings
    show_next(context)
    adjudicate = gathered.values["crowd"].get("adjudicate")
    if adjudicate is not None:
        show_tab(context, ADJUDICATE_TAB, adjudicate)
    if settings.keep_versions:
        store.retain(settings.keep_versions)
    for version in store.works():
        # A later one is of a round that another worker may have begun already.
        if number_of(version) <= number_of(gathered.version):
            store.work(version).clear()
