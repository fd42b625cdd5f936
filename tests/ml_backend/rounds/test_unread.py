"""Pictures that are away for a while, and labels that cannot be used: nothing of them is lost."""

import pytest

from ml_backend.label_studio import LabelStudioError
from ml_backend.rounds import Context, RoundError, begin, look, run_round
from ml_backend.store import Store
from tests.ml_backend.projects import Project, quick_settings, sides


class Outage(Project):
    """Label Studio answers, but the disk of its pictures is away: HTTP 500 for each."""

    away = False
    gone = ()  # tasks whose picture is away for good

    def image(self, url, task_id=None):
        if self.away or task_id in self.gone:
            raise LabelStudioError("the image is gone or refused (HTTP 500)", 500)
        return super().image(url, task_id)


@pytest.fixture(params=[0, 64], ids=["nothing cached", "labels cached"])
def settings(request, tmp_path):
    return quick_settings(tmp_path, cache_mib=request.param)


@pytest.fixture
def store(settings):
    return Store(settings.store_root, 1)


@pytest.fixture
def project(store):
    made = Outage()
    store.keep_sides(sides(made))
    return made


@pytest.fixture
def trained(settings, project):
    run_round(settings, project, 1)
    project.annotate([*project.data.test[:2], 0, 1, 2])
    return run_round(settings, project, 1)["version"]


def test_an_outage_costs_neither_the_committee_nor_the_labels_made_meanwhile(
    settings, project, store, trained
):
    project.away = True
    project.annotate([3, 4, 5])
    with pytest.raises(RoundError, match=r"of \d slices cannot be read, of task"):
        run_round(settings, project, 1)
    assert store.current() == trained and store.metadata(trained)["training"]
    project.away = False
    assert run_round(settings, project, 1)["did"] == "trained"
    assert store.metadata(store.current())["training_tasks"] == [1, 2, 3, 4, 5, 6]


def test_a_first_order_waits_for_the_pictures_it_is_chosen_by(settings, project, store):
    project.away = True
    with pytest.raises(RoundError, match="of 12 slices cannot be read, of task 1 be"):
        run_round(settings, project, 1)
    assert store.current() is None and store.works() == []
    project.away = False
    assert run_round(settings, project, 1)["did"] == "ordered"
    assert len(store.noted(store.current(), "order")["selected"]) == settings.k


def test_a_label_whose_picture_is_gone_for_good_keeps_no_first_order_back(settings, project, store):
    project.gone = {1}
    project.annotate([0])
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "ordered" and [p["task_id"] for p in outcome["problems"]] == [1]


def test_labels_of_which_none_can_be_used_are_told_and_call_for_no_round_again(
    settings, project, store, trained
):
    for index in (3, 4, 5):
        project.annotate([index])
        for region in project._annotated[index + 1]:
            region["original_width"] = 7  # drawn on an image of another shape
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "nothing" and outcome["version"] == trained
    assert [problem["task_id"] for problem in outcome["problems"]] == [4, 5, 6]
    assert not look(Context.of(settings, project, 1)).due
    assert begin(Context.of(settings, project, 1)) is None
