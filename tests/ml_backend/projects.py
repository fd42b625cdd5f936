"""Small labelled projects in memory, for the loop without a Label Studio."""

from contextlib import contextmanager

import numpy as np
from PIL import Image

from bench.active_learning.data import LabelledData, Slice
from bench.active_learning.project import InMemoryProject
from ml_backend.label_studio import LabelStudioError
from ml_backend.label_studio.rewriting import Held
from ml_backend.learning.held_out import Side
from ml_backend.settings import Settings

SIDE = 16


def blob(number):
    """A slice with one bright disc, and its label map."""
    generator = np.random.default_rng(number)
    y, x, radius = generator.uniform(5, 11), generator.uniform(5, 11), generator.uniform(2, 4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    image = (generator.normal(60, 10, (SIDE, SIDE)) + inside * 80).clip(0, 255).astype(np.uint8)
    return image, inside.astype(np.uint8)


def png(image):
    import io

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


def slices(count=16, held_out=4):
    """The last `held_out` of `count` slices are of patients that are held out."""
    made = []
    for number in range(count):
        image, label_map = blob(number)
        made.append(
            Slice(
                name=f"s{number}",
                content=png(image),
                label_map=label_map,
                patient=f"p{number}",
                position_mm=None,
                test=number >= count - held_out,
            )
        )
    return LabelledData("blobs", ("disc",), made)


def quick_settings(folder, **changes):
    """Settings with which a round on these projects takes a moment."""
    quick = {
        "data_dir": folder,
        "device": "cpu",
        "k": 3,
        "K": 6,
        "members": 2,
        "width": 4,
        "scales": 2,
        "side_px": 16,
        "steps": 3,
        "batch_size": 2,
        "evaluation_slices": 2,
        "push_pause_s": 0,
    }
    return Settings(**{**quick, **changes})


class Project(InMemoryProject):
    """A project whose tasks, label config and order tests may look at and change."""

    def __init__(self, data=None):
        super().__init__(data or slices())
        self.shown = set(range(len(self.data.slices)))  # indices of the slices imported so far
        self.drafted = {}  # by version: tasks whose prediction shows something

    def push_predictions(self, project_id, predictions, *arguments, **more):
        listed = list(predictions)
        for prediction in listed:
            drafted = self.drafted.setdefault(prediction["model_version"], set())
            if prediction["result"]:
                drafted.add(prediction["task"])
        return super().push_predictions(project_id, listed, *arguments, **more)

    def tasks(self, project_id):
        return (task for task in super().tasks(project_id) if task.id - 1 in self.shown)

    def serve_order_of(self, project_id, version):
        """As Label Studio, which follows no version that none of its tasks has a prediction of."""
        if not any(task_id - 1 in self.shown for task_id in self.scores(version)):
            raise LabelStudioError("HTTP 400 (Validation error)", 400)
        super().serve_order_of(project_id, version)

    def held_predictions(self, project_id, version, task_ids):
        there = sorted(set(task_ids) & set(self.scores(version)))
        drafted = self.drafted.get(version, set())
        return [Held(task_id, task_id, task_id not in drafted) for task_id in there]

    def rescore(self, project_id, held, score):
        """Of the version that is served, for a prediction's id says of itself of which it is."""
        self.scores(self.served)[held.task_id] = score

    @property
    def served(self):
        """The version that Label Studio follows."""
        return self._served

    def scores(self, version):
        """Scores by task id that were pushed for a version."""
        return self._predictions.get(version, {})

    def __exit__(self, *exception):
        pass


def sides(project):
    return {
        piece.patient: Side.HELD_OUT if piece.test else Side.TRAINING
        for piece in project.data.slices
    }


@contextmanager
def in_place_of_label_studio(monkeypatch, project):
    """What workers open is this project."""
    monkeypatch.setattr("ml_backend.jobs.work.LabelStudio.of", lambda settings: project)
    yield project
