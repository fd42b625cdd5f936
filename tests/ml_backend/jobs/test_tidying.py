"""A machine keeps nothing of projects that are over, and no more than it may of the others."""

from dataclasses import replace

import pytest

from ml_backend.caches.disk import DiskCache
from ml_backend.caches.pictures import PictureCache
from ml_backend.connection import Connection, keep_connection, keep_disconnected
from ml_backend.jobs.tidying import tidy

ADDRESS = "/data/upload/1/0300b9c5-slice.png"


@pytest.fixture
def pictures(jobs, settings):
    """Of four projects that are known and connected."""
    for project_id in (1, 2, 3, 4):
        keep_connection(settings, project_id, Connection("http://backend.example"))
        jobs.request_look(project_id)
        PictureCache.of(settings, project_id).keep(7, ADDRESS, bytes(1000))


def kept(settings):
    return DiskCache.of(settings).folders("projects")


def test_disconnected_and_deleted_projects_are_removed_and_no_others(jobs, settings, pictures):
    keep_disconnected(settings, 2)
    jobs.state(3).looked(0, "there is no such project", gone=True)
    assert tidy(settings) == [2, 3]
    assert kept(settings) == ["1", "4"]
    assert PictureCache.of(settings, 1).get(7, ADDRESS) == bytes(1000)
    assert tidy(settings) == []


def test_what_neither_redis_nor_the_store_knows_is_removed(jobs, settings, pictures):
    PictureCache.of(settings, 5).keep(7, ADDRESS, bytes(1000))
    jobs.redis.flushall()  # the store knows the others
    assert tidy(settings) == [5]


def test_without_redis_or_with_a_lost_store_nothing_is_removed(settings, pictures, tmp_path):
    assert tidy(replace(settings, redis_url="redis://127.0.0.1:1/0")) == []
    assert tidy(replace(settings, store_url=str(tmp_path / "not-mounted"))) == []
    assert kept(settings) == ["1", "2", "3", "4"]


def test_with_a_lower_limit_the_excess_goes(jobs, settings, pictures):
    tidy(replace(settings, cache_mib=0))
    assert PictureCache.of(settings, 1).get(7, ADDRESS) is None
