"""./quorum project: what a person asks for, on a real Redis and a real store."""

import json

import pytest

from ml_backend.figures.quality import refresh_quality
from ml_backend.jobs import HEAVY, Jobs, errand_work
from ml_backend.jobs.advance import advance
from ml_backend.manage import main
from ml_backend.settings import Settings
from ml_backend.store import Store

OLD, CURRENT = "r0000-abcdef", "r0001-123456"


@pytest.fixture
def settings(redis_url, tmp_path, monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("QUORUM_")]:
        monkeypatch.delenv(name)
    environment = {
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "LABEL_STUDIO_API_KEY": "0" * 40,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment(environment)


@pytest.fixture
def jobs(settings):
    jobs = Jobs.connect(settings)
    jobs.redis.flushall()
    return jobs


@pytest.fixture
def store(settings, jobs):
    store = Store(settings.store_root, 4)
    for version in (OLD, CURRENT):
        metadata = {
            "version": version,
            "published_at": "2026-01-01T00:00:00+00:00",
            "held_out_unit": "patient",
            "training_tasks": [1, 2, 3],
            "evaluation_tasks": [4],
            "quality": {"mean_iou": 0.5, "dice": 0.6, "classes": {}},
            "stopping": {"quality": {"mean": 0.7, "lower": 0.6, "upper": 0.8, "count": 9}},
        }
        store.publish(version, [], metadata)
        store.note(version, "order", {"tasks": [], "selected": []})
    store.point_to(CURRENT)
    return store


def test_the_status_is_for_people_and_for_programs(jobs, store, capsys):
    store.keep_figures("standing", {"title": "Hearts", "counts": {"slices": 9, "labelled": 4}})
    refresh_quality(store)
    jobs.request_look(4)
    assert main(["4", "status"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Hearts (project 4)\nslices    4 of 9 labelled")
    assert "mean IoU 0.700 (0.600 to 0.800) on 1 held-out slices" in said
    assert main(["4", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["now"]["title"] == "Hearts" and len(found["quality"]["versions"]) == 2


def test_a_mistyped_number_makes_no_project(jobs, store, capsys):
    for command in (["train"], ["annotate-rest"], ["share"], ["set", "k=4"]):
        assert main(["99", *command]) == 1
        assert "./quorum connect 99" in capsys.readouterr().err
    assert jobs.projects() == [] and not jobs.state(99).waits


def test_versions_have_the_figures_of_the_page(store, capsys):
    assert main(["4", "versions"]) == 0
    old, current = capsys.readouterr().out.splitlines()
    assert current.startswith(f"* {CURRENT}") and "4 labels" in current and "0.700" in current
    assert old.startswith(f"  {OLD}")


def test_a_project_s_own_settings_are_kept_checked_and_unset(store, capsys):
    assert main(["4", "set", "k=4", "paused=yes"]) == 0
    assert store.overrides() == {"k": 4, "paused": True}
    assert main(["4", "set", "k=0"]) == 1
    assert "QUORUM_BATCH" in capsys.readouterr().err
    assert main(["4", "set", "paused="]) == 0
    assert store.overrides() == {"k": 4}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("side_px=100", "QUORUM_SIDE_PX must be 0, or a multiple of 16"),
        ("network=resnet", "QUORUM_NETWORK must be fcn, unet"),
        ("network=monai:UNETTT", "UNETTT"),
        ("scales=12", "multiple of 2048 for 12 scales"),
        ("batch_size=-1", "QUORUM_TRAIN_BATCH must be 0 or more"),
        ("strategy=random-foreground", "QUORUM_STRATEGY must be random, uncertainty"),
    ],
)
def test_settings_of_which_no_committee_can_be_trained_are_not_kept(
    store, capsys, assignment, words
):
    assert main(["4", "set", "k=4", assignment]) == 1
    assert words in capsys.readouterr().err
    assert store.overrides() == {}


def test_settings_that_train_are_kept_also_those_of_a_gpu_set_on_a_host_without_one(
    store, monkeypatch
):
    monkeypatch.setenv("QUORUM_DEVICE", "cuda")
    assert main(["4", "set", "side_px=128", "scales=6", "strategy=mc-dropout"]) == 0
    assert store.overrides() == {"side_px": 128, "scales": 6, "strategy": "mc-dropout"}
    # A CPU's preset has too small a square for so many scales, a GPU's has not.
    assert main(["4", "set", "side_px=", "scales=9"]) == 0


def test_settings_that_an_earlier_release_took_can_be_taken_away_one_by_one(store):
    store.keep_overrides({"strategy": "random-foreground", "side_px": 100})
    assert main(["4", "set", "k=4"]) == main(["4", "set", "side_px=100"]) == 1
    assert main(["4", "set", "strategy="]) == 0
    assert store.overrides() == {"side_px": 100}
    assert main(["4", "set", "side_px="]) == 0
    assert store.overrides() == {}


def test_the_rest_is_asked_for_as_the_project_has_it_and_stopped(jobs, store, capsys):
    store.keep_overrides({"rest_as": "annotations"})
    assert main(["4", "annotate-rest"]) == 0
    assert jobs.errands.waiting(4)["rest"]["arguments"] == ["annotations"]
    assert main(["4", "annotate-rest", "--undo"]) == 1
    assert "stop it first" in capsys.readouterr().err
    assert main(["4", "annotate-rest", "--cancel"]) == 0
    assert jobs.errands.cancelled(4, "rest")
    assert [job.func_name.rpartition(".")[2] for job in queued(jobs)] == ["rest_job"]


def queued(jobs):
    from rq import Queue

    return Queue(HEAVY, connection=jobs.redis).get_jobs()


def test_a_read_only_link_is_made_and_ended(store, monkeypatch, capsys):
    assert main(["4", "share"]) == 1
    assert "QUORUM_BASIC_AUTH_USER is not set" in capsys.readouterr().err
    monkeypatch.setenv("QUORUM_BASIC_AUTH_USER", "quorum")
    monkeypatch.setenv("QUORUM_WEBHOOK_SECRET", "y" * 12)
    monkeypatch.setenv("QUORUM_BASIC_AUTH_PASSWORD", "x" * 12)
    assert main(["4", "share", "--days", "3"]) == 0
    assert "address, followed by /view/" in capsys.readouterr().out
    monkeypatch.setenv("QUORUM_PUBLIC_URL", "https://quorum.example")
    assert main(["4", "share"]) == 0
    assert capsys.readouterr().out.startswith("https://quorum.example/view/")
    assert main(["4", "share", "--end"]) == 0
    assert main(["4", "share", "--days", "1000"]) == 1


def test_a_baseline_is_read_and_a_line_that_is_none_named(store, tmp_path, capsys):
    file = tmp_path / "random.csv"
    file.write_text("labels,mean_iou\n200,0.7\n100,0.6\n")
    assert main(["4", "baseline", str(file)]) == 0
    assert store.figures("baseline") == {"points": [[100.0, 0.6], [200.0, 0.7]]}
    for text, words in (("100,0.6\nmany,0.7", "line 2"), ("100,60", "line 1: labels are")):
        file.write_text(text)
        assert main(["4", "baseline", str(file)]) == 1
        assert words in capsys.readouterr().err
    assert main(["4", "baseline", str(tmp_path / "none.csv")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert store.figures("baseline")["points"][0] == [100.0, 0.6]


def running_round(jobs):
    jobs.request_round(4, force=True)
    advance(jobs, 4)
    assert jobs.state(4).running()


def test_a_mistyped_version_ends_no_round(jobs, store, capsys):
    running_round(jobs)
    assert main(["4", "rollback", "r0009-abcdef"]) == 1
    assert "no version r0009-abcdef" in capsys.readouterr().err
    assert jobs.state(4).running() and not jobs.state(4).cancelled


def test_going_back_does_not_break_into_a_look(jobs, store, monkeypatch, capsys):
    monkeypatch.setattr(errand_work, "_LOOK_WAIT_S", 0.1)
    running_round(jobs)
    with jobs.state(4).locked("look", 1):
        assert main(["4", "rollback", OLD]) == 1
    assert "try again in a minute" in capsys.readouterr().err
    assert jobs.state(4).running() and not jobs.state(4).cancelled
    assert store.current() == CURRENT


def test_without_redis_going_back_names_the_remedy(store, monkeypatch, capsys):
    monkeypatch.setenv("QUORUM_REDIS_URL", "redis://127.0.0.1:9/0")
    assert main(["4", "rollback", OLD]) == 1
    assert "QUORUM_REDIS_URL" in capsys.readouterr().err
