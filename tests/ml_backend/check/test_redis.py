"""Checks of Redis and its workers, with a real one."""

from dataclasses import replace

import pytest
import redis as client
from rq import Queue, SimpleWorker

from ml_backend.check import State, redis, workers
from ml_backend.check.deployment import Deployment
from ml_backend.check.findings import Check
from ml_backend.fingerprint import split_fingerprint
from ml_backend.jobs import HEAVY, QUICK
from ml_backend.jobs.arrivals import Arrivals
from ml_backend.settings import Settings
from ml_backend.worker import RoundWorker, _Attendant


@pytest.fixture
def deployment(redis_url, tmp_path):
    return Deployment(Settings(redis_url=redis_url, data_dir=tmp_path))


@pytest.fixture
def connection(redis_url):
    return client.Redis.from_url(redis_url)


@pytest.fixture
def configured(connection):
    """Set a parameter of Redis for the length of a test."""
    before = {}

    def set_it(name, value):
        before.setdefault(name, connection.config_get(name)[name])
        connection.config_set(name, value)

    yield set_it
    for name, value in before.items():
        connection.config_set(name, value)


def state(look, deployment):
    return Check("it", look).run(deployment).state


def test_a_redis_as_it_comes_with_quorum_passes(deployment):
    assert {check.name: check.run(deployment).state for check in redis.CHECKS} == {
        check.name: State.OK for check in redis.CHECKS
    }


def test_persistence_off_fails_and_save_points_do(deployment, configured):
    configured("appendonly", "no")
    configured("save", "")
    assert state(redis.persistence, deployment) is State.FAILS
    configured("save", "60 100")
    assert state(redis.persistence, deployment) is State.OK


def test_eviction_and_little_memory_fail(deployment, configured):
    configured("maxmemory-policy", "volatile-lru")
    assert state(redis.policy, deployment) is State.FAILS
    configured("maxmemory", str(32 * 2**20))
    assert state(redis.memory, deployment) is State.FAILS
    configured("maxmemory", str(2**30))
    assert state(redis.memory, deployment) is State.OK


def test_a_redis_that_is_away_is_told_once(tmp_path):
    deployment = Deployment(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path))
    states = [check.run(deployment).state for check in (*redis.CHECKS, *workers.CHECKS)]
    assert states == [State.FAILS] + [State.UNKNOWN] * (len(states) - 1)


def test_a_worker_that_is_registered_but_does_not_listen_is_dead(deployment, connection):
    worker = SimpleWorker([Queue(HEAVY, connection=connection)], connection=connection)
    worker.register_birth()
    try:
        assert state(workers.heavy, deployment) is State.FAILS
        worker.subscribe()
        assert state(workers.heavy, deployment) is State.OK
        assert state(workers.code, deployment) is State.UNKNOWN, "it did not tell"
    finally:
        worker.unsubscribe()
        worker.register_death()


@pytest.mark.parametrize("name", [HEAVY, QUICK])
def test_a_worker_tells_its_split_key_by_a_hash_and_another_one_fails(deployment, connection, name):
    secret = "the key of the division"
    deployment = replace(deployment, settings=replace(deployment.settings, split_key=secret))
    made = RoundWorker if name == HEAVY else _Attendant
    worker = made([Queue(name, connection=connection)], connection=connection)
    worker.split = split_fingerprint(secret)
    worker.register_birth()
    worker.subscribe()
    try:
        assert state(workers.split_key, deployment) is State.OK
        assert secret.encode() not in b" ".join(connection.hgetall(worker.key).values())
        elsewhere = replace(deployment, settings=replace(deployment.settings, split_key="other"))
        found = Check("it", workers.split_key).run(elsewhere)
        assert found.state is State.FAILS and "secrets.json" in found.remedy
        connection.hdel(worker.key, "split")
        assert state(workers.split_key, deployment) is State.UNKNOWN
    finally:
        worker.unsubscribe()
        worker.register_death()


def test_arrivals_are_kept_by_project(connection):
    arrivals = Arrivals(connection)
    connection.delete("quorum:project:71:arrived")
    assert arrivals.last(71) is None
    arrivals.note(71)
    first = arrivals.last(71)
    arrivals.note(71)
    assert arrivals.last(71) > first and arrivals.last(72) is None
    assert 0 < connection.ttl("quorum:project:71:arrived") <= 30 * 24 * 3600
    Arrivals(client.Redis(port=1)).note(71)  # a Redis that is away does no harm
