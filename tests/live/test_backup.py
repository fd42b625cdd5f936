"""A backup taken while the loop runs, restored after everything is lost: the loop goes on."""

import os
import shutil
import signal

import fsspec
import pytest

from ml_backend.store import Store

from ..launcher.backup.conftest import (  # noqa: F401  fixtures
    Place,
    archive,
    elsewhere,
    own_environment,
    place,
    told,
)
from .object_server import Swift
from .own_loop import OwnLoop


@pytest.fixture
def loop(running, tmp_path):
    loop = OwnLoop(running, tmp_path / "data")
    yield loop
    loop.end()


def test_a_restored_loop_drafts_and_learns_on_with_the_same_patients_held_out(
    loop, annotators, eventually, tmp_path
):
    loop.start()
    loop.connect()
    eventually(lambda: loop.served.startswith("r0000-"), "the first order")
    loop.label(annotators[0], 9)
    eventually(lambda: loop.served.startswith("r0001-"), "a trained version")
    version, sides, secrets = loop.served, loop.store.sides(), loop.secrets
    evaluated = loop.store.metadata(version)["evaluation_tasks"]

    done = loop.quorum("backup", str(tmp_path / "b.tar.gz"))
    assert done.returncode == 0, done.stderr
    refused = loop.quorum("restore", str(tmp_path / "b.tar.gz"), "--replace")
    assert refused.returncode == 1 and "running already" in refused.stderr
    loop.signal(signal.SIGTERM)
    assert loop.ended()[0] == 0
    shutil.rmtree(loop.data)

    done = loop.quorum("restore", str(tmp_path / "b.tar.gz"))
    assert done.returncode == 0, done.stderr
    loop.start()
    assert (loop.store.current(), loop.store.sides()) == (version, sides)
    assert loop.secrets == secrets and len(sides) > 0
    answer = loop.predict()
    assert answer["model_version"] == version and len(answer["results"]) == 1
    # Redis is empty: the webhook of before, with the secret of before, is all that brings it on.
    loop.label(annotators[1], 6)
    eventually(lambda: loop.served.startswith("r0002-"), "the next version")
    after = loop.store.metadata(loop.served)
    assert after["evaluation_tasks"] == evaluated
    assert not set(after["training_tasks"]) & set(evaluated)
    assert {name: loop.store.sides()[name] for name in sides} == sides


@pytest.fixture
def bucket(tmp_path, own_environment):  # noqa: F811
    """A bucket of a real S3 server."""
    swift = Swift(tmp_path / "swift")
    os.environ.update(swift.environment)
    try:
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("backups")
        yield "s3://backups/quorum"
    finally:
        swift.stop()


def test_an_object_store_is_backed_up_and_restored(place, archive, bucket, tmp_path):  # noqa: F811
    before = told(place.data / "store")
    os.environ["QUORUM_STORE_URL"] = bucket
    assert place.run("restore", archive)[0] == 1  # the page's key is there
    status, said = place.run("restore", archive, "--replace")
    assert status == 0, said
    assert told(bucket) == before
    status, said = place.run("backup", tmp_path / "again.tar.gz")
    assert status == 0 and "2 projects, 4 versions" in said
    Store(bucket, 3).keep_overrides({"k": 99})
    status, said = place.run("restore", tmp_path / "again.tar.gz", "--replace")
    assert status == 0 and "s3://backups/quorum/projects.before-restore-" in said
    assert told(bucket) == before
