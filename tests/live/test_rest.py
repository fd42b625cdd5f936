"""Annotating the rest in a real Label Studio: one story, in the order of the tests."""

import multiprocessing
import time
from collections import Counter
from dataclasses import replace

import httpx
import pytest

from demo.run import reference_of
from ml_backend.auto_annotations import MADE
from ml_backend.gathering import Problem
from ml_backend.label_studio import LabelStudio
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.pool import score_pool
from ml_backend.rest import annotate_rest, undo_rest
from ml_backend.rounds import Context, look, run_round
from ml_backend.rounds.context import silent
from ml_backend.rounds.tabs import show_next
from ml_backend.survey import survey

_SLICES, _CHUNK = 40, 6


@pytest.fixture(scope="module")
def api(running):
    headers = {"Authorization": f"Token {running.account.token}"}
    with httpx.Client(base_url=running.label_studio.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def settings(running):
    # So few have a draft of their round that the rest is most of them.
    return replace(running.settings, drafts_ahead=8, evaluation_slices=3, push_pause_s=0.0)


@pytest.fixture(scope="module")
def context(running, settings, annotators):
    """A project of its own, each slice another patient's, and a committee that a round trained."""
    server = running.label_studio
    brains = [t for t in server.tasks(running.project_id) if t.data.get("body_part") == "BRAIN"]
    step = len(brains) // _SLICES
    config = server.project(running.project_id)["label_config"]
    project = server.create_project("The rest", config)
    data = [
        {"image": t.data["image"], "instance": t.data["instance"], "patient": f"p{n}"}
        for n, t in enumerate(brains[::step][:_SLICES])
    ]
    assert server.import_tasks(project, [{"data": each} for each in data]) == _SLICES
    context = Context.of(settings, server, project)
    run_round(settings, server, project)
    for _ in range(9):  # 3 to evaluate with, 6 to train on
        task = annotators[0].next_task(project)
        annotators[0].submit(project, task["id"], drawn(running, context, task["data"]), 20)
    assert run_round(settings, server, project)["did"] == "trained"
    return context


def drawn(running, context, data):
    xml = context.label_studio.project(context.project_id)["label_config"]
    return to_regions(reference_of(running.key)(data), BrushConfig.parse(xml))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("ml_backend.rest.annotate.CHUNK", _CHUNK)


def found(context):
    return survey(context.label_studio, context.project_id, context.settings)


def predictions(context, api):
    """Task → (score, whether it has a mask), of the current version."""
    listed = api.get("/api/predictions/", params={"project": context.project_id}).json()
    version = context.store.current()
    mine = [p for p in listed if p["model_version"] == version]
    assert len({p["task"] for p in mine}) == len(mine)
    return {p["task"]: (p["score"], bool(p["result"])) for p in mine}


def in_a_process(settings, project, as_):
    """What a worker does; it is killed half-way."""
    from ml_backend.rest import annotate

    annotate.CHUNK = _CHUNK
    with LabelStudio.of(settings) as server:
        annotate_rest(Context.of(settings, server, project), as_)


def killed_half_way(context, as_):
    started = multiprocessing.get_context("spawn").Process(
        target=in_a_process, args=(context.settings, context.project_id, as_)
    )
    started.start()
    limit = time.monotonic() + 90
    while not context.store.figures("rest").get("done") or as_ != rest(context)["as"]:
        assert started.is_alive() and time.monotonic() < limit
        time.sleep(0.05)
    time.sleep(0.2)  # in the middle of the next chunk
    started.kill()
    started.join()
    assert rest(context)["state"] == "running"


def rest(context):
    return context.store.figures("rest")


def test_predictions_get_masks_and_the_order_stays_though_it_was_killed(context, api, annotators):
    before = predictions(context, api)
    masked = {task for task, (_, mask) in before.items() if mask}
    assert 0 < len(masked) <= 8
    killed_half_way(context, "predictions")
    assert annotate_rest(context, "predictions")["state"] == "done"
    after = predictions(context, api)
    assert {t: score for t, (score, _) in after.items()} == {
        t: score for t, (score, _) in before.items()
    }
    assert sum(mask for _, mask in after.values()) > len(after) / 2
    order = context.store.noted(context.store.current(), "order")["tasks"]
    assert annotators[0].next_task(context.project_id)["id"] == order[0]


def test_the_tab_of_the_next_batch_is_in_the_order_served(context, api):
    show_next(context)
    order = context.store.noted(context.store.current(), "order")["tasks"]
    assert shown(context, api, "Next batch") == order[: context.settings.k]


def shown(context, api, title):
    """Task ids in the order in which the Data Manager lists a tab's."""
    params = {"project": context.project_id}
    (tab,) = [
        tab
        for tab in api.get("/api/dm/views/", params=params).json()
        if tab["data"]["title"] == title
    ]
    listed = api.get("/api/tasks", params={**params, "view": tab["id"], "page_size": 500})
    return [task["id"] for task in listed.json()["tasks"]]


def test_undone_predictions_are_scores_again(context, api):
    before = predictions(context, api)
    undone = undo_rest(context)
    assert (undone["state"], undone["error"]) == ("undone", None)
    after = predictions(context, api)
    assert sum(mask for _, mask in after.values()) <= 8
    assert {t: s for t, (s, _) in after.items()} == {t: s for t, (s, _) in before.items()}


def note_uncertainty(context):
    """What a round knows of its pool."""
    survey_now, version = found(context), context.store.current()
    from ml_backend.committees import load

    committee = load(context.store, version, survey_now.config.labels, "cpu")
    problems: list[Problem] = []
    pool = score_pool(
        context.label_studio,
        committee,
        survey_now.open_tasks(),
        survey_now.config,
        problems,
        silent,
    )
    noted = {"task_ids": pool.task_ids.tolist(), "values": pool.uncertainty.tolist()}
    context.store.note(version, "uncertainty", noted)


def test_annotations_are_made_once_each_though_it_was_killed(context, api):
    note_uncertainty(context)
    begun = found(context)
    asked = {t.id for t, flag in zip(begun.tasks, begun.evaluation, strict=True) if flag}
    left = {t.id for t in begun.open_tasks()} - asked
    killed_half_way(context, "annotations")
    # Whoever looks at this moment takes none of it for a label.
    assert not look(context).due
    assert annotate_rest(context, "annotations")["state"] == "done"
    made = [a for a in annotations(context, api) if a["lead_time"] is None]
    assert Counter(a["task"] for a in made) == Counter(left)
    assert {a["completed_by"] for a in made} == {context.label_studio.user_id()}
    version = context.store.current()
    texts = {text for a in made for region in a["result"] for text in region["meta"]["text"]}
    assert texts == {f"Made by Quorum {version}, before any person saw it"}
    assert not [
        v for v in context.label_studio.prediction_counts(context.project_id) if "auto" in v
    ]


def annotations(context, api):
    exported = api.get(f"/api/projects/{context.project_id}/export", params={"exportType": "JSON"})
    return [annotation for task in exported.json() for annotation in task["annotations"]]


def test_they_are_nobodys_labels_and_no_round_is_due(context):
    now = found(context)
    assert len(now.automatic) == len(context.store.figures(MADE)["tasks"]) > _SLICES / 2
    assert not look(context).due
    training = {task.id for task in now.labelled(held_out=False)}
    assert training == set(context.store.metadata(context.store.current())["training_tasks"])


def test_the_tab_lists_the_least_certain_first(context, api):
    tasks = context.store.figures(MADE)["tasks"]
    listed = shown(context, api, "Auto-annotated to review")
    assert sorted(listed) == sorted(map(int, tasks))
    confidence = [tasks[str(task_id)][1] for task_id in listed]
    assert confidence == sorted(confidence)


def test_reviewed_ones_are_labels_and_survive_undo(context, api, running, annotators):
    tasks = {int(i): entry[0] for i, entry in context.store.figures(MADE)["tasks"].items()}
    edited, accepted, joined, drafted, *_ = sorted(tasks)
    data = {t.id: t.data for t in context.label_studio.tasks(context.project_id)}
    change = {"result": drawn(running, context, data[edited]), "lead_time": 4}
    assert annotators[1]._http.patch(f"/api/annotations/{tasks[edited]}/", json=change).is_success
    same = api.get(f"/api/annotations/{tasks[accepted]}/").json()["result"]
    kept = {"result": same, "lead_time": 2}
    assert annotators[1]._http.patch(f"/api/annotations/{tasks[accepted]}/", json=kept).is_success
    annotators[2].submit(context.project_id, joined, drawn(running, context, data[joined]), 9)
    path = f"/api/tasks/{drafted}/annotations/{tasks[drafted]}/drafts"
    params = {"project": context.project_id}
    begun = annotators[2]._http.post(path, params=params, json={"result": [], "lead_time": 1})
    assert begun.is_success, begun.text
    now = found(context)
    assert set(tasks) - now.automatic == {edited, accepted, joined}
    undone = undo_rest(context)
    assert (undone["state"], undone["touched"]) == ("undone", 3)
    left = Counter(a["task"] for a in annotations(context, api) if a["task"] in tasks)
    assert left == Counter([edited, accepted, joined, drafted])
    result = api.get(f"/api/annotations/{tasks[edited]}/").json()["result"]
    assert [r["value"] for r in result] == [r["value"] for r in change["result"]]
    (beside,) = [a for a in annotations(context, api) if a["task"] == joined]
    assert beside["completed_by"] != context.label_studio.user_id()


def test_undone_slices_are_served_again_in_their_order(context, api, annotators):
    look(context)
    waiting = {task.id for task in found(context).open_tasks()}
    assert waiting <= set(predictions(context, api))
    order = context.store.noted(context.store.current(), "order")["tasks"]
    held, following, *_ = [task_id for task_id in order if task_id in waiting]
    assert annotators[0].next_task(context.project_id)["id"] == held  # since the first test
    assert annotators[1].next_task(context.project_id)["id"] == following
