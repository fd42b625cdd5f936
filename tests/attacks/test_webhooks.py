"""Webhooks that Label Studio never sent, and those that somebody sends again and again."""

import pytest
from rq import Queue

from ml_backend.connection import Connection, keep_connection
from ml_backend.jobs import HEAVY, QUICK, Jobs
from ml_backend.jobs.state import PROJECTS

from .conftest import PASSWORD, PROJECT, SECRET, USER

EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": PROJECT}, "annotation": {"id": 1}}
LOOKS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)
REPLAYS = 1000


@pytest.fixture
def jobs(backend_settings):
    return Jobs.connect(backend_settings)


@pytest.fixture
def send(backend):
    client = backend.test_client()

    def post(body, secret=SECRET, **more):
        headers = {"X-Quorum-Secret": secret} if secret is not None else {}
        return client.post("/webhook", json=body, headers=headers, **more)

    return post


def queued(jobs):
    """What waits in both queues: a function and its project."""
    found = [job for name in (QUICK, HEAVY) for job in Queue(name, connection=jobs.redis).jobs]
    return [(job.func_name.rpartition(".")[2], job.args[0]) for job in found]


def keys(jobs):
    """Everything that Redis holds of projects and queues."""
    return {key for key in jobs.redis.keys("*") if b"callers" not in key}


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", SECRET + " ", SECRET[:-1], SECRET.upper(), PASSWORD, "\0", "ä"]
)
def test_a_forged_webhook_leaves_no_trace(send, jobs, secret):
    before = keys(jobs)
    for event in (*LOOKS, "START_TRAINING"):
        answer = send({**EVENT, "action": event}, secret and secret.replace("\0", "%00"))
        assert answer.status_code in (401, 429)
    assert queued(jobs) == [] and keys(jobs) == before


def test_a_secret_in_the_body_or_the_address_is_none(backend, jobs):
    client = backend.test_client()
    body = {**EVENT, "X-Quorum-Secret": SECRET, "secret": SECRET}
    for path in (f"/webhook?X-Quorum-Secret={SECRET}", "/webhook"):
        assert client.post(path, json=body).status_code == 401
    assert queued(jobs) == []


def test_a_thousand_replays_queue_one_look(send, jobs):
    answers = [send({**EVENT, "action": LOOKS[n % len(LOOKS)]}) for n in range(REPLAYS)]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json["job"] for answer in answers} == {f"look-{PROJECT}"}
    assert queued(jobs) == [("look_job", PROJECT)]


def test_replays_while_a_look_is_made_queue_one_more_and_no_round(send, jobs):
    send(EVENT)
    jobs.redis.delete(f"rq:queue:{QUICK}")  # a worker has taken it
    jobs.state(PROJECT).begin_look()
    for _ in range(REPLAYS):
        send(EVENT)
    assert queued(jobs) == [("look_job", PROJECT)]
    assert not jobs.state(PROJECT).waits and not jobs.state(PROJECT).running()


def test_replays_fill_no_memory(send, jobs):
    send(EVENT)
    before = keys(jobs)
    for number in range(200):
        send({**EVENT, "annotation": {"id": number}})
    assert keys(jobs) == before


def test_however_often_a_training_is_asked_for_one_round_waits(send, jobs):
    answers = [send({**EVENT, "action": "START_TRAINING"}) for _ in range(50)]
    assert {answer.json["job"] for answer in answers} == {f"round-{PROJECT}-1"}
    assert jobs.state(PROJECT).waits and jobs.state(PROJECT).number == 0
    assert {name for name, _ in queued(jobs)} == {"advance_job"}


@pytest.mark.parametrize("event", [*LOOKS, "START_TRAINING", "LABEL_LINK_CREATED"])
def test_a_project_that_nobody_connected_is_left_alone(send, jobs, event):
    before = keys(jobs)
    for number in range(100, 200):
        answer = send({**EVENT, "action": event, "project": {"id": number}})
        assert answer.status_code == 404
        assert f"./quorum connect {number}" in answer.json["error"]
    assert queued(jobs) == [] and keys(jobs) == before


def test_a_disconnected_project_is_left_alone_though_its_versions_are_kept(
    send, jobs, backend_settings
):
    keep_connection(backend_settings, PROJECT, Connection("http://x", connected=False))
    jobs.redis.srem(PROJECTS, PROJECT)
    assert send(EVENT).status_code == 404
    assert queued(jobs) == []


def test_a_connected_project_is_known_though_redis_has_lost_everything(send, jobs):
    jobs.redis.flushall()
    assert send(EVENT).status_code == 201
    assert queued(jobs) == [("look_job", PROJECT)]


def test_an_event_of_another_kind_is_no_reason_to_look(send, jobs):
    for event in ("LABEL_LINK_CREATED", "x" * 200, "START_TRAINING\n", "look_job", "__class__"):
        answer = send({**EVENT, "action": event})
        assert (answer.status_code, answer.json) == (200, {})
    assert queued(jobs) == []


def test_start_training_comes_with_user_and_password_instead(backend, jobs):
    client = backend.test_client()
    body = {**EVENT, "action": "START_TRAINING"}
    assert client.post("/webhook", json=body, auth=(USER, PASSWORD)).status_code == 201
    assert jobs.state(PROJECT).waits
