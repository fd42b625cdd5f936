"""A push against a Label Studio whose refusals are its own: one task unknown, too large, locked."""

import json

import httpx
import pytest

from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.label_studio import predictions as module

VERSION = "r0001-aaaaaa"


class Pretended(LabelStudio):
    """Answers as Label Studio does to the calls of a push; notes each import's task ids."""

    def __init__(self, tasks, most_bytes=10**9, failures=()):
        self.url = "http://pretended"
        self.tasks_there, self.most_bytes, self.failures = set(tasks), most_bytes, list(failures)
        self.stored, self.imports = [], []

    def _call(self, method, path, *, repeatable=None, content=b"", params=None, **_):
        if path.endswith("/import/predictions"):
            sent = [p["task"] for p in json.loads(content)]
            self.imports.append(sent)
            failure, keeps = self.failures.pop(0) if self.failures else (0, 0)
            if failure:
                self.stored += sent[:keeps]
                raise LabelStudioError("failed", failure)
            if len(content) > self.most_bytes:
                raise LabelStudioError("too large", 413)
            if not set(sent) <= self.tasks_there:
                raise LabelStudioError("unknown task", 400)
            self.stored += sent
            return httpx.Response(201, json={"created": len(sent)})
        items = json.loads(params["query"])["filters"]["items"]
        (asked,) = [item["value"] for item in items if item["operator"] == "in_list"]
        found = [i for i in asked if i in self.tasks_there]
        if any(item["operator"] == "not_contains" for item in items):
            found = [i for i in found if i not in self.stored]
        listed = {"tasks": [{"id": i} for i in found], "total": len(found)}
        return httpx.Response(200, json=listed)


def push(server, ids, size=10, chunk=100):
    sent = [
        {"task": i, "result": ["x" * size], "score": 0.5, "model_version": VERSION} for i in ids
    ]
    return server.push_predictions(1, sent, chunk, 0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)


def test_deleted_tasks_are_found_among_those_sent_and_the_rest_goes_in_order():
    server = Pretended(set(range(1, 51)) - {7, 30})
    pushed = push(server, range(1, 51))
    assert (pushed.stored, pushed.gone, pushed.refused) == (48, [7, 30], [])
    assert server.stored == [i for i in range(1, 51) if i not in (7, 30)]
    assert len(server.imports) == 2


def test_a_request_too_large_for_a_proxy_is_halved_and_the_next_ones_are_smaller():
    server = Pretended(range(1, 41), most_bytes=150_000)
    pushed = push(server, range(1, 41), size=20_000)
    assert (pushed.stored, pushed.refused) == (40, [])
    assert server.stored == list(range(1, 41))
    assert len(server.imports[-1]) * 20_000 <= 150_000


def test_a_prediction_larger_than_any_request_is_refused_alone():
    server = Pretended(range(1, 4), most_bytes=50_000)
    sent = [
        {"task": i, "result": ["x" * (90_000 if i == 2 else 9)], "model_version": VERSION}
        for i in (1, 2, 3)
    ]
    pushed = server.push_predictions(1, sent, 10, 0)
    assert (pushed.stored, pushed.refused) == (2, [2])


def test_after_a_failure_only_what_is_missing_is_sent_again():
    server = Pretended(range(1, 11), failures=[(500, 4)])
    pushed = push(server, range(1, 11))
    assert (pushed.stored, pushed.refused) == (10, [])
    assert server.stored == list(range(1, 11))
    assert server.imports[1] == [5, 6, 7, 8, 9, 10]


def test_a_failure_that_stays_is_told():
    server = Pretended(range(1, 11), failures=[(500, 0), (500, 0)])
    with pytest.raises(LabelStudioError, match="failed"):
        push(server, range(1, 11))


def test_a_refused_token_is_told_at_once():
    server = Pretended(range(1, 11), failures=[(403, 0)])
    with pytest.raises(LabelStudioError, match="failed"):
        push(server, range(1, 11))
    assert len(server.imports) == 1


def test_pauses_lie_between_requests_whichever_push_they_are_of(monkeypatch):
    slept = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    server = Pretended(range(1, 5))
    sent = [{"task": i, "result": [], "model_version": VERSION} for i in (1, 2, 3)]
    long = pytest.approx(900.0, abs=60)
    server.push_predictions(1, sent[:2], 1, 900.0, rest_after=False)
    assert slept == [0.0, long]
    server.push_predictions(1, sent[2:], 1, 900.0)
    assert slept == [0.0, long, long, long]
