"""Slices of every kind that a format must hold, and a project that has labels of several people."""

import io
import zipfile
from contextlib import contextmanager

import numpy as np
from PIL import Image

from bench.active_learning.data import LabelledData
from bench.active_learning.data import Slice as Piece
from bench.active_learning.project import InMemoryProject
from ml_backend.export.formats import About, Maker, Slice
from ml_backend.label_studio import Annotation, Task
from ml_backend.label_studio.drafts import StoredPrediction
from ml_backend.masks import BrushConfig, to_regions

LABELS = ("liver", "tumour", "vessel | wall")
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</BrushLabels></View>"
)
CONFIG = BrushConfig.parse(LABEL_CONFIG)
PEOPLE = Maker("person", annotators=(4,), annotation_ids=(11,))


def about(**changes):
    known = {
        "project_id": 7,
        "config": CONFIG,
        "held_out_unit": "patient",
        "made_at": "2026-05-01T10:00:00+00:00",
        "version": "r0003-abcdef",
        "label_config": LABEL_CONFIG,
    }
    return About(**{**known, **changes})


def label_maps():
    """Label maps by what is special about them."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :56]
    disc = ((rows - 20) ** 2 + (columns - 25) ** 2 < 140).astype(np.uint8)
    several = disc.copy()
    several[5:12, 30:50] = 2
    several[30:, 3:9] = 3
    one = np.zeros((33, 17), np.uint8)
    one[32, 16] = 3
    first = np.zeros((9, 5), np.uint8)
    first[0, 0] = 1
    noise = generator.integers(0, 4, (37, 61)).astype(np.uint8)
    checks = (np.indices((16, 15)).sum(axis=0) % 2).astype(np.uint8)
    return {
        "a disc": disc,
        "several classes": several,
        "nothing": np.zeros((21, 34), np.uint8),
        "full": np.full((13, 8), 2, np.uint8),
        "the last pixel": one,
        "the first pixel": first,
        "noise": noise,
        "a chessboard": checks,
        "one pixel wide": np.array([[0], [1], [1], [0], [2]], np.uint8),
        "1x1 full": np.ones((1, 1), np.uint8),
        "1x1 empty": np.zeros((1, 1), np.uint8),
        "long runs": np.repeat(np.array([[0, 1, 0]], np.uint8), 400, axis=0),
    }


def pieces():
    """A slice for each label map; every third in colour."""
    generator = np.random.default_rng(1)
    made = []
    for number, label_map in enumerate(label_maps().values(), start=1):
        shape = (*label_map.shape, 3) if number % 3 == 0 else label_map.shape
        made.append(
            Slice(
                task_id=number,
                image=generator.integers(0, 256, shape).astype(np.uint8),
                label_map=label_map,
                data={
                    "patient": f"p{number % 4}",
                    "series": f"s{number}",
                    "slice_position_mm": 2.5 * number,
                },
                split="evaluation" if number % 4 == 0 else "training",
                made=Maker("version", version="r0003-abcdef") if number == 5 else PEOPLE,
                agreement=0.75 if number == 2 else None,
            )
        )
    return made


def written(write, out, slices=None, context=None):
    """The records of a format's files, in a folder."""
    return list(write(iter(pieces() if slices is None else slices), out, context or about()))


class Crowd(InMemoryProject):
    """Slices of patients, with as many annotations as tests add, and extra data."""

    def __init__(self, patients=("a", "b", "c", "d", "e"), each=2, extra=None, colour=()):
        generator = np.random.default_rng(2)
        made = []
        for patient in patients:
            for number in range(each):
                shape = (12, 10, 3) if f"{patient}{number}" in colour else (12, 10)
                stream = io.BytesIO()
                image = generator.integers(0, 256, shape).astype(np.uint8)
                Image.fromarray(image).save(stream, "png")
                label_map = np.zeros((12, 10), np.uint8)
                label_map[2 + number : 7, 2:6] = 1
                made.append(
                    Piece(
                        name=f"{patient}{number}",
                        content=stream.getvalue(),
                        label_map=label_map,
                        patient=patient,
                        position_mm=float(number),
                        test=False,
                    )
                )
        super().__init__(LabelledData("crowd", LABELS[:2], made))
        self.extra = extra or {}
        self.drawn = {}  # by task: annotations
        self.predictions = {}  # by task: predictions as Label Studio lists them
        self.skipped = set()  # tasks
        self.read = []  # addresses of the images read

    def draw(self, task_id, label_map, who=1, **changes):
        """An annotation of a task; its id."""
        annotations = self.drawn.setdefault(task_id, [])
        annotation_id = task_id * 100 + len(annotations)
        known = {
            "id": annotation_id,
            "task_id": task_id,
            "updated_at": f"2026-04-01T00:00:{len(annotations):02d}Z",
            "annotator": who,
            "regions": to_regions(label_map, self.config),
        }
        annotations.append(Annotation(**{**known, **changes}))
        return annotation_id

    def reference(self, task_id):
        return self.data.slices[task_id - 1].label_map

    def tasks(self, project_id):
        for task in super().tasks(project_id):
            count = len(self.drawn.get(task.id, ()))
            data = {
                **task.data,
                "rows": 12,
                "columns": 10,
                "pixel_spacing_mm": [0.5, 0.5],
                "modality": "CT",
                **self.extra,
            }
            yield Task(task.id, data, count > 0, count, int(task.id in self.skipped))

    def annotations(self, project_id, task_ids):
        for task_id in task_ids:
            yield from self.drawn.get(task_id, ())

    def image(self, url, task_id=None):
        self.read.append(url)
        return super().image(url)

    def stored_predictions(self, task_id):
        return [
            StoredPrediction(p["id"], p["model_version"], p.get("created_at", ""), p["result"])
            for p in self.predictions.get(task_id, [])
        ]

    def __exit__(self, *exception):
        pass


def png_in(archive, name):
    with zipfile.ZipFile(archive) as packed, Image.open(io.BytesIO(packed.read(name))) as image:
        return np.asarray(image)


@contextmanager
def standing_in(monkeypatch, project):
    """What the command line connects to is this project."""
    monkeypatch.setattr("ml_backend.export.cli.LabelStudio.of", lambda settings: project)
    yield
