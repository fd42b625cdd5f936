"""What a round's first step refuses, and what it keeps of the version it names."""

import pytest

from ml_backend.rounds import Context, begin, run_round
from ml_backend.settings import SettingsError
from ml_backend.store import Store
from tests.ml_backend.projects import Project, quick_settings, sides


@pytest.fixture
def settings(tmp_path):
    return quick_settings(tmp_path, steps=2)


@pytest.fixture
def store(settings):
    return Store(settings.store_root, 1)


@pytest.fixture
def project(store):
    project = Project()
    store.keep_sides(sides(project))
    project.annotate([*project.data.test[:2], 0, 1, 2])
    return project


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"side_px": 100, "scales": 5}, "QUORUM_SIDE_PX must be 0, or a multiple of 16"),
        ({"network": "resnet"}, "QUORUM_NETWORK must be fcn, unet"),
        ({"strategy": "random-foreground"}, "QUORUM_STRATEGY must be random, uncertainty"),
        ({"network": "monai:UNETTT"}, "'UNETTT'"),
        ({"batch_size": 1, "scales": 5}, "batch_size be at least 2"),
    ],
)
def test_kept_settings_that_cannot_be_trained_with_end_a_round_in_words(
    settings, project, store, own, words
):
    store.keep_overrides(own)
    with pytest.raises(SettingsError, match=words):
        begin(Context.of(settings, project, 1))
    assert store.works() == []


def test_a_version_s_name_alone_does_not_make_it_that_of_the_same_labels(settings, project, store):
    version = run_round(settings, project, 1)["version"]
    whole = store.metadata(version)["fingerprint"]
    assert version.endswith(f"-{whole[:6]}") and len(whole) == 64
    assert store.name_for(whole) == version
    assert store.name_for(whole[:6] + "0" * 58) != version


def test_the_first_order_has_its_whole_fingerprint_too(settings, store):
    project = Project()
    store.keep_sides(sides(project))
    version = run_round(settings, project, 1)["version"]
    assert store.name_for(store.metadata(version)["fingerprint"]) == version
    assert len(store.metadata(version)["fingerprint"]) == 64
