"""Both kinds of token, and what a personal one's renewal may be answered with."""

import time

import numpy as np
import pytest

from ml_backend.check import State
from ml_backend.check.deployment import Deployment
from ml_backend.check.label_studio import token
from ml_backend.gathering import read_images
from ml_backend.label_studio import LabelStudio, LabelStudioDown, LabelStudioError, Task
from ml_backend.masks import BrushConfig
from ml_backend.settings import Settings
from tests.ml_backend.projects import png

PERSONAL = "aaa.bbb.ccc"
REFRESH = ("POST", "/api/token/refresh/")
RENEWED = (200, {"access": "d.e.f"})
EXPIRED = (401, {"detail": "Token is invalid or expired"})
BUSY = [(502, {}), (503, {}), (429, {}), (500, {"detail": "database is locked"})]
FAILED = [
    (500, b"<h1>Server Error (500)</h1>"),
    (404, {"detail": "Not found."}),
    (400, {}),
    (301, {}, ("Location", "https://elsewhere.example/")),
    (200, b"<html>Sign in</html>"),
    (200, {"access": None}),
]


@pytest.fixture
def personal(server):
    """A connection with a personal access token, not used yet."""
    with LabelStudio(server.url, PERSONAL, patience_s=2.5) as connection:
        yield connection


def test_a_personal_token_is_exchanged_once_and_again_when_its_bearer_ends(server, personal):
    told = (200, {"release": "1.23.2"})
    later = (200, {"access": "g.h.i"})
    server.answers[:] = [RENEWED, told, told, EXPIRED, later, told]
    assert [personal.version() for _ in range(3)] == ["1.23.2"] * 3
    assert [asked for asked in server.seen if asked == REFRESH] == [REFRESH] * 2
    bearers = [None, "Bearer d.e.f", "Bearer d.e.f", "Bearer d.e.f", None, "Bearer g.h.i"]
    assert server.authorized == bearers


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_has_ended_is_told_at_once_and_what_to_do(
    server, personal, used_before, status
):
    if used_before:
        server.answers[:] = [RENEWED, (200, {})]
        personal.version()
        server.answers[:] = [EXPIRED]
    server.answers.append((status, {"detail": "Token is blacklisted"}))
    started = time.monotonic()
    with pytest.raises(LabelStudioError, match=r"refuses the token .* revoked.* new one") as caught:
        personal.version()
    assert not isinstance(caught.value, LabelStudioDown) and caught.value.status == status
    assert time.monotonic() - started < 1 and not server.answers
    with pytest.raises(LabelStudioError, match=r"refuses the token .* revoked"):
        server.answers.append((status, {}))
        if used_before:
            server.answers.insert(0, EXPIRED)
        personal.image("/data/a.png")


@pytest.mark.parametrize("answered", [b"<html>Sign in</html>", {}, [], {"access": None}, "text"])
def test_a_renewal_that_no_label_studio_gives_is_told(server, personal, answered):
    server.answers[:] = [(200, answered)]
    with pytest.raises(LabelStudioError, match="is it a Label Studio"):
        personal.version()


def test_a_renewal_that_is_redirected_or_not_there_is_told(server, personal):
    server.answers[:] = [(301, {}, ("Location", "https://elsewhere.example/"))]
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL to the final address"):
        personal.version()
    server.answers[:] = [(404, {})]
    with pytest.raises(LabelStudioError, match="HTTP 404"):
        personal.version()


@pytest.mark.parametrize("failed", FAILED)
def test_a_renewal_that_fails_is_no_answer_about_what_was_asked(server, personal, failed):
    server.answers[:] = [RENEWED, (200, {}), EXPIRED, failed]
    personal.version()
    with pytest.raises(LabelStudioDown, match="token/refresh/") as caught:
        personal.project(7)
    assert caught.value.status is None and not server.answers


def test_a_check_says_that_it_is_the_renewal_that_fails(server, tmp_path):
    server.answers[:] = [FAILED[0]]
    settings = Settings(
        label_studio_url=server.url, label_studio_api_key=PERSONAL, data_dir=tmp_path
    )
    outcome = token(Deployment(settings))
    assert outcome.state is State.UNKNOWN and "token/refresh/ with HTTP 500" in outcome.found


@pytest.mark.parametrize("failed", FAILED)
def test_no_slice_is_left_out_for_a_renewal_that_fails(server, personal, failed):
    tasks = [Task(id, {"image": f"/data/upload/1/{id}.png"}, False, 0, 0) for id in (1, 2)]
    config, problems = BrushConfig("mask", "image", "image", ("A",)), []
    read = read_images(personal, tasks[:1], config, problems)
    server.answers[:] = [RENEWED, (200, png(np.zeros((8, 8), np.uint8)))]
    assert [task.id for task, _ in read] == [1]
    server.answers[:] = [EXPIRED, failed]
    with pytest.raises(LabelStudioDown, match="token/refresh/"):
        list(read_images(personal, tasks[1:], config, problems))
    assert problems == []


@pytest.mark.parametrize("busy", BUSY)
def test_a_renewal_is_tried_again_while_label_studio_is_busy(server, personal, busy):
    server.answers[:] = [RENEWED, (200, {})]
    personal.version()
    server.answers[:] = [EXPIRED, busy, EXPIRED, RENEWED, (200, {"release": "1.23.2"})]
    assert personal.version() == "1.23.2"


@pytest.mark.parametrize("busy", BUSY)
def test_an_image_waits_for_the_renewal_too(server, personal, busy):
    server.answers[:] = [busy, RENEWED, (200, b"PNG")]
    assert personal.image("/data/a.png") == b"PNG"


@pytest.mark.parametrize("busy", BUSY)
def test_what_would_be_doubled_is_sent_once_after_a_busy_renewal(server, personal, busy):
    server.answers[:] = [busy, RENEWED, (201, {"task_count": 1})]
    assert personal.import_tasks(1, [{"data": {}}]) == 1
    assert [asked for asked in server.seen if asked != REFRESH] == [
        ("POST", "/api/projects/1/import")
    ]


@pytest.mark.parametrize("around", ["{} ", "{}\n", "{}\r\n", "\t{}", "{}\r"])
def test_white_space_around_a_token_is_none_of_it(server, around):
    with LabelStudio(server.url, around.format("t" * 40)) as connection:
        connection.version()
    assert server.authorized == [f"Token {'t' * 40}"]


@pytest.mark.parametrize("key", ["“abc”", "abc\ndef", "abc\0", "äbc"])
def test_a_token_that_no_header_can_hold_is_refused_without_being_quoted(key):
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_API_KEY holds") as caught:
        LabelStudio("http://127.0.0.1:9", key)
    assert "bc" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " \n"])
def test_no_token_is_told_before_anything_is_asked(key):
    with pytest.raises(LabelStudioError, match="no Label Studio token is set"):
        LabelStudio("http://127.0.0.1:9", key)
