"""A Label Studio of some annotated slices, for tests of what is made of them."""

import numpy as np

from ml_backend.label_studio import Annotation, Task
from ml_backend.label_studio.drafts import StoredPrediction
from ml_backend.learning.held_out import Division
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.survey import Survey

CONFIG = BrushConfig("mask", "image", "image", ("lesion",))
OPEN, COMMITTEE = "r0000-000000", "r0001-aaaaaa"


def square(size):
    drawn = np.zeros((16, 16), dtype=np.uint8)
    drawn[:size, :size] = 1
    return drawn


class Server:
    """Annotations and predictions by task; `errors` are raised where a task is asked for."""

    url = "http://studio"

    def __init__(self):
        self.made, self.predicted, self.asked, self.errors = {}, {}, [], {}

    def annotate(self, task_id, size=4, annotator=1, at="2026-03-02T09:00:00Z", **fields):
        number = 100 * task_id + len(self.made.get(task_id, []))
        regions = to_regions(square(size), CONFIG)
        given = {"lead_time_s": 30.0, "created_at": at, "edited_by": annotator, **fields}
        self.made.setdefault(task_id, []).append(
            Annotation(number, task_id, at, annotator, regions, **given)
        )
        return number

    def draft(self, task_id, size, version=COMMITTEE, at="2026-03-02T08:00:00Z"):
        own = self.predicted.setdefault(task_id, [])
        regions = to_regions(square(size), CONFIG) if size else []
        own.append(StoredPrediction(1000 * task_id + len(own), version, at, regions))
        return own[-1].id

    def annotations(self, project_id, task_ids):
        self.asked += task_ids
        for task_id in task_ids:
            if task_id in self.errors:
                raise self.errors[task_id]
        return [a for task_id in task_ids for a in self.made.get(task_id, [])]

    def people(self):
        return {}

    def stored_predictions(self, task_id):
        return self.predicted.get(task_id, [])

    def survey(self, automatic=()):
        tasks = [
            Task(n, {}, True, len(own), 0, repr([(a.id, a.updated_at) for a in own]) if own else "")
            for n, own in sorted(self.made.items())
        ]
        none = np.zeros(len(tasks), bool)
        return Survey(
            1,
            CONFIG,
            tasks,
            Division(none, none, {}),
            none,
            "slice",
            automatic=frozenset(automatic),
        )
