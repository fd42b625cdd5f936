"""The whole loop against the real Label Studio: these tests tell one story, in their order."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pydicom.data
import pytest
from label_studio_sdk.converter import brush

from demo.run import reference_of
from importer import import_dicom
from importer.tasks import send
from ml_backend.committees import load
from ml_backend.export import export_to
from ml_backend.gathering import read_image
from ml_backend.label_studio import SAMPLING, LabelStudio, LabelStudioError
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.store import number_of
from ml_backend.survey import survey


@pytest.fixture(scope="module")
def config(running):
    return BrushConfig.parse(running.label_studio.project(running.project_id)["label_config"])


@pytest.fixture(scope="module")
def api(running):
    """Label Studio's API as a plain client sees it."""
    headers = {"Authorization": f"Token {running.account.token}"}
    with httpx.Client(base_url=running.label_studio.url, headers=headers, timeout=60) as client:
        yield client


def take_at_once(annotators, project_id):
    """All annotators ask for their next task at the same moment."""
    with ThreadPoolExecutor(len(annotators)) as pool:
        tasks = list(pool.map(lambda who: who.next_task(project_id), annotators))
    return list(zip(annotators, tasks, strict=True))


def submit(running, config, held):
    draw = reference_of(running.key)
    for who, task in held:
        regions = to_regions(draw(task["data"]), config)
        who.submit(running.project_id, task["id"], regions, lead_time_s=20)


def served_order(running, config, annotators, count):
    """Task ids in the groups in which the annotators got them, all labelled."""
    groups = []
    for _ in range(count // len(annotators)):
        held = take_at_once(annotators, running.project_id)
        groups.append({task["id"] for _, task in held})
        submit(running, config, held)
    return groups


def in_groups(ids, size):
    return [set(ids[start : start + size]) for start in range(0, len(ids), size)]


def test_connecting_sets_everything_that_the_order_needs(running, store, api, eventually):
    first = eventually(store.current, "the first order")
    assert number_of(first) == 0

    def followed():
        project = running.label_studio.project(running.project_id)
        return project if project["model_version"] == first else None

    # The store's pointer moves first.
    project = eventually(followed, "Label Studio following the first order")
    assert project["sampling"] == SAMPLING
    hooks = api.get("/api/webhooks/", params={"project": running.project_id}).json()
    assert [hook["headers"] for hook in hooks] == [
        {"X-Quorum-Secret": running.settings.webhook_secret}
    ]
    backends = api.get("/api/ml/", params={"project": running.project_id}).json()
    assert [backend["url"] for backend in backends] == [running.backend_url]


def test_evaluation_slices_then_a_diverse_batch_are_served_first(
    running, store, config, annotators
):
    order = store.noted(store.current(), "order")["tasks"]
    found = survey(running.label_studio, running.project_id, running.settings)
    evaluation = {t.id for t, asked in zip(found.tasks, found.evaluation, strict=True) if asked}
    assert set(order[:3]) == evaluation
    assert len(order) == len(found.tasks)
    assert served_order(running, config, annotators, 9) == in_groups(order[:9], 3)


def test_the_webhook_starts_a_round_by_itself(running, store, eventually):
    version = eventually(lambda: current_from(store, 1), "a trained version")
    metadata = store.metadata(version)
    assert len(metadata["training_tasks"]) == 6
    assert len(metadata["evaluation_tasks"]) == 3
    assert not set(metadata["training_tasks"]) & set(metadata["evaluation_tasks"])
    assert 0 < metadata["quality"]["mean_iou"] < 1
    # The store's pointer moves first, Label Studio a moment later.
    project = running.label_studio.project
    eventually(
        lambda: project(running.project_id)["model_version"] == version, "the switch to the version"
    )


def current_from(store, number):
    version = store.current()
    return version if version and number_of(version) >= number else None


def test_every_pushed_mask_decodes_to_what_the_committee_predicted(running, store, config, api):
    version = store.current()
    committee = load(store, version, config.labels, "cpu")
    found = survey(running.label_studio, running.project_id, running.settings)
    order = store.noted(version, "order")["tasks"]
    tasks = [task for task in found.tasks if task.id in set(order)]
    assert len(tasks) == len(found.tasks) - 9  # all that were still open
    images = [read_image(running.label_studio, task, config) for task in tasks]
    for task, image, scored in zip(tasks, images, committee.score(images), strict=True):
        pushed = [
            prediction
            for prediction in api.get("/api/predictions/", params={"task": task.id}).json()
            if prediction["model_version"] == version
        ]
        assert len(pushed) == 1
        assert pushed[0]["score"] == pytest.approx(order.index(task.id) / len(order))
        drawn = np.zeros(image.shape, np.uint8)
        for region in pushed[0]["result"]:
            alpha = brush.decode_rle(region["value"]["rle"]).reshape(*image.shape, 4)[:, :, 3]
            assert set(np.unique(alpha)) <= {0, 255}
            drawn[alpha == 255] = config.labels.index(region["value"]["brushlabels"][0]) + 1
        assert np.array_equal(drawn, scored.draft)


def test_three_annotators_at_once_get_the_selected_slices_in_the_order_selected(
    running, store, config, annotators, eventually
):
    version = store.current()
    wanted = store.noted(version, "round")["wanted"]
    assert len(wanted) == 6
    assert served_order(running, config, annotators, 6) == in_groups(wanted, 3)
    eventually(lambda: current_from(store, 2), "the second round")


def test_slices_imported_later_are_scored_and_join_the_queue(
    running, store, api, tmp_path, eventually
):
    version = store.current()
    file = pydicom.data.get_testdata_file("MR_small.dcm")
    report = import_dicom(file, tmp_path, running.key)
    assert send(report.tasks, tmp_path, running.label_studio, running.project_id) == 1
    assert send(report.tasks, tmp_path, running.label_studio, running.project_id) == 0
    late = max(task.id for task in running.label_studio.tasks(running.project_id))

    def prediction():
        found = api.get("/api/predictions/", params={"task": late}).json()
        return [p for p in found if p["model_version"] == version]

    (joined,) = eventually(prediction, "a prediction of the late slice")
    # The second patient is held out, and its slice is asked for to evaluate with.
    assert joined["score"] == 0
    eventually(
        lambda: store.noted(version, "order")["tasks"][-1] == late, "the note of the late slice"
    )


def test_local_files_are_served_without_an_upload(running, config, tmp_path):
    root = running.settings.data_dir  # the demo's document root
    out = root / "extra"
    file = pydicom.data.get_testdata_file("CT_small.dcm")
    report = import_dicom(file, out, running.key)
    with pytest.raises(ValueError, match="document root"):
        send(report.tasks, out, running.label_studio, running.project_id, tmp_path)
    assert send(report.tasks, out, running.label_studio, running.project_id, root) == 1
    task = max(running.label_studio.tasks(running.project_id), key=lambda task: task.id)
    assert task.data["image"].startswith("/data/local-files/?d=extra/images/")
    assert read_image(running.label_studio, task, config).shape == (128, 128)


def test_predict_answers_every_task_and_goes_on_past_a_gone_image(running, store, config):
    tasks = [
        {"id": task.id, "data": dict(task.data)}
        for task in list(running.label_studio.tasks(running.project_id))[:2]
    ]
    gone = {"id": 999, "data": {"image": "/data/upload/1/gone.png"}}
    elsewhere = {"id": 998, "data": {"image": "http://192.0.2.1/secret.png"}}
    response = post(running, "/predict", [tasks[0], gone, elsewhere, tasks[1]], config)
    assert response.status_code == 200
    first, second, third, fourth = response.json()["results"]
    assert second["result"] == third["result"] == []
    assert second["score"] == 1.0
    assert first["result"] or fourth["result"]
    assert {r["model_version"] for r in (first, second, fourth)} == {store.current()}


def post(running, path, tasks, config, auth=True, label_config=None):
    xml = label_config or (
        f'<View><Image name="{config.to_name}" value="${config.image_key}"/>'
        f'<BrushLabels name="{config.from_name}" toName="{config.to_name}">'
        + "".join(f'<Label value="{label}"/>' for label in config.labels)
        + "</BrushLabels></View>"
    )
    settings = running.settings
    return httpx.post(
        running.backend_url + path,
        json={"tasks": tasks, "project": f"{running.project_id}.1", "label_config": xml},
        auth=(settings.basic_auth_user, settings.basic_auth_password) if auth else None,
        timeout=60,
    )


def test_a_stranger_is_refused(running, config):
    assert post(running, "/predict", [], config, auth=False).status_code == 401
    body = {"action": "START_TRAINING", "project": {"id": running.project_id}}
    assert httpx.post(f"{running.backend_url}/webhook", json=body).status_code == 401
    page = f"{running.backend_url}/progress/{running.project_id}"
    assert httpx.get(page).status_code == 401


def test_a_label_config_without_brush_labels_is_refused_with_the_remedy(running, config):
    bare = '<View><Image name="image" value="$image"/></View>'
    response = post(running, "/predict", [{"data": {}}], config, label_config=bare)
    assert response.status_code == 422
    assert "BrushLabels" in response.json()["error"]


def test_start_training_in_label_studio_makes_a_round(
    running, store, config, api, jobs, eventually
):
    before = store.current()
    (backend,) = api.get("/api/ml/", params={"project": running.project_id}).json()
    found = survey(running.label_studio, running.project_id, running.settings)
    pool = [t for t, out in zip(found.tasks, found.held_out, strict=True) if not out]
    brains = [task for task in pool if task.data.get("body_part") == "BRAIN"]
    open_task = next(task for task in brains if not task.is_labeled)
    drawn = to_regions(reference_of(running.key)(open_task.data), config)
    api.post(f"/api/tasks/{open_task.id}/annotations/", json={"result": drawn})
    assert api.post(f"/api/ml/{backend['id']}/train", json={}).status_code == 200
    version = eventually(
        lambda: store.current() if store.current() != before else None, "the forced round"
    )
    assert open_task.id in store.metadata(version)["training_tasks"]
    assert jobs.latest(running.project_id)["error"] is None


def test_the_progress_page_shows_the_versions(running, store):
    settings = running.settings
    response = httpx.get(
        f"{running.backend_url}/progress/{running.project_id}",
        auth=(settings.basic_auth_user, settings.basic_auth_password),
    )
    assert response.status_code == 200
    assert all(version in response.text for version in store.versions())


def test_the_labelled_slices_can_be_taken_home(running, config, tmp_path):
    connection = (running.settings, running.label_studio, running.project_id)
    manifest = export_to(*connection, "png", tmp_path)
    labelled = [task for task in running.label_studio.tasks(running.project_id) if task.annotations]
    assert {entry["task"] for entry in manifest["slices"]} == {task.id for task in labelled}
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    from PIL import Image

    draw = reference_of(running.key)
    brains = [t for t in labelled if t.data.get("body_part") == "BRAIN"][:3]
    for task in brains:
        mask = np.asarray(Image.open(tmp_path / "masks" / f"task-{task.id}.png"))
        assert np.array_equal(mask, draw(task.data))


def test_a_task_deleted_during_the_push_is_left_out(running, store, api):
    tasks = [task.id for task in running.label_studio.tasks(running.project_id)][-2:]
    api.delete(f"/api/tasks/{tasks[0]}/")
    sent = [{"task": task, "result": [], "score": 0.9, "model_version": "trial"} for task in tasks]
    pushed = running.label_studio.push_predictions(running.project_id, sent, 10, 0)
    assert (pushed.stored, list(pushed.gone)) == (1, tasks[:1])


def test_a_prediction_that_label_studio_drops_is_noticed(running):
    task = next(running.label_studio.tasks(running.project_id)).id
    bad = [{"task": task, "result": [], "score": 1.5, "model_version": "trial"}]
    pushed = running.label_studio.push_predictions(running.project_id, bad, 10, 0)
    assert (pushed.stored, list(pushed.refused)) == (0, [task])


def test_a_refused_token_and_a_dead_server_are_told_apart(running):
    with pytest.raises(LabelStudioError, match="refuses the token") as caught:
        LabelStudio(running.label_studio.url, "0" * 40).whoami()
    assert "0" * 40 not in str(caught.value)
    with pytest.raises(LabelStudioError, match="cannot be reached"):
        LabelStudio("http://127.0.0.1:9", "0" * 40).whoami()
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_API_KEY"):
        LabelStudio(running.label_studio.url, "")


def test_a_personal_access_token_works_too(running, api):
    settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    assert api.post("/api/jwt/settings", json=settings).is_success
    created = api.post("/api/token/")
    assert created.is_success, created.text
    server = LabelStudio(running.label_studio.url, created.json()["token"])
    assert server.whoami() == running.account.email
    task = next(server.tasks(running.project_id))
    assert server.image(task.data["image"]).startswith(b"\x89PNG")
