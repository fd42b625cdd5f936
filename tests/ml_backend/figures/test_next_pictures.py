"""Pictures of what is next, kept up with the queue."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml_backend.figures.next_pictures import refresh_next
from ml_backend.images import ImageError
from ml_backend.label_studio import LabelStudioDown
from ml_backend.label_studio.drafts import StoredPrediction
from ml_backend.masks import to_regions
from ml_backend.settings import Settings
from ml_backend.store import Store

from .test_next_batch import CONFIG, EVERY, VERSION, order, survey_of, task

LATER = "r0002-bbbbbb"
SIDE = 300


class LabelStudio:
    """Drafts and images of a project, and how often each was asked for."""

    url = "http://here"

    def __init__(self):
        self.asked, self.lacking, self.gone, self.down = [], set(), set(), False

    def stored_predictions(self, task_id):
        if self.down:
            raise LabelStudioDown("down")
        self.asked.append(task_id)
        label_map = np.zeros((SIDE, SIDE), dtype=np.uint8)
        label_map[50:200, 50:200] = 2
        of_another = [StoredPrediction(9, "r0000-000000", "", [])]
        if task_id in self.lacking:
            return of_another
        draft = to_regions(label_map, CONFIG)
        return [
            StoredPrediction(3, VERSION, "", draft),
            StoredPrediction(2, VERSION, "", []),  # pushed twice: the newest counts
            StoredPrediction(4, LATER, "", draft),
            *of_another,
        ]

    def read_image(self, task):
        if task.id in self.gone:
            raise ImageError("the image is damaged")
        return np.full((SIDE, SIDE), 90, dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, 7)
    for version in (VERSION, LATER):
        store.publish(version, [], {"version": version})
        store.note(version, "order", order())
    store.point_to(VERSION)
    return store


@pytest.fixture
def server():
    return LabelStudio()


def refresh(server, store, tasks=EVERY):
    settings = replace(Settings(), k=4)
    return refresh_next(server, store, survey_of(tasks), settings, server.read_image)


def test_pictures_are_made_of_the_next_slices_with_their_drafts(server, store):
    figures = refresh(server, store)
    assert [e["task"] for e in figures["next"]] == [99, 90, 80, 70]
    assert [c["name"] for c in figures["classes"]] == ["A", "B"]
    for entry in store.figures("next")["next"]:
        picture = np.asarray(Image.open(io.BytesIO(store.picture(entry["picture"]))))
        assert picture.shape == (192, 192, 3) and tuple(picture[64, 32]) == (0x56, 0xB4, 0xE9)


def test_a_second_look_makes_only_what_has_come_up_and_removes_what_is_done(server, store):
    refresh(server, store)
    kept = store.figures("next")
    server.asked.clear()
    refresh(server, store)
    assert server.asked == [] and store.figures("next") == kept
    refresh(server, store, [task(n, annotations=n == 90) for n in range(1, 101)])
    assert server.asked == [1]
    assert set(store.picture_names()) == {f"next-{VERSION}-{n}" for n in (99, 80, 70, 1)}


def test_another_version_has_pictures_of_its_own(server, store):
    refresh(server, store)
    store.keep_picture("of-somebody-else", b"")
    store.point_to(LATER)
    refresh(server, store)
    assert set(store.picture_names()) == {
        "of-somebody-else",
        *(f"next-{LATER}-{n}" for n in (99, 90, 80, 70)),
    }


def test_a_slice_without_prediction_or_image_is_listed_without_a_picture(server, store):
    server.lacking, server.gone = {90}, {80}
    pictures = [e["picture"] is not None for e in refresh(server, store)["next"]]
    assert pictures == [True, False, False, True]
    server.lacking, server.gone = set(), set()
    assert all(e["picture"] for e in refresh(server, store)["next"])


def test_while_label_studio_is_down_the_list_is_kept_without_pictures(server, store):
    server.down = True
    figures = refresh(server, store)
    assert len(figures["next"]) == 4 and not any(e["picture"] for e in figures["next"])
    server.down = False
    refresh(server, store)
    server.down = True
    done = [task(n, annotations=n == 99) for n in range(1, 101)]
    pictures = [e["picture"] is not None for e in refresh(server, store, done)["next"]]
    assert pictures == [True, True, True, False] and len(store.picture_names()) == 3


def test_before_the_first_version_there_is_nothing_next(server, tmp_path):
    assert refresh(server, Store(tmp_path / "other", 7)) == {}
