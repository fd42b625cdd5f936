"""The HTTP contract, on a real Redis, before any committee exists."""

from dataclasses import replace

import pytest
import torch
from flask.testing import FlaskClient
from rq import Queue

from ml_backend.app import create_app
from ml_backend.jobs import QUICK, Jobs
from ml_backend.jobs.state import PROJECTS
from ml_backend.learning.memory import TooLittleMemory
from ml_backend.learning.training_settings import TrainingSettings
from ml_backend.settings import Settings

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="A"/></BrushLabels></View>'
)
EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 4}, "annotation": {"id": 1}}
USER, PASSWORD, SECRET = "quorum", "correct horse", "battery staple"


@pytest.fixture
def settings(redis_url, tmp_path):
    settings = Settings(
        redis_url=redis_url,
        data_dir=tmp_path,
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        webhook_secret=SECRET,
    )
    redis = Jobs.connect(settings).redis
    redis.flushall()
    redis.sadd(PROJECTS, 4)  # as ./quorum connect 4 does
    return settings


class LabelStudio(FlaskClient):
    """Sends user and password with each call, as Label Studio does."""

    def open(self, *arguments, **more):
        return super().open(*arguments, **{"auth": (USER, PASSWORD), **more})


@pytest.fixture
def client(settings):
    app = create_app(settings)
    app.test_client_class = LabelStudio
    return app.test_client()


@pytest.fixture
def stranger(settings):
    return create_app(settings).test_client()


def test_health_is_up_and_open(client, stranger):
    for anyone in (client, stranger):
        assert anyone.get("/health").json["status"] == "UP"


def test_setup_answers_with_the_version_that_drafts(client):
    response = client.post("/setup", json={"project": "4.1700000000", "schema": CONFIG})
    assert (response.status_code, response.json) == (200, {"model_version": ""})


def test_predict_gives_as_many_results_as_tasks_before_any_training(client):
    tasks = [{"id": n, "data": {"image": "/x.png"}} for n in range(3)]
    body = {"tasks": tasks, "project": "4.1", "label_config": CONFIG, "params": {"context": None}}
    response = client.post("/predict", json=body)
    assert [r["result"] for r in response.json["results"]] == [[], [], []]


def test_any_number_of_webhooks_queue_one_look(client, settings):
    answers = [client.post("/webhook", json=EVENT) for _ in range(5)]
    assert {a.status_code for a in answers} == {201}
    assert {a.json["job"] for a in answers} == {"look-4"}
    assert Queue(QUICK, connection=Jobs.connect(settings).redis).count == 1
    assert client.post("/job_status", json={"job": "look-4"}).json["job_status"] == "queued"


@pytest.mark.parametrize(
    "event",
    [
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "TASKS_CREATED",
        "TASKS_DELETED",
        "PROJECT_UPDATED",
        "START_TRAINING",
    ],
)
def test_every_event_of_label_studio_is_a_hint_to_look(client, event):
    assert "job" in client.post("/webhook", json={"action": event, "project": {"id": 4}}).json


def test_an_event_that_says_nothing_is_taken_and_ignored(client):
    response = client.post("/webhook", json={"action": "LABEL_LINK_CREATED", "project": {"id": 4}})
    assert (response.status_code, response.json) == (200, {})


def test_job_status_tells_how_a_training_stands(client):
    job = client.post("/webhook", json={**EVENT, "action": "START_TRAINING"}).json["job"]
    assert client.post("/job_status", json={"job": job}).json["job_status"] == "queued"
    unknown = client.post("/job_status", json={"job": "round-9-9"})
    assert unknown.status_code == 503 and "no such job" in unknown.json["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/predict", {"project": "4.1"}, 400, "'tasks'"),
        ("/predict", {"tasks": [1], "project": "4.1"}, 400, "'tasks'"),
        ("/predict", {"tasks": [], "label_config": CONFIG}, 400, "'project'"),
        (
            "/predict",
            {"tasks": [], "project": "4.1", "label_config": "<View/>"},
            422,
            "BrushLabels",
        ),
        ("/predict", {"tasks": [], "project": "4.1"}, 400, "'label_config' is missing"),
        ("/setup", {"project": "4", "schema": "<View/>"}, 422, "BrushLabels"),
        ("/webhook", {"project": {"id": 4}}, 400, "'action'"),
        ("/webhook", {"action": "START_TRAINING", "project": {"id": "../x"}}, 400, "'project'"),
        ("/job_status", {}, 400, "'job'"),
        ("/job_status", {"job": "look-x"}, 400, "'job'"),
        ("/nothing", {}, 404, "not found"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, path, body, status, words):
    response = client.post(path, json=body)
    assert response.status_code == status
    assert words in response.json["error"]


def test_a_body_that_is_no_json_is_refused(client):
    response = client.post("/webhook", data=b"{", content_type="application/json")
    assert response.status_code == 400 and "JSON" in response.json["error"]


def test_an_unforeseen_error_shows_no_traceback_and_quotes_nothing(client, caplog):
    app = client.application

    @app.get("/boom")
    def boom():
        raise RuntimeError("Smith, John")

    response = client.get("/boom")
    assert response.status_code == 500
    assert "Smith" not in response.text + caplog.text
    assert "Traceback" not in response.text
    assert "RuntimeError" in caplog.text


def test_a_gpu_that_others_fill_is_told_with_its_remedy(client, monkeypatch):
    def full(*_arguments, **_more):
        raise TooLittleMemory(torch.device("cuda"), TrainingSettings())

    monkeypatch.setattr("ml_backend.app.CommitteeModel.predict", full)
    body = {"tasks": [], "project": "4.1", "label_config": CONFIG}
    response = client.post("/predict", json=body)
    assert response.status_code == 503
    assert "memory of cuda" in response.json["error"] and "side_px" in response.json["error"]


def test_without_credentials_nothing_but_health_is_answered(stranger):
    for path in ("/setup", "/predict", "/webhook", "/job_status", "/nothing"):
        assert stranger.post(path, json=EVENT).status_code == 401
    assert stranger.get("/progress/4").status_code == 401


def test_a_webhook_needs_its_secret(stranger):
    wrong = stranger.post("/webhook", json=EVENT, headers={"X-Quorum-Secret": "no"})
    assert wrong.status_code == 401 and "./quorum connect" in wrong.json["error"]
    right = stranger.post("/webhook", json=EVENT, headers={"X-Quorum-Secret": SECRET})
    assert right.status_code == 201


def test_a_redis_that_is_down_is_told_to_label_studio(settings, tmp_path):
    away = replace(settings, redis_url=f"unix://{tmp_path}/none.sock")
    app = create_app(away)
    app.test_client_class = LabelStudio
    response = app.test_client().post("/webhook", json=EVENT)
    assert response.status_code == 503
    assert "QUORUM_REDIS_URL" in response.json["error"]


@pytest.mark.parametrize(("method", "path"), [("get", "/health"), ("post", "/predict")])
def test_answers_are_not_stored_nor_taken_for_something_else(client, method, path):
    headers = getattr(client, method)(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
