"""Log lines in both formats; what must not be in them."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime

import httpx
import pytest
from rq import Queue

from launcher import CLONE
from launcher.processes import free_port
from ml_backend import logs
from ml_backend.jobs import HEAVY, Jobs
from ml_backend.settings import Settings, SettingsError

CANARY = "CANARY^PATIENT"
FORMATS = (logs.TEXT, logs.JSON)

# What a process of its own logs; the tests' process has pytest's own handlers.
PRELUDE = f"""
import logging, threading, warnings
from ml_backend import logs
from ml_backend.settings import Settings, SettingsError
logs.set_up(Settings.from_environment())
log = logging.getLogger("ml_backend.somewhere")
CANARY = {CANARY!r}
def fail():
    raise ValueError("the header says " + CANARY)
"""


def environment(log_format, **more):
    return {
        **{n: v for n, v in os.environ.items() if not n.startswith("QUORUM_")},
        "PYTHONPATH": str(CLONE),
        "QUORUM_LOG_FORMAT": log_format,
        **more,
    }


def logged(program, log_format=logs.JSON):
    """The lines that a program leaves, objects of them where they are JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        env=environment(log_format),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stdout
    lines = done.stderr.splitlines()
    return [json.loads(line) for line in lines] if log_format == logs.JSON else lines


def test_a_json_line_says_when_how_grave_who_and_what():
    (line,) = logged("log.warning('project %d: the round failed: %s', 3, 'no space')")
    assert datetime.fromisoformat(line.pop("at")).utcoffset().total_seconds() == 0
    assert line == {
        "level": "warning",
        "logger": "ml_backend.somewhere",
        "message": "project 3: the round failed: no space",
        "project": 3,
    }


def test_a_json_line_carries_project_and_version_where_they_are_given():
    (line,) = logged("log.info('published', extra={'project': 3, 'version': 'r0007-3f9c2a'})")
    assert (line["project"], line["version"]) == (3, "r0007-3f9c2a")


def test_a_text_line_is_time_logger_and_message():
    (line,) = logged("log.info('project %d: published', 3)", logs.TEXT)
    assert line[24:] == "ml_backend.somewhere project 3: published"
    datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "program",
    [
        "fail()",
        "thread = threading.Thread(target=fail); thread.start(); thread.join()",
        "class Loud:\n    def __del__(self): fail()\nLoud()",
        "try: fail()\nexcept ValueError as error: log.error('a look ended: %s', error)",
        "try: fail()\nexcept ValueError as error: log.error(error)",
        "try: fail()\nexcept ValueError: log.exception('a look ended')",
        "try: fail()\nexcept ValueError: logging.getLogger('rq.worker').error('', exc_info=True)",
        "warnings.warn('the header says ' + CANARY)",
        "import traceback\ntry: fail()\n"
        "except ValueError: logging.getLogger('rq.worker').error('job x\\n%s', "
        "traceback.format_exc())",
        "log.info('%d', CANARY)",
        "logging.getLogger('httpx').info('GET /data/upload/%s.png', CANARY)",
        "logging.getLogger('pydicom').info('PatientName %s', CANARY)",
        "logging.getLogger('waitress').error('Exception while serving /tasks?name=%s&a=1', CANARY)",
    ],
    ids=lambda text: text.split("\n")[-1][:40],
)
def test_words_of_unforeseen_errors_never_reach_the_log(program, log_format):
    lines = [str(line) for line in logged(program, log_format)]
    assert CANARY not in "\n".join(lines)
    assert not any("Traceback" in line for line in lines)


def test_of_an_uncaught_error_type_and_place_are_told():
    (line,) = logged("fail()")
    assert line["level"] == "critical"
    assert line["message"].startswith("ended by ValueError at <string>:")


def test_quorums_own_errors_are_told_in_full():
    (line,) = logged("raise SettingsError('QUORUM_K must be at least 1')")
    assert line["message"] == "ended by QUORUM_K must be at least 1"


def test_no_name_makes_a_second_line():
    lines = logged("log.info('sign-in from %s', '1.2.3.4\\n2026-01-01 forged\\u2028line')", "text")
    assert len(lines) == 1


def test_keys_and_passwords_in_addresses_are_left_out():
    lines = logged("log.warning('%s', 'rediss://:secret@host/0 and /progress/3?key=secret now')")
    assert lines[0]["message"] == "rediss://host/0 and /progress/3 now"


def test_an_unknown_format_is_refused_with_the_remedy():
    with pytest.raises(SettingsError, match="QUORUM_LOG_FORMAT must be text or json"):
        logs.set_up(Settings(log_format="xml"))


def test_a_failing_job_leaves_no_traceback_in_a_workers_log(redis_url, tmp_path):
    jobs = Jobs.connect(Settings(redis_url=redis_url))
    jobs.redis.flushall()
    # int() of this text fails in a job's process, and the error quotes it.
    Queue(HEAVY, connection=jobs.redis).enqueue("builtins.int", CANARY)
    variables = environment(
        logs.JSON, QUORUM_REDIS_URL=redis_url, QUORUM_DEVICE="cpu", QUORUM_DATA_DIR=str(tmp_path)
    )
    path = tmp_path / "log"
    with path.open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "ml_backend.worker"], env=variables, stdout=log, stderr=log
        )
        try:
            limit = time.monotonic() + 60
            while time.monotonic() < limit and "exception raised" not in path.read_text():
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(20)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert any("exception raised" in line["message"] for line in lines)
    assert CANARY not in path.read_text()


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_servers_lines_have_the_same_format_and_there_is_no_access_log(log_format, tmp_path):
    (tmp_path / "failing.py").write_text(
        "import sys\n"
        "from ml_backend import logs, serving\n"
        "from ml_backend.settings import Settings\n"
        "def app(environ, start_response):\n"
        f"    raise ValueError({CANARY!r})\n"
        "def make():\n"
        "    logs.set_up(Settings.from_environment())\n"
        "    return app\n"
        "sys.exit(serving.main(make=make))\n"
    )
    port = free_port()
    path = tmp_path / "log"
    with path.open("w") as log:
        server = subprocess.Popen(
            [sys.executable, str(tmp_path / "failing.py"), "--port", str(port)],
            env=environment(log_format),
            stdout=log,
            stderr=log,
        )
        try:
            limit = time.monotonic() + 30
            while time.monotonic() < limit and "Listening" not in path.read_text():
                time.sleep(0.1)
            url = f"http://127.0.0.1:{port}/{CANARY}?key=secret"
            assert httpx.get(url, trust_env=False).status_code == 500
        finally:
            server.terminate()
            server.wait(20)
    text = path.read_text()
    assert "a request ended by ValueError at" in text
    for hidden in (CANARY, "secret", "Traceback", "GET "):
        assert hidden not in text
    if log_format == logs.JSON:
        names = {json.loads(line)["logger"] for line in text.splitlines()}
        assert names == {"ml_backend.serving", "ml_backend.serving.requests"}
