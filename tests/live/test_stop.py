"""./quorum up is asked to end while a request is answered and a committee trained."""

import http.client
import json
import signal
import threading
import time
from pathlib import Path

import pytest
import redis

from launcher.processes import Supervisor, free_port, port_is_free
from launcher.services import new_secrets, remove_socket, start_backend, start_redis
from ml_backend.jobs.state import PROJECTS

from .own_loop import OwnLoop


@pytest.fixture
def loop(running, tmp_path):
    # Long enough to be met in the middle.
    loop = OwnLoop(running, tmp_path / "data", QUORUM_STEPS="600")
    yield loop
    loop.end()


class Slowly:
    """A webhook whose second half is sent later."""

    def __init__(self, port, secret, project_id):
        event = {"action": "PROJECT_UPDATED", "project": {"id": project_id}}
        body = json.dumps(event).encode()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.putrequest("POST", "/webhook")
        self._connection.putheader("Content-Type", "application/json")
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.putheader("X-Quorum-Secret", secret)
        self._connection.endheaders()
        self._connection.send(body[:20])
        self._rest = body[20:]

    def finish(self, after_s, answers):
        time.sleep(after_s)
        self._connection.send(self._rest)
        answers.append(self._connection.getresponse().status)
        self._connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM], ids=["SIGTERM"])
def test_the_request_ends_the_step_is_given_back_and_nothing_is_left(
    loop, annotators, eventually, number
):
    loop.start()
    loop.connect()
    eventually(lambda: loop.served.startswith("r0000-"), "the first order")
    first, jobs, socket = loop.served, loop.jobs, Path(loop.notice["QUORUM_REDIS_URL"][7:])
    loop.label(annotators[2], 9)

    def trains():
        latest = jobs.latest(loop.project_id) or {}
        return latest.get("step") == "train" and latest.get("done", 0) > 0

    eventually(trains, "a training")
    jobs.redis.close()
    answers = []
    slowly = Slowly(loop.port, loop.secrets["QUORUM_WEBHOOK_SECRET"], loop.project_id)
    sender = threading.Thread(target=slowly.finish, args=(4, answers))
    sender.start()
    time.sleep(0.5)
    loop.signal(number)
    status, took_s = loop.ended()
    sender.join()

    assert (status, answers) == (0, [201]), took_s
    assert took_s < 30
    assert loop.left() == []
    assert port_is_free(loop.port) and not socket.parent.exists()
    assert not (loop.data / "running.json").exists()
    assert (loop.store.versions(), loop.served) == ([first], first)
    assert list(loop.data.rglob(".writing-*")) == []

    loop.start()
    eventually(lambda: loop.served.startswith("r0001-"), "the round that was interrupted", 150)
    assert len(loop.store.metadata(loop.served)["training_tasks"]) == 6


def test_a_request_that_was_begun_is_answered_and_redis_is_there_for_it(tmp_path):
    """Without a Label Studio: the supervisor, Redis, the backend, the attendant and a worker."""
    supervisor, port, secrets, answers = Supervisor(), free_port(), new_secrets(), []
    url = start_redis(supervisor, tmp_path)
    redis.Redis.from_url(url).sadd(PROJECTS, 1)  # a project that is known
    environment = {**secrets, "QUORUM_REDIS_URL": url, "LABEL_STUDIO_URL": "http://127.0.0.1:9"}
    try:
        start_backend(supervisor, tmp_path, environment, "127.0.0.1", port)
        sender = threading.Thread(
            target=Slowly(port, secrets["QUORUM_WEBHOOK_SECRET"], 1).finish, args=(4, answers)
        )
        sender.start()
        time.sleep(1)
        began = time.monotonic()
    finally:
        supervisor.stop()
        remove_socket(url)
    took_s = time.monotonic() - began
    sender.join()
    assert answers == [201]
    assert 2 < took_s < 30 and port_is_free(port)
