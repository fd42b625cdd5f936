"""What the records of annotations lean on in the real Label Studio, one fact a test."""

from dataclasses import replace

import httpx
import numpy as np
import pytest

from ml_backend.auto_annotations import Entry, Made
from ml_backend.figures.ledger import Ledger
from ml_backend.figures.reading import shown_to
from ml_backend.figures.recording import refresh_records
from ml_backend.figures.records import WITH, WITHOUT
from ml_backend.label_studio import LabelStudio
from ml_backend.label_studio.drafts import Drafts
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.pool import held_back
from ml_backend.store import Store
from ml_backend.survey import survey

CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    '<Label value="Lung"/></BrushLabels></View>'
)
OLD, NEW = "r0001-aaaaaa", "r0002-bbbbbb"


class Server(LabelStudio, Drafts):
    """A connection that reads predictions back, too."""


@pytest.fixture(scope="module")
def server(running):
    with Server(running.label_studio.url, running.account.token) as connection:
        yield connection


@pytest.fixture(scope="module")
def api(running):
    headers = {"Authorization": f"Token {running.account.token}"}
    url = running.label_studio.url
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def project(server, api):
    """Makes projects of so many tasks; they are removed afterwards."""
    made = []

    def make(count):
        made.append(server.create_project(f"records {len(made)}", CONFIG))
        data = [{"data": {"image": f"/data/{n}.png", "slice": str(n)}} for n in range(count)]
        server.import_tasks(made[-1], data)
        return made[-1], [task.id for task in server.tasks(made[-1])]

    yield make
    for number in made:
        api.delete(f"/api/projects/{number}/")


def regions(size):
    drawn = np.zeros((16, 16), dtype=np.uint8)
    drawn[:size, :size] = 1
    return to_regions(drawn, BrushConfig.parse(CONFIG))


def push(server, number, version, sizes):
    """Predictions, task → side of the square drafted, served from now on."""
    given = [
        {"task": t, "result": regions(size), "score": 0.5, "model_version": version}
        for t, size in sizes.items()
    ]
    assert server.push_predictions(number, given, 50, 0.0).stored == len(given)
    server.serve_order_of(number, version)


def submit(api, number, task, size, **fields):
    body = {"result": regions(size), "lead_time": 0.01, **fields}
    reply = api.post(f"/api/tasks/{task}/annotations/", params={"project": number}, json=body)
    assert reply.is_success, reply.text
    return reply.json()["id"]


def annotation_of(server, number, task):
    (found,) = server.annotations(number, [task])
    return found


def test_predictions_are_read_back_with_their_masks_and_empty_ones_are_empty(server, project):
    number, (task, other) = project(2)
    push(server, number, OLD, {task: 4, other: 0})
    (drafted,) = server.stored_predictions(task)
    assert drafted.version == OLD and drafted.created_at
    assert drafted.regions[0]["value"]["rle"] == regions(4)[0]["value"]["rle"]
    assert server.stored_predictions(other)[0].regions == []
    assert server.stored_predictions(10**9) == []


def test_the_editors_parent_prediction_names_the_draft_though_the_version_changed(
    server, api, project
):
    number, (task,) = project(1)
    push(server, number, OLD, {task: 4})
    (first,) = server.stored_predictions(task)
    push(server, number, NEW, {task: 8})
    submit(api, number, task, 4, parent_prediction=first.id)
    found = annotation_of(server, number, task)
    assert found.parent_prediction == first.id
    assert shown_to(found, server.stored_predictions(task)).version == OLD
    # Label Studio's own note of a prediction is of the version served at the submission.
    exported = api.get(f"/api/projects/{number}/export", params={"exportType": "JSON"}).json()
    assert exported[0]["annotations"][0]["prediction"]["model_version"] == NEW


def test_removing_a_prediction_leaves_the_annotation_without_its_name(server, api, project):
    number, (task,) = project(1)
    push(server, number, OLD, {task: 4})
    (first,) = server.stored_predictions(task)
    submit(api, number, task, 4, parent_prediction=first.id)
    push(server, number, NEW, {task: 8})
    server.delete_predictions(number, OLD)
    assert annotation_of(server, number, task).parent_prediction is None


def test_a_submission_from_a_prediction_that_is_gone_is_refused(server, api, project):
    number, (task,) = project(1)
    push(server, number, OLD, {task: 4})
    (first,) = server.stored_predictions(task)
    push(server, number, NEW, {task: 8})
    server.delete_predictions(number, OLD)
    body = {"result": regions(4), "lead_time": 0.01, "parent_prediction": first.id}
    reply = api.post(f"/api/tasks/{task}/annotations/", params={"project": number}, json=body)
    assert reply.status_code == 400 and "parent_prediction" in reply.text


def test_without_a_name_it_is_the_newest_that_was_there_when_the_slice_was_opened(
    server, api, project
):
    number, (task,) = project(1)
    push(server, number, OLD, {task: 4})
    submit(api, number, task, 4)
    push(server, number, NEW, {task: 8})
    found = annotation_of(server, number, task)
    assert found.parent_prediction is None
    assert shown_to(found, server.stored_predictions(task)).version == OLD


def test_a_project_is_recorded_and_kept_up_to_date(server, api, project, running, tmp_path):
    number, ids = project(24)
    settings = replace(running.settings, data_dir=tmp_path, store_url="", hold_drafts_back=0.5)
    store = Store(settings.store_root, number)
    store.publish(OLD, [], {"labels": ["Lung"], "training": {"steps": 1}})
    store.note(OLD, "order", {"tasks": ids})
    back = [task for task in ids if held_back(settings, task)]
    drafted = [task for task in ids if task not in back]
    push(server, number, OLD, {t: 0 if t in back else 4 for t in ids})
    for task in ids:
        submit(api, number, task, 8, lead_time=5.0)

    def refresh():
        left = refresh_records(
            server, store, number, survey(server, number, settings), settings, until=0.0
        )
        return left, {r.task: r for r in Ledger.read(store).records()}

    assert refresh()[0] == 4
    left, found = refresh()
    assert left == 0
    assert {found[t].arm for t in drafted} <= {WITH} and {found[t].arm for t in back} <= {WITHOUT}
    assert all(found[t].changed == pytest.approx(1 - 32 / 80) for t in drafted)
    assert all(found[t].changed is None for t in back)
    first = annotation_of(server, number, ids[0])
    reply = api.patch(f"/api/annotations/{first.id}/", json={"result": regions(4)})
    assert reply.is_success
    gone = annotation_of(server, number, ids[1])
    api.delete(f"/api/annotations/{gone.id}/")
    _, found = refresh()
    assert found[ids[0]].areas == {"Lung": 0.0625} and found[ids[0]].lead_time_s == 5.0
    assert ids[1] not in found


def test_an_import_keeps_its_times_and_names_no_editor(server, api, project):
    number, (drawn,) = project(1)
    submit(api, number, drawn, 4, lead_time=33.0)
    moved = {"data": {"image": "/data/9.png"}, "annotations": [{"result": [], "lead_time": 150.0}]}
    assert api.post(f"/api/projects/{number}/import", json=[moved]).is_success
    (task,) = [task.id for task in server.tasks(number) if task.id != drawn]
    own, brought = (annotation_of(server, number, each) for each in (drawn, task))
    assert own.lead_time_s == 33.0 and own.edited_by is not None
    assert brought.lead_time_s == 150.0 and brought.edited_by is None
    assert brought.created_at > own.created_at  # the moment of the import


def test_a_review_of_what_quorum_made_is_dated_when_it_was_done(
    server, api, project, running, tmp_path
):
    number, (task,) = project(1)
    settings = replace(running.settings, data_dir=tmp_path, store_url="")
    store = Store(settings.store_root, number)
    store.publish(OLD, [], {"labels": ["Lung"], "training": {"steps": 1}})
    store.note(OLD, "order", {"tasks": [task]})
    push(server, number, "auto-0001-aaaaaa", {task: 8})
    push(server, number, OLD, {task: 0})
    server.annotate_from(number, "auto-0001-aaaaaa", [task])
    server.delete_predictions(number, "auto-0001-aaaaaa")
    made = annotation_of(server, number, task)
    (listed,) = server.tasks(number)
    Made(
        annotator=made.annotator,
        version=OLD,
        annotations={made.id: made.updated_at},
        tasks={task: Entry(made.id, 0.5, listed.changed, OLD, made.annotator)},
    ).keep(store)

    def recorded():
        found = survey(server, number, settings)
        assert refresh_records(server, store, number, found, settings) == 0
        return Ledger.read(store).of_task(task)

    assert recorded() == []
    reply = api.patch(f"/api/annotations/{made.id}/", json={"result": regions(8), "lead_time": 3.0})
    assert reply.is_success
    (record,) = recorded()
    assert record.reviewed and record.lead_time_s == 3.0
    assert record.created_at == record.updated_at > made.created_at
    assert (record.arm, record.changed) == (None, None)
