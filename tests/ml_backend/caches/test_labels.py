"""Labels that are kept between rounds, against reading them anew."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ml_backend.auto_annotations import is_unseen
from ml_backend.caches.labels import LabelCache
from ml_backend.caches.pictures import PictureCache
from ml_backend.gathering import gather
from ml_backend.label_studio import Annotation, Task
from ml_backend.masks import BrushConfig, encode_rle

from ..projects import png

CONFIG = BrushConfig("mask", "image", "image", ("Lesion", "Rim"))
SIDE = 12


class Server:
    """Counts what is read of it."""

    def __init__(self, count=5):
        self.tasks = [
            Task(n, {"image": f"/{n}.png", "patient": f"p{n}"}, True, 1, 0, f"1/0/{n}")
            for n in range(1, count + 1)
        ]
        self.drawn = {task.id: self.square(task.id, 2, 5) for task in self.tasks}
        self.read_annotations, self.read_images = [], []

    def square(self, task_id, first, last, label="Lesion", second=0):
        mask = np.zeros((SIDE, SIDE), bool)
        mask[first:last, first:last] = True
        value = {"format": "rle", "rle": encode_rle(mask), "brushlabels": [label]}
        region = {"type": "brushlabels", "from_name": "mask", "to_name": "image", "value": value}
        region |= {"original_width": SIDE, "original_height": SIDE}
        stamp = f"2026-11-21T10:00:{second:02d}Z"
        return Annotation(task_id, task_id, stamp, 7, [region], lead_time_s=3.5)

    def annotations(self, project_id, task_ids):
        self.read_annotations += task_ids
        yield from (self.drawn[t] for t in task_ids if t in self.drawn)

    def image(self, url, task_id=None):
        self.read_images.append(url)
        return png(np.full((SIDE, SIDE), len(url), np.uint8))


@pytest.fixture
def cache(tmp_path):
    return LabelCache(tmp_path / "cache", "http://ls", 1, 2**20)


def gathered(server, cache, config=CONFIG, **how):
    problems = []
    server.read_annotations, server.read_images = [], []
    found = gather(server, 1, server.tasks, config, problems, cache=cache, **how)
    return found, problems


def alike(one, other):
    assert one.task_ids == other.task_ids and one.groups == other.groups
    assert one.fingerprint == other.fingerprint
    for name in ("images", "label_maps"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert np.array_equal(a, b) and a.dtype == b.dtype


def test_a_second_gathering_reads_nothing_and_finds_the_same(cache):
    server = Server()
    plain, _ = gathered(server, None)
    first, _ = gathered(server, cache)
    assert server.read_annotations == [1, 2, 3, 4, 5]
    second, problems = gathered(server, cache)
    assert server.read_annotations == [] and server.read_images == [] and problems == []
    alike(plain, first)
    alike(first, second)


def test_what_has_changed_is_read_again_and_nothing_else(cache):
    server = Server()
    gathered(server, cache)
    server.drawn[3] = server.square(3, 1, 9, "Rim", second=5)
    server.tasks[2] = replace(server.tasks[2], changed="1/0/later")
    found, _ = gathered(server, cache)
    assert server.read_annotations == [3] and server.read_images == ["/3.png"]
    assert found.label_maps[2].max() == 2
    alike(gathered(server, None)[0], found)


def test_another_label_config_or_server_is_read_anew(cache, tmp_path):
    server = Server()
    gathered(server, cache)
    gathered(server, cache, replace(CONFIG, labels=("Rim", "Lesion")))
    assert len(server.read_annotations) == 5
    gathered(server, LabelCache(tmp_path / "cache", "http://another", 1, 2**20))
    assert len(server.read_annotations) == 5


def test_an_annotation_that_cannot_be_used_is_still_complained_of(cache):
    server = Server(1)
    server.drawn[1] = replace(server.drawn[1], regions=[{"type": "brushlabels", "value": {}}])
    _, before = gathered(server, cache)
    found, after = gathered(server, cache)
    assert before == after and len(after) == 1 and found.task_ids == []


def test_what_is_left_out_is_decided_anew_each_time(cache):
    server = Server(2)
    gathered(server, cache)
    found, _ = gathered(server, cache, leave_out=lambda annotation: annotation.id == 2)
    assert found.task_ids == [1] and server.read_annotations == []
    assert gathered(server, cache)[0].task_ids == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"{}", None])
def test_a_damaged_file_is_read_anew(cache, tmp_path, damage):
    server = Server(1)
    gathered(server, cache)
    (file,) = (tmp_path / "cache").rglob("1.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage is None else damage)
    found, _ = gathered(server, cache)
    assert found.task_ids == [1] and server.read_annotations == [1]
    gathered(server, cache)
    assert server.read_annotations == []


def test_the_cache_is_private_and_no_larger_than_allowed(tmp_path):
    server = Server()
    small = LabelCache(tmp_path / "cache", "http://ls", 1, 2500)
    gathered(server, small)
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert 1 <= len(files) < 5 and sum(f.stat().st_size for f in files) <= 2500
    assert all(f.stat().st_mode & 0o077 == 0 for f in files)
    assert gathered(server, small)[0].task_ids == [1, 2, 3, 4, 5]


def test_the_limit_is_that_of_all_projects_and_their_pictures_together(tmp_path):
    for project_id in (1, 2, 3):
        gathered(Server(), LabelCache(tmp_path / "cache", "http://ls", project_id, 2500))
        pictures = PictureCache(tmp_path / "cache", "http://ls", project_id, 2500)
        for task_id in range(1, 6):
            pictures.keep(task_id, "/data/upload/1/0300b9c5-slice.png", bytes(100))
    files = [path for path in (tmp_path / "cache").rglob("*.*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2500
    # Labels are found again, whatever was kept since.
    server = Server()
    gathered(server, LabelCache(tmp_path / "cache", "http://ls", 1, 2500))
    assert len(server.read_annotations) < 5


def test_pictures_leave_room_for_labels(tmp_path):
    pictures = PictureCache(tmp_path / "cache", "http://ls", 1, 10_000)
    for task_id in range(1, 200):
        pictures.keep(task_id, "/data/upload/1/0300b9c5-slice.png", bytes(100))
    server, cache = Server(2), LabelCache(tmp_path / "cache", "http://ls", 1, 10_000)
    gathered(server, cache)
    gathered(server, cache)
    assert server.read_annotations == []


def test_without_room_nothing_is_written(tmp_path):
    gathered(Server(), LabelCache(tmp_path / "cache", "http://ls", 1, 0))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_tasks_that_are_gone_are_forgotten(cache, tmp_path):
    gathered(Server(), cache)
    cache.forget_others([2, 9])
    assert [f.stem for f in (tmp_path / "cache").rglob("*.safetensors")] == ["2"]
    server = Server()
    gathered(server, cache)
    assert server.read_annotations == [1, 3, 4, 5]


def test_a_kept_annotation_holds_no_drawing_but_what_tells_who_made_it(cache):
    server = Server(1)
    first = server.drawn[1].regions[0]
    server.drawn[1] = replace(
        server.drawn[1], regions=[{**first, "meta": {"text": ["by the committee"]}}]
    )
    gathered(server, cache)
    kept = cache.get(server.tasks[0], CONFIG).drawn[0].annotation
    assert kept.regions[0]["meta"] == {"text": ["by the committee"]}
    assert "value" not in kept.regions[0]
    assert (kept.lead_time_s, kept.updated_at) == (3.5, "2026-11-21T10:00:00Z")


@pytest.mark.parametrize("odd", [None, 7, "text", []])
def test_what_is_no_region_leaves_out_its_annotation_alone(cache, odd):
    server = Server(2)
    server.drawn[1] = replace(server.drawn[1], regions=[odd])
    for _ in range(2):  # read, and kept
        found, problems = gathered(server, cache, leave_out=partial(is_unseen, {}))
        assert found.task_ids == [2]
        assert ["region 1: it is no region" in problem.reason for problem in problems] == [True]


@pytest.mark.parametrize("meta", ["from another tool", 7, ["a"], {"text": 7}, {"text": {"a": 1}}])
def test_a_region_s_notes_may_be_anything(cache, meta):
    server = Server(1)
    region = {**server.drawn[1].regions[0], "meta": meta}
    server.drawn[1] = replace(server.drawn[1], regions=[region])
    found, problems = gathered(server, cache, leave_out=partial(is_unseen, {}))
    assert found.task_ids == [1] and problems == []
