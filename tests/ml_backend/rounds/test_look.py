"""How fast annotators are, by which a round begins early."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ml_backend.rounds import Context, look, run_round
from ml_backend.rounds.look import pace
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import survey
from tests.ml_backend.projects import Project, quick_settings, sides, slices

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=timezone.utc)
MINUTE, HOUR = 60.0, 3600.0


class Timed(Project):
    """A project that knows when each label was made, as Label Studio tells it."""

    def __init__(self, overlap=1):
        super().__init__(slices(40, 8))
        self.made = {}  # by task id
        self.overlap = overlap

    def project(self, project_id):
        return {**super().project(project_id), "maximum_annotations": self.overlap}

    def label(self, task_id, at):
        self.made[task_id] = f"{at:%Y-%m-%dT%H:%M:%S}Z"
        self.annotate([task_id - 1])

    def tasks(self, project_id):
        for task in super().tasks(project_id):
            at = self.made.get(task.id)
            yield replace(task, changed=f"1/0/{at}") if at else task


def surveyed(tmp_path, project):
    settings = Settings(data_dir=tmp_path)
    Store(settings.store_root, 1).keep_sides(sides(project))
    return survey(project, 1, settings)


def paced(tmp_path, ages_s, overlap=1):
    """Labels a second, of labels that are so old."""
    project = Timed(overlap)
    for task_id, age_s in enumerate(ages_s, start=1):
        project.label(task_id, NOW - timedelta(seconds=age_s))
    return pace(surveyed(tmp_path, project), {}, NOW)


def test_a_night_before_the_first_label_of_the_day_slows_nobody(tmp_path):
    today = [0, 1 * MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert paced(tmp_path, today) == pytest.approx(1 / MINUTE)
    assert paced(tmp_path, [*today, 14 * HOUR, 60 * HOUR]) == pytest.approx(1 / MINUTE)


def test_a_pause_of_an_hour_leaves_no_pace(tmp_path):
    assert paced(tmp_path, [HOUR + age for age in (1, 61, 121)]) == 0


@pytest.mark.parametrize("ages_s", [[], [MINUTE], [MINUTE, MINUTE]])
def test_labels_of_one_moment_make_no_pace(tmp_path, ages_s):
    assert paced(tmp_path, ages_s) == 0


def test_one_reading_of_two_is_half_a_label(tmp_path):
    assert paced(tmp_path, [0, 1 * MINUTE, 2 * MINUTE], overlap=2) == pytest.approx(0.5 / MINUTE)


def test_labels_that_were_seen_tell_nothing_and_changed_ones_count(tmp_path):
    project = Timed()
    for task_id, minutes in ((1, 4), (2, 3), (3, 2), (4, 1)):
        project.label(task_id, NOW - minutes * timedelta(minutes=1))
    found = surveyed(tmp_path, project)
    seen = found.seen()
    assert pace(found, seen, NOW) == 0
    changed = {**seen, 2: (1, "1/0/2026-02-01T00:00:00Z")}
    del changed[4]
    assert pace(found, changed, NOW) == pytest.approx(1 / (3 * MINUTE))


@pytest.mark.parametrize("hours", [0, 60])
def test_a_round_begins_early_however_long_ago_the_last_one_was(tmp_path, hours):
    settings = quick_settings(tmp_path, k=8, K=20)
    project = Timed()
    store = Store(settings.store_root, 1)
    store.keep_sides(sides(project))
    project.annotate(project.data.test[:2])
    project.annotate([0, 1, 2])
    version = run_round(settings, project, 1, force=True)["version"]
    store.note(version, "round", {**store.noted(version, "round"), "train_s": 10 * MINUTE})
    # As if the last round had been so long ago.
    now = datetime.now(timezone.utc)
    metadata = {**store.metadata(version), "gathered_at": str(now - timedelta(hours=hours))}
    states = store.states(version)
    store._versions.remove(version)
    store.publish(version, states, metadata)
    selected = store.noted(version, "order")["selected"]
    for number, task_id in enumerate(selected[:4]):
        project.label(task_id, now - timedelta(minutes=number))
    assert look(Context.of(settings, project, 1)).due
