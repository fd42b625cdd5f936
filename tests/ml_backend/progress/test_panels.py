"""Panels: what they show, before anything is kept and after, and how little a request does."""

import json
import re
from dataclasses import replace

import pytest
from rq import Queue, SimpleWorker

from ml_backend.app import create_app
from ml_backend.figures.quality import QUALITY, refresh_quality
from ml_backend.jobs import HEAVY, QUICK
from ml_backend.progress.panels import PANELS, as_json
from ml_backend.progress.remedies import remedy
from ml_backend.progress.workers import doing, workers
from ml_backend.store import Store

from .conftest import CURRENT, OLD, PASSWORD, PROJECT, USER

AUTH = (USER, PASSWORD)


@pytest.fixture
def api(app):
    client = app.test_client()

    def get(path="", **more):
        return client.get(f"/api/progress/{PROJECT}{path}", auth=AUTH, **more)

    return get


def test_a_project_of_which_nothing_is_kept_has_every_panel(app):
    client = app.test_client()
    found = client.get("/api/progress/77", auth=AUTH).json
    assert set(found) == set(PANELS)
    assert found["now"]["round"] is None and found["now"]["counts"]["slices"] is None
    assert found["quality"]["versions"] == [] and found["people"]["people"] == []
    assert found["trial"]["time_ratio"] == {"mean": None, "low": None, "high": None}
    assert set(found["data"]["by"]) == {"modality", "body_part", "series", "patient"}
    assert client.get("/progress/77", auth=AUTH).status_code == 200


def test_now_shows_the_round_that_runs_and_how_far_it_is(app, api, jobs):
    jobs.request_round(PROJECT)
    assert api("/now").json["round"]["job_status"] == "queued"
    state = jobs.state(PROJECT)
    state.start_waiting()
    state.note(1, **{"at:train-0": json.dumps(["train", 3, 40]), "version": "r0002-0000aa"})
    assert api("/now").json["round"]["job_status"] == "queued"  # made a moment ago
    app.extensions["quorum"]["shown"].forget(PROJECT)
    shown = api("/now").json["round"]
    assert (shown["step"], shown["done"], shown["total"]) == ("train", 3, 40)
    assert shown["started_at"].endswith("+00:00") and shown["error"] is None


def test_now_tells_when_another_panel_has_changed(app, api, store):
    """A page that is open asks for this panel alone."""
    app.extensions["quorum"]["shown"].others_s = 0.0
    app.extensions["quorum"]["shown"].now_s = 0.0
    before = api("/now").json["others"]
    assert api("/now").json["others"] == before == api("").json["now"]["others"]
    rows = store.figures(QUALITY)["versions"]
    store.keep_figures(QUALITY, {"versions": [{**rows[0], "labels": 999}, *rows[1:]]})
    after = api("/now").json["others"]
    assert after != before
    store.point_to(OLD)
    assert api("/now").json["others"] != after  # an older version drafts


def test_an_error_comes_with_its_remedy(api, jobs):
    state = jobs.state(PROJECT)
    jobs.request_round(PROJECT)
    state.start_waiting()
    error = "http://ls:8080 refuses the token (HTTP 401): check LABEL_STUDIO_API_KEY"
    state.end(1, {"job_status": "failed", "error": error, "result": None})
    state.looked(0, "http://ls:8080 cannot be reached: check LABEL_STUDIO_URL")
    shown = api("/now").json
    assert shown["round"]["error"] == error and "access token" in shown["round"]["remedy"]
    assert "goes on by itself" in shown["remedy"]


def test_a_step_that_is_tried_again_is_not_a_round_that_failed(app, jobs):
    jobs.request_round(PROJECT)
    state, page = jobs.state(PROJECT), f"/progress/{PROJECT}"
    state.start_waiting()
    error = "http://ls:8080 cannot be reached: check LABEL_STUDIO_URL"
    state.note(1, error=error)
    running = app.test_client().get(page, auth=AUTH).text
    assert "The last round failed" not in running
    assert f"is trying again:</strong> {error}" in running
    state.end(1, {"job_status": "failed", "error": error, "result": None})
    app.extensions["quorum"]["shown"].forget(PROJECT)
    over = app.test_client().get(page, auth=AUTH).text
    assert f"The last round failed:</strong> {error}" in over and "trying again" not in over


def test_the_page_shows_who_disagrees_what_was_left_out_and_what_went_wrong(app, jobs, store):
    known = {"mean": 0.71, "low": 0.65, "high": 0.78}
    unknown = {"mean": None, "low": None, "high": None}
    row = {"annotator": 7, "name": "Annotator 7", "slices": 12, "median_s": 31.0, "q1_s": 20.0}
    row |= {"q3_s": 60.0, "dice": known, "kappa": 0.6, "changed": unknown, "drafts": 0}
    row |= {"suspected": "draws 1.31 times as large (12 slices)", "last_at": None}
    disputed = [{"task": 3, "address": "http://ls/3", "disagreement": 0.6}]
    store.keep_figures("people", {"people": [row], "adjudicate": disputed})
    problems = [{"task_id": 9, "reason": "no mask <b>"}]
    store.keep_figures("standing", {**store.figures("standing"), "problems": problems})
    jobs.state(PROJECT).looked(0, "http://ls:8080 cannot be reached: check LABEL_STUDIO_URL")
    page = app.test_client().get(f"/progress/{PROJECT}", auth=AUTH).text.lower()
    assert "draws 1.31 times as large" in page and "0.65 to 0.78" in page
    assert "no mask &lt;b&gt;" in page and "no mask <b>" not in page
    assert "cannot be reached" in page and "http://ls/3" in page


def test_what_was_left_out_and_is_not_listed_counts_too(app, api, store):
    problems = [{"task_id": n, "reason": "no mask"} for n in range(100)]
    left_out = {"problems": problems, "problems_left_out": 300}
    store.keep_figures("standing", {**store.figures("standing"), **left_out})
    assert api("/now").json["problems_left_out"] == 300
    page = app.test_client().get(f"/progress/{PROJECT}", auth=AUTH).text
    assert "400 slices were left out of the last round" in page
    assert "394 more" in page and "and 300 more, which are not listed" in page


def test_without_redis_nobody_says_that_no_worker_runs(settings, store, tmp_path):
    away = create_app(replace(settings, redis_url=f"unix://{tmp_path}/none.sock")).test_client()
    page = away.get(f"/progress/{PROJECT}", auth=AUTH).text
    assert "Redis cannot be reached" in page
    assert "No worker" not in page and "Who works is not known" in page


@pytest.mark.parametrize("path", ["/progress", "/metrics", f"/api/progress/{PROJECT}/now"])
def test_a_redis_that_is_away_is_asked_once_however_many_projects_there_are(
    settings, store, hangs_up, path
):
    port, calls = hangs_up
    for project_id in range(10, 30):
        Store(settings.store_root, project_id).keep_figures("standing", {"counts": {"slices": 3}})
    away = create_app(replace(settings, redis_url=f"redis://127.0.0.1:{port}/0")).test_client()
    assert away.get(path, auth=AUTH).status_code == 200
    calls.clear()
    away.application.extensions["quorum"]["shown"].forget(PROJECT)
    answer = away.get(path, auth=AUTH)
    assert answer.status_code == 200 and len(calls) == 1
    if path == "/metrics":
        assert "quorum_redis_up 0" in answer.text
        assert 'quorum_project_slices{project="29"} 3' in answer.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("Redis cannot be reached: check QUORUM_REDIS_URL", "Redis"),
        ("no usable label outside the held-out set: label more slices", "Label some slices"),
        ("the memory of cuda:0 is too small for a single slice", "smaller side"),
        ("the label config has no BrushLabels over an Image", "Labeling Interface"),
        ("a step of the round failed: see the worker's log", "worker"),
        ("something never seen", "Train now"),
    ],
)
def test_each_known_error_has_its_remedy(error, words):
    assert words in remedy(error)


def test_no_error_has_no_remedy():
    assert remedy(None) is None and remedy("") is None


def test_quality_names_the_current_version(api, store):
    refresh_quality(store)
    shown = api("/quality").json
    assert [row["current"] for row in shown["versions"]] == [False, True]
    assert shown["versions"][1]["version"] == CURRENT
    assert shown["versions"][1]["mean_iou"]["mean"] == 0.8


def test_after_going_back_the_forecast_is_of_the_version_that_serves(api, store):
    older, newest = store.figures(QUALITY)["versions"]
    older["mean_iou"] = {"mean": 0.67, "low": 0.62, "high": 0.72}
    newest["mean_iou"] = {"mean": 0.87, "low": 0.82, "high": 0.92}
    store.keep_figures(QUALITY, {"versions": [older, newest]})
    store.keep_overrides({"target_mean_iou": 0.8})
    store.point_to(OLD)
    assert api("/quality").json["distance"] == pytest.approx(0.18)
    assert "too early to say" in api("/forecast").json["target"]["says"]


def test_a_slice_that_waits_for_more_readers_is_not_shown_as_done(app, store):
    counts = {**store.figures("standing")["counts"], "labelled": 60, "waiting": 0}
    counts |= {"slices": 60, "partly": 60, "lacking": 40.0}
    pace = {"labels_per_hour": {"mean": 4.0, "low": 3.0, "high": 5.0}}
    store.keep_figures("standing", {**store.figures("standing"), "counts": counts})
    store.keep_figures("pace", pace)
    page = app.test_client().get(f"/progress/{PROJECT}", auth=AUTH).text
    tiles = page[page.index('id="glance"') : page.index("Is anything wrong")]
    said = " ".join(re.sub(r"<[^>]+>", " ", tiles).split())
    assert "20 of 60 slices" in said and "33.3 % of the slices are labelled" in said
    assert "partly labelled: 60" in said and "10 h" in said and "40 labels" in said


def test_names_are_hidden_from_the_moment_somebody_asks_for_it(api, store):
    store.keep_figures(
        "people", {"pseudonymous": False, "people": [{"annotator": 31, "name": "N"}]}
    )
    store.keep_figures("annotators", {"numbers": {"31": 2}})
    store.keep_overrides({"pseudonymous": True})
    shown = api("/people").json
    assert shown["pseudonymous"] is True
    assert [(row["annotator"], row["name"]) for row in shown["people"]] == [(2, "Annotator 2")]


def test_the_next_slices_have_every_key(api, store):
    store.keep_figures("next", {"next": [{"task": 12, "rank": 1}]})
    (row,) = api("/now").json["next"]
    assert row["address"].endswith(f"/projects/{PROJECT}/data?task=12")
    assert row["novelty"] is None and row["picture"] is None


def test_the_newest_projects_are_listed_and_how_many_more_there_are(app, settings):
    for number in range(5, 107):
        Store(settings.store_root, number).keep_figures("standing", {"title": f"P{number}."})
    page = app.test_client().get("/progress", auth=(USER, PASSWORD)).text
    assert page.index("P106.") < page.index("P105.") < page.index("P7.")
    assert "P6." not in page and "And 3 more, older" in page


def test_what_is_unchanged_is_not_sent_again(api, store):
    first = api("/people")
    assert first.headers["Cache-Control"] == "no-store"
    again = api("/people", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_figures_that_are_no_numbers_are_unknown():
    assert as_json({"a": float("nan"), "b": [float("inf"), 1.5]}) == '{"a":null,"b":[null,1.5]}'


def test_damaged_figures_are_none(api, settings):
    folder = settings.data_dir / "store" / "projects" / str(PROJECT) / "figures"
    (folder / "standing.json").write_text("[1")
    (folder / "history.json").write_text("{}")
    assert api("").json["now"]["title"] is None


def test_a_picture_is_shown_to_who_may_see_the_project_and_not_stored_for_others(app, store):
    store.keep_picture("next-12", b"\x89PNG pixels")
    client = app.test_client()
    address = f"/progress/{PROJECT}/pictures/next-12.png"
    assert client.get(address).status_code == 401
    shown = client.get(address, auth=AUTH)
    assert (shown.data, shown.mimetype) == (b"\x89PNG pixels", "image/png")
    assert shown.headers["Cache-Control"].startswith("private")
    again = client.get(address, auth=AUTH, headers={"If-None-Match": shown.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "name", ["../settings", "..%2f..%2fcurrent", "a/b", "A", "x.y", "%00", "", "a" * 101, "next_1"]
)
def test_no_name_of_a_picture_leads_out_of_the_pictures(app, store, name):
    store.keep_overrides({"k": 3})
    address = f"/progress/{PROJECT}/pictures/{name}.png"
    assert app.test_client().get(address, auth=AUTH).status_code == 404


def test_no_name_of_a_data_set_leads_out_of_the_data_sets(app, settings):
    folder = settings.data_dir / "exports" / str(PROJECT)
    folder.mkdir(parents=True)
    (folder / f"project-{PROJECT}-png-20260101T000000000000Z.zip").write_bytes(b"PK")
    client = app.test_client()
    base = f"/progress/{PROJECT}/exports"
    for name in ("..%2f..%2fpage.key", "page.key", "../../page.key", ".hidden", "%00"):
        assert client.get(f"{base}/{name}", auth=AUTH).status_code == 404
    found = client.get(f"{base}/project-{PROJECT}-png-20260101T000000000000Z.zip", auth=AUTH)
    assert found.data == b"PK" and "attachment" in found.headers["Content-Disposition"]
    assert client.get(f"/progress/5/exports/{folder.name}", auth=AUTH).status_code == 404


def test_a_data_set_that_a_worker_elsewhere_keeps_is_told(app, store):
    done = {"state": "done", "format": "png", "name": "project-4-png-x.zip", "host": "gpu-2"}
    store.keep_figures("export", done)
    page = app.test_client().get(f"/progress/{PROJECT}", auth=AUTH).text
    assert "project-4-png-x.zip is not on this machine: the worker on gpu-2" in page


def test_workers_are_shown_with_what_they_do(jobs):
    redis = jobs.redis
    jobs.enqueue(HEAVY, "step_job", PROJECT, 1, CURRENT, "train-0", job_id="s1")
    working = SimpleWorker([HEAVY], connection=redis)
    working.register_birth()
    redis.hset(working.key, "device", "GPU 0")
    job = Queue(HEAVY, connection=redis).get_jobs()[0]
    working.set_state("busy")
    working.set_current_job_id(job.id)
    attending = SimpleWorker([QUICK], connection=redis)
    attending.register_birth()
    rows = {row["device"]: row for row in workers(redis)}
    assert rows["GPU 0"]["doing"] == f"trains the committee of project {PROJECT}"
    assert rows["GPU 0"]["state"] == "busy" and rows["GPU 0"]["silent_s"] == 0
    assert rows["attendant"]["doing"] is None
    assert rows["GPU 0"]["name"] != rows["attendant"]["name"]  # of one host


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("look_job 4", "looks at project 4"),
        ("step_job 4 12 r0007-3f9c2a score-11", "scores the slices of project 4"),
        ("step_job 4 12 r0007-3f9c2a strange", "does a step of project 4"),
        ("reconcile_job ", "looks for what is new"),
        ("anything else", "works"),
    ],
)
def test_a_job_is_told_in_plain_words(description, words):
    assert doing(description) == words


def test_no_request_reads_a_task_or_a_versions_metadata(api, app, store, monkeypatch):
    refresh_quality(store)

    def forbidden(*_):
        raise AssertionError("a request read what only rounds read")

    monkeypatch.setattr(Store, "metadata", forbidden)
    monkeypatch.setattr(Store, "states", forbidden)
    assert api().status_code == 200
    assert app.test_client().get(f"/progress/{PROJECT}", auth=AUTH).status_code == 200
