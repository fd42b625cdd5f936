"""Pictures kept between rounds: never another's, never more than allowed, never in the way."""

import os
import stat

import pytest

from ml_backend.caches.pictures import PictureCache
from ml_backend.label_studio import LabelStudio

SERVER = "http://ls.example:8080"
ADDRESS = "/data/upload/1/0300b9c5-slice.png"
OTHER = "/data/upload/1/0300b9c6-slice.png"


@pytest.fixture
def cache(tmp_path):
    return PictureCache(tmp_path, SERVER, 1, 2**20)


def kept_files(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.suffix == ".picture")


def test_a_picture_is_found_again_by_another_process(cache, tmp_path):
    cache.keep(7, ADDRESS, b"png")
    assert cache.get(7, ADDRESS) == b"png"
    assert PictureCache(tmp_path, SERVER, 1, 2**20).get(7, ADDRESS) == b"png"
    assert cache.get(7, OTHER) is None and cache.get(8, ADDRESS) is None
    assert PictureCache(tmp_path, SERVER, 2, 2**20).get(7, ADDRESS) is None


def test_another_servers_task_of_that_number_is_another(cache, tmp_path):
    cache.keep(7, ADDRESS, b"png")
    assert PictureCache(tmp_path, "http://b.example", 1, 2**20).get(7, ADDRESS) is None


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=slice.png",
        "s3://bucket/slice.png",
        "http://elsewhere.example/data/upload/1/0300b9c5-slice.png",
        f"{SERVER}9/data/upload/1/0300b9c5-slice.png",
        "/data/upload/1/../../local-files/slice.png",
        "/data/upload/1/0300b9c5-slice.png?d=2",
        "/data/upload/1/slice.png",
    ],
)
def test_what_may_change_under_its_address_is_not_kept(cache, tmp_path, address):
    cache.keep(7, address, b"png")
    assert cache.get(7, address) is None and kept_files(tmp_path) == []


def test_an_absolute_address_of_label_studios_own_is_kept(cache):
    cache.keep(7, SERVER + ADDRESS, b"png")
    assert cache.get(7, SERVER + ADDRESS) == b"png"


def test_an_address_below_label_studios_own_path_is_kept(tmp_path):
    cache = PictureCache(tmp_path, f"{SERVER}/ls", 1, 2**20)
    for address in (f"/ls{ADDRESS}", f"{SERVER}/ls{ADDRESS}", ADDRESS):
        cache.keep(7, address, b"png")
        assert cache.get(7, address) == b"png"


def test_a_damaged_picture_counts_as_not_there(cache, tmp_path):
    cache.keep(7, ADDRESS, b"a picture")
    (path,) = tmp_path.rglob("*.picture")
    whole = path.read_bytes()
    for content in (b"", whole[:40], whole[:-1], whole[:-1] + b"?"):
        path.write_bytes(content)
        assert cache.get(7, ADDRESS) is None


def test_no_more_is_kept_than_allowed_of_all_projects_together(tmp_path):
    for project_id in (1, 2, 3):
        cache = PictureCache(tmp_path, SERVER, project_id, 1000)
        for number in range(1, 9):
            cache.keep(number, ADDRESS, bytes(300))
    assert len(kept_files(tmp_path)) == 2  # a quarter is left to labels
    assert PictureCache(tmp_path, SERVER, 1, 1000).get(1, ADDRESS) is not None
    assert PictureCache(tmp_path, SERVER, 1, 0).get(1, ADDRESS) is None


def test_pictures_of_tasks_that_are_gone_are_forgotten(cache, tmp_path):
    for number in (1, 2, 3):
        cache.keep(number, ADDRESS, b"png")
    cache.forget_others([2])
    assert kept_files(tmp_path) == ["2.picture"]


def test_files_are_this_users_alone(cache, tmp_path):
    cache.keep(7, ADDRESS, b"png")
    (path,) = tmp_path.rglob("*.picture")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_harms_nothing(tmp_path):
    (tmp_path / "projects").mkdir(mode=0o500)
    cache = PictureCache(tmp_path, SERVER, 1, 2**20)
    cache.keep(7, ADDRESS, b"png")
    assert cache.get(7, ADDRESS) is None


def test_a_picture_is_fetched_from_label_studio_once(cache, monkeypatch):
    asked = []

    def fetched(server, url, task_id):
        asked.append((url, task_id))
        return b"png"

    monkeypatch.setattr(LabelStudio, "_fetched", fetched)
    with LabelStudio(SERVER, "token") as server:
        server.kept = cache
        assert [server.image(ADDRESS, 7) for _ in range(3)] == [b"png"] * 3
        assert server.image(ADDRESS) == b"png"  # a task without a number
    assert asked == [(ADDRESS, 7), (ADDRESS, None)]
