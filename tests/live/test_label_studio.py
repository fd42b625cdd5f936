"""What Quorum leans on in the real Label Studio, one fact a test; each in a project of its own."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.label_studio.listing import _PAGE

CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    '<Label value="Lung"/></BrushLabels></View>'
)
REGION = {
    "type": "brushlabels",
    "from_name": "mask",
    "to_name": "image",
    "original_width": 8,
    "original_height": 8,
    "image_rotation": 0,
    "value": {"format": "rle", "rle": [0] * 20, "brushlabels": ["Lung"]},
}


@pytest.fixture(scope="module")
def server(running):
    with LabelStudio(running.label_studio.url, running.account.token) as connection:
        yield connection


@pytest.fixture(scope="module")
def api(running):
    """Label Studio's API as a plain client sees it."""
    headers = {"Authorization": f"Token {running.account.token}"}
    url = running.label_studio.url
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def project(server, api):
    """Makes projects of so many tasks; they are removed afterwards."""
    made = []

    def make(count):
        made.append(server.create_project(f"facts {len(made)}", CONFIG))
        data = [{"data": {"image": f"/data/{n}.png", "slice": str(n)}} for n in range(count)]
        server.import_tasks(made[-1], data)
        return made[-1], [task.id for task in server.tasks(made[-1])]

    yield make
    for number in made:
        api.delete(f"/api/projects/{number}/")


def predictions(ids, version="r0001-aaaaaa", result=(), score=0.5):
    return [
        {"task": i, "result": list(result), "score": score, "model_version": version} for i in ids
    ]


def annotate(api, project, task, **fields):
    body = {"result": [REGION], "lead_time": 5.5, **fields}
    reply = api.post(f"/api/tasks/{task}/annotations/", params={"project": project}, json=body)
    assert reply.is_success, reply.text
    return reply.json()["id"]


# -- what a listing tells ---------------------------------------------------------------------


def test_changed_differs_for_every_change_of_the_annotations_and_for_nothing_else(
    server, api, project
):
    number, (task, other) = project(2)

    def changed():
        return {listed.id: listed.changed for listed in server.tasks(number)}[task]

    def draft(path, **more):
        body = {"result": [REGION], "lead_time": 1, **more}
        assert api.post(path, params={"project": number}, json=body).is_success

    seen = [changed()]
    assert seen == [""]
    draft(f"/api/tasks/{task}/drafts")
    server.push_predictions(number, predictions([task, other]), 10, 0)
    assert changed() == seen[-1]

    first = annotate(api, number, task)
    seen.append(changed())
    draft(f"/api/tasks/{task}/annotations/{first}/drafts")
    server.push_predictions(number, predictions([task], "r0002-bbbbbb"), 10, 0)
    assert changed() == seen[-1]

    for change in (
        lambda: api.patch(f"/api/annotations/{first}/", json={"result": [REGION, REGION]}),
        lambda: api.patch(f"/api/annotations/{first}/", json={"ground_truth": True}),
        lambda: api.patch(f"/api/annotations/{first}/", json={"was_cancelled": True}),
        lambda: api.delete(f"/api/annotations/{first}/"),
        lambda: annotate(api, number, task, result=[], was_cancelled=True),
        lambda: annotate(api, number, task),
    ):
        change()
        seen.append(changed())
        assert seen[-1] != seen[-2]
    selected = {"selectedItems": {"all": False, "included": [task]}}
    params = {"project": number, "id": "delete_tasks_annotations"}
    assert api.post("/api/dm/actions", params=params, json=selected).is_success
    assert changed() == ""


def test_an_annotation_tells_who_when_how_long_and_whether_it_is_the_truth(server, api, project):
    number, (task,) = project(1)
    made = annotate(api, number, task)
    annotate(api, number, task, result=[], was_cancelled=True)
    (found,) = server.annotations(number, [task])
    assert (found.id, found.task_id, found.lead_time_s) == (made, task, 5.5)
    assert found.annotator > 0 and not found.ground_truth
    assert found.created_at <= found.updated_at
    assert found.regions[0]["value"] == REGION["value"]
    api.patch(f"/api/annotations/{made}/", json={"ground_truth": True})
    (marked,) = server.annotations(number, [task])
    assert marked.ground_truth and marked.updated_at > found.updated_at


def test_a_task_deleted_while_the_pages_are_read_hides_no_other(server, api, project):
    number, ids = project(_PAGE + 10)
    listing = server.tasks(number)
    seen = [next(listing).id]
    for task in ids[:5]:
        api.delete(f"/api/tasks/{task}/")
    assert seen + [task.id for task in listing] == ids


# -- pushing ----------------------------------------------------------------------------------


def test_a_push_tells_what_was_stored_what_is_gone_and_what_is_refused(server, api, project):
    number, ids = project(12)
    api.delete(f"/api/tasks/{ids[3]}/")
    sent = predictions(ids)
    sent[5]["score"] = 1.5
    sent[6]["score"] = float("nan")
    sent[7]["result"] = [{**REGION, "from_name": "nobody"}]
    pushed = server.push_predictions(number, sent, 5, 0)
    assert pushed.gone == [ids[3]]
    assert sorted(pushed.refused) == [ids[5], ids[6], ids[7]]
    assert pushed.stored == 8
    held = server.predicted(number, "r0001-aaaaaa", ids)
    assert held == set(ids) - {ids[3], ids[5], ids[6], ids[7]}
    # Each once: what was sent again was what was missing.
    assert server.prediction_counts(number) == {"r0001-aaaaaa": 8}


def test_a_config_that_fits_no_prediction_is_told_instead_of_pushing_on(server, project):
    number, ids = project(60)
    wrong = predictions(ids, result=[{**REGION, "from_name": "old"}])
    with pytest.raises(LabelStudioError, match="label config"):
        server.push_predictions(number, wrong, 25, 0)


def test_a_push_repeated_after_a_crash_doubles_nothing(server, project):
    number, ids = project(450)
    version = "r0001-aaaaaa"
    assert server.predicted(number, version, ids) == set()
    server.push_predictions(number, predictions(ids[:230], version), 100, 0)
    server.push_predictions(number, predictions(ids, "r0002-bbbbbb"), 1000, 0)
    there = server.predicted(number, version, [*ids, 10**9])
    assert there == set(ids[:230])
    server.push_predictions(number, predictions([i for i in ids if i not in there]), 100, 0)
    assert server.prediction_counts(number)[version] == len(ids)
    assert server.predicted(number, version, ids[200:300]) == set(ids[200:300])


def test_predictions_may_be_encoded_as_they_are_sent(server, project):
    number, ids = project(7)
    handled = []
    pushed = server.push_predictions(
        number, (p for p in predictions(ids)), 3, 0, on_pushed=handled.append
    )
    assert (pushed.stored, handled) == (7, [3, 6, 7])


def test_a_prediction_s_new_score_is_its_tasks_new_place_and_no_second_one(server, api, project):
    number, ids = project(3)
    version = "r0001-aaaaaa"
    given = [{**each, "score": 0.1 * n} for n, each in enumerate(predictions(ids, version), 1)]
    server.push_predictions(number, given, 50, 0)
    server.serve_order_of(number, version)
    (held,) = server.held_predictions(number, version, ids[2:])
    server.rescore(number, held, 0.0)
    assert api.get(f"/api/projects/{number}/next").json()["id"] == ids[2]
    assert server.prediction_counts(number) == {version: 3}
    (kept,) = server.held_predictions(number, version, ids[2:])
    assert (kept.id, kept.empty) == (held.id, held.empty)


def test_a_versions_predictions_are_removed_bit_by_bit(server, project):
    number, ids = project(60)
    old, new = "r0001-aaaaaa", "r0002-bbbbbb"
    for version in (old, new):
        server.push_predictions(number, predictions(ids, version), 100, 0)
    server.serve_order_of(number, new)
    with pytest.raises(LabelStudioError, match="switch to another version"):
        server.delete_predictions(number, new)
    assert server.delete_predictions(number, old, at_most=4, pause_s=0) == 4
    assert server.prediction_counts(number) == {new: 60, old: 56}
    assert server.delete_predictions(number, old, at_most=6, pause_s=0) == 6
    assert server.delete_predictions(number, old) == 50  # few are removed at once
    assert server.prediction_counts(number) == {new: 60}
    assert server.delete_predictions(number, old) == 0


# -- the Data Manager -------------------------------------------------------------------------


def shown(api, number, title):
    """The tasks that the Data Manager lists in each tab of that title."""
    tabs = api.get("/api/dm/views/", params={"project": number}).json()
    found = []
    for tab in tabs:
        if tab["data"].get("title") == title:
            params = {"view": tab["id"], "project": number, "page_size": 1000}
            found.append(
                [task["id"] for task in api.get("/api/tasks", params=params).json()["tasks"]]
            )
    return found


def test_a_tab_shows_exactly_its_tasks_and_is_refilled_not_doubled(server, api, project):
    number, ids = project(600)
    own = {"project": number, "data": {"title": "Mine", "filters": {}}}
    assert api.post("/api/dm/views/", json=own).is_success
    server.show_tab(number, "Adjudicate", ids[::2])
    server.show_tab(number, "Adjudicate", [ids[9], ids[3], ids[4]])
    assert shown(api, number, "Adjudicate") == [[ids[3], ids[4], ids[9]]]
    assert len(shown(api, number, "Mine")[0]) == 600
    server.show_tab(number, "Adjudicate", [ids[3], ids[9]], ordering="-tasks:id")
    assert shown(api, number, "Adjudicate") == [[ids[9], ids[3]]]
    server.show_tab(number, "Adjudicate", [])
    assert shown(api, number, "Adjudicate") == [[]]
    server.show_tab(number, "Disagreement", [ids[0]])
    assert shown(api, number, "Disagreement") == [[ids[0]]]


def test_a_tab_of_500_scattered_tasks_is_shown(server, api, project):
    number, ids = project(1010)
    server.show_tab(number, "Adjudicate", ids[::2])
    assert shown(api, number, "Adjudicate") == [ids[: 2 * 500 : 2]]


# -- several annotators -----------------------------------------------------------------------


def test_with_overlap_2_a_task_is_served_to_two_annotators_and_then_labelled(
    server, project, annotators
):
    number, ids = project(3)
    server.set_overlap(number, 2)
    assert server.overlap(number) == 2
    scored = [p | {"score": rank / 3} for rank, p in enumerate(predictions(ids))]
    server.push_predictions(number, scored, 10, 0)
    server.serve_order_of(number, "r0001-aaaaaa")
    one, two, three = annotators

    def listed():
        task = next(server.tasks(number))
        return task.annotations, task.is_labeled

    assert one.next_task(number)["id"] == ids[0]
    one.submit(number, ids[0], [REGION], 1)
    assert listed() == (1, False)
    assert one.next_task(number)["id"] == ids[1]  # nobody gets a task twice
    assert two.next_task(number)["id"] == ids[0]  # the started task comes first
    two.submit(number, ids[0], [REGION], 1)
    assert listed() == (2, True)
    assert three.next_task(number)["id"] != ids[0]
    server.set_overlap(number, 3)  # what is labelled is counted anew
    assert listed() == (2, False)


def test_the_same_annotators_second_submission_does_not_complete_an_overlap_of_2(
    server, project, annotators
):
    number, (task,) = project(1)
    server.set_overlap(number, 2)
    for _ in range(2):
        annotators[0].submit(number, task, [REGION], 1)
    (listed,) = server.tasks(number)
    assert (listed.annotations, listed.is_labeled) == (2, False)


def test_twenty_clients_at_once_are_all_served(server, api, project):
    """SQLite may be locked for some of them; none may notice."""
    number, ids = project(100)

    def use(client):
        mine = ids[client * 5 : client * 5 + 5]
        stored = server.push_predictions(number, predictions(mine), 5, 0).stored
        return stored + len(server.predicted(number, "r0001-aaaaaa", mine))

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(use, range(20))) == [10] * 20
    assert json.dumps(server.prediction_counts(number)) == '{"r0001-aaaaaa": 100}'
