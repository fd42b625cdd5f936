"""Findings: never raised, bounded in time, without secrets, as text and JSON."""

import json
import time

import pytest
from redis.exceptions import ConnectionError as RedisAway

from ml_backend.check.findings import (
    CannotTellError,
    Check,
    Finding,
    State,
    as_json,
    as_text,
    ok,
)
from ml_backend.label_studio import LabelStudioDown, LabelStudioError
from ml_backend.store import StoreError


def raising(error):
    def look(_):
        raise error

    return Check("it", look).run(None)


@pytest.mark.parametrize(
    ("error", "state", "found", "remedy"),
    [
        (StoreError("it is full: free space"), State.FAILS, "it is full", "free space"),
        (LabelStudioError("it answered oddly"), State.FAILS, "it answered oddly", "See"),
        (LabelStudioError("no: set it", 401), State.UNKNOWN, "refuses the token", ""),
        (LabelStudioDown("away: start it"), State.UNKNOWN, "did not answer", ""),
        (RedisAway("at redis://u:hidden@host"), State.UNKNOWN, "Redis", ""),
        (CannotTellError("there is no worker"), State.UNKNOWN, "there is no worker", ""),
        (RuntimeError("hidden"), State.UNKNOWN, "the check itself failed (RuntimeError)", ""),
    ],
)
def test_an_error_becomes_a_finding_in_words(error, state, found, remedy):
    finding = raising(error)
    assert finding.state is state and found in finding.found
    assert remedy in finding.remedy and "hidden" not in as_text([finding])


def test_a_check_that_hangs_is_given_up():
    finding = Check("it", lambda _: time.sleep(5) or ok("late")).run(None, limit_s=0.1)
    assert finding == Finding("it", State.UNKNOWN, "no answer within 0 s")


def test_text_has_a_line_for_each_and_a_remedy_below_those_that_need_one():
    findings = [
        Finding("store", State.OK, "written"),
        Finding("webhook", State.FAILS, "there is none", "./quorum connect 4", 4),
        Finding("store: space", State.UNKNOWN, "not told"),
    ]
    assert as_text(findings).splitlines() == [
        "ok       store: written",
        "FAILS    project 4: webhook: there is none",
        "         -> ./quorum connect 4",
        "unknown  store: space: not told",
    ]
    told = json.loads(as_json(findings))
    assert told["fails"] == 1
    assert told["findings"][1] == {
        "name": "webhook",
        "state": "FAILS",
        "found": "there is none",
        "remedy": "./quorum connect 4",
        "project": 4,
    }
