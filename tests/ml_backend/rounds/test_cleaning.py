"""Which old predictions are removed first, and what that costs Label Studio."""

from ml_backend.rounds import Context
from ml_backend.rounds.cleaning import clean_predictions
from ml_backend.settings import Settings
from ml_backend.store import Store
from tests.ml_backend.projects import Project


class Asked(Project):
    """Notes which versions it is asked to remove predictions of; none of labelled slices goes."""

    def __init__(self):
        super().__init__()
        self.versions = []

    def delete_predictions(self, project_id, version, *, at_most, task_ids, pause_s=0):
        self.versions.append(version)
        scores = self._predictions[version]
        going = [task_id for task_id in scores if task_id in task_ids][:at_most]
        for task_id in going:
            del scores[task_id]
        return len(going)


def test_versions_of_which_labels_alone_are_left_are_not_asked_for_first(tmp_path, monkeypatch):
    project = Asked()
    project.annotate([0])
    for number in range(1, 21):
        project._predictions[f"r{number:04d}-aaaaaa"] = {1: 0.5}  # of a labelled slice: it stays
    newest = "r0021-aaaaaa"
    project._predictions[newest] = dict.fromkeys(range(1, 8), 0.5)
    project._predictions["r0022-aaaaaa"] = {1: 0.5, 2: 0.5}
    monkeypatch.setattr(Store, "current", lambda self: "r0023-aaaaaa")
    it = Context.of(Settings(data_dir=tmp_path, device="cpu", keep_predictions=1), project, 1)
    assert [clean_predictions(it, 3) for _ in range(2)] == [3, 3]
    assert project.versions == [newest, newest]
    assert clean_predictions(it, 3) == 0 and set(project.scores(newest)) == {1}
    assert set(project.scores("r0022-aaaaaa")) == {1, 2}


def test_what_an_annotator_may_have_open_stays_for_the_submission(tmp_path, monkeypatch):
    project = Asked()
    project.annotate([0])
    monkeypatch.setattr("ml_backend.rounds.cleaning._FRONT", 3)
    monkeypatch.setattr("ml_backend.rounds.cleaning._SPARED", 2)
    monkeypatch.setattr(Store, "current", lambda self: "r0005-aaaaaa")
    it = Context.of(Settings(data_dir=tmp_path, device="cpu", keep_predictions=1), project, 1)
    versions = [f"r{number:04d}-aaaaaa" for number in range(1, 6)]
    for version in versions:
        project._predictions[version] = dict.fromkeys(range(1, 9), 0.5)
        it.store.note(version, "order", {"tasks": [1, 8, 7, 6, 5, 4, 3, 2]})
    while clean_predictions(it, 40):
        pass
    left = [set(project.scores(version)) for version in versions]
    every = set(range(1, 9))
    # The first of the order without a label; of slices with one they always stay.
    assert left == [{1}, {1, 8, 7, 6}, {1, 8, 7, 6}, every, every]
