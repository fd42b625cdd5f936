"""Buttons: what each does, who may press it, and what is refused."""

from dataclasses import replace

import pytest
from rq import Queue

from ml_backend.app import create_app
from ml_backend.jobs import HEAVY, QUICK
from ml_backend.jobs.advance import advance
from ml_backend.jobs.errand_figures import note_failure
from ml_backend.progress import history
from ml_backend.progress.actions import ACTIONS

from .conftest import CURRENT, OLD, PASSWORD, PROJECT, USER, act, sign_in, token_of

PATH = f"/progress/{PROJECT}/actions/train"


def queued(jobs, queue=QUICK):
    return [job.description for job in Queue(queue, connection=jobs.redis).get_jobs()]


def waits(jobs):
    return jobs.state(PROJECT).waits


def test_train_now_asks_for_a_round_says_so_and_is_kept_in_the_history(signed_in, jobs, store):
    answer = act(signed_in, "train")
    assert (answer.status_code, answer.location) == (303, f"/progress/{PROJECT}")
    assert waits(jobs) and queued(jobs) == [f"advance_job {PROJECT}"]
    page = signed_in.get(f"/progress/{PROJECT}").text
    assert "A round was asked for" in page
    assert "A round was asked for" not in signed_in.get(f"/progress/{PROJECT}").text
    entry = store.figures("history")["actions"][0]
    assert (entry["who"], entry["what"]) == (USER, "train")
    assert signed_in.get(f"/api/progress/{PROJECT}/history").json["actions"] == [entry]


def test_without_its_token_nothing_is_done(signed_in, jobs, app):
    assert signed_in.post(PATH).status_code == 403
    stranger = token_of(app.test_client().get("/sign-in"))
    for wrong in ("", "x", stranger, "ü"):
        assert signed_in.post(PATH, data={"csrf": wrong}).status_code == 403
    in_address = {"csrf": token_of(signed_in.get(f"/progress/{PROJECT}/confirm/train"))}
    assert signed_in.post(PATH, query_string=in_address).status_code == 403
    assert not waits(jobs)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # Label Studio on another port
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
    ],
)
def test_a_page_of_elsewhere_cannot_act_even_with_the_token(signed_in, jobs, headers):
    assert act(signed_in, "train", headers=headers).status_code == 403
    token = token_of(signed_in.get(f"/progress/{PROJECT}"))
    with_password = signed_in.post(
        PATH, data={"csrf": token}, headers=headers, auth=(USER, PASSWORD)
    )
    assert with_password.status_code == 403
    assert not waits(jobs)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Origin": "http://localhost"},
        {"Origin": "https://quorum.example", "X-Forwarded-Host": "quorum.example"},
    ],
)
def test_its_own_page_can(signed_in, jobs, headers):
    assert act(signed_in, "train", headers=headers).status_code == 303
    assert waits(jobs)


def test_a_script_needs_no_token_but_a_browser_with_the_password_does(browser, jobs):
    marks = {"Sec-Fetch-Site": "same-origin"}
    assert browser.post(PATH, auth=(USER, PASSWORD), headers=marks).status_code == 403
    assert not waits(jobs)
    answer = browser.post(PATH, auth=(USER, PASSWORD))
    assert answer.status_code == 200 and "asked for" in answer.json["done"]
    refused = browser.post(
        f"/progress/{PROJECT}/actions/settings", data={"k": "no"}, auth=(USER, PASSWORD)
    )
    assert refused.status_code == 422 and "no" in refused.json["error"]


def test_nothing_is_done_by_following_a_link(signed_in, jobs):
    followed = signed_in.get(PATH)
    assert (followed.status_code, followed.location) == (303, f"/progress/{PROJECT}/confirm/train")
    assert signed_in.get(f"/progress/{PROJECT}/confirm/train").status_code == 200
    assert not waits(jobs)


def test_stop_ends_what_waits_and_makes_no_sense_without_a_round(signed_in, jobs):
    idle = act(signed_in, "stop")
    assert idle.status_code == 422 and "no round is running" in idle.text.lower()
    jobs.request_round(PROJECT)
    assert act(signed_in, "stop").status_code == 303
    assert not waits(jobs) and jobs.state(PROJECT).held_back


def test_pause_and_resume_are_the_projects_own_setting(signed_in, store):
    assert act(signed_in, "pause").status_code == 303
    assert store.overrides() == {"paused": True}
    assert signed_in.get(f"/api/progress/{PROJECT}/now").json["paused"] is True
    assert act(signed_in, "pause").status_code == 422
    assert act(signed_in, "resume").status_code == 303
    assert store.overrides() == {"paused": False}


def test_settings_are_kept_for_the_project_and_only_what_differs(signed_in, store, settings):
    form = {"k": "10", "K": str(settings.K), "target_mean_iou": "0.85", "label_budget": "200"}
    form |= {"hold_drafts_back": "0.2", "pseudonymous": "yes"}
    assert act(signed_in, "settings", **form).status_code == 303
    kept = {"k": 10, "target_mean_iou": 0.85, "label_budget": 200}
    assert store.overrides() == {**kept, "hold_drafts_back": 0.2, "pseudonymous": True}
    panel = signed_in.get(f"/api/progress/{PROJECT}/quality").json
    assert (panel["target"], panel["budget"]) == (0.85, 200)
    assert "k: 8 → 10" in store.figures("history")["actions"][0]["details"]
    assert act(signed_in, "settings", k="", pseudonymous="no").status_code == 303
    assert "k" not in store.overrides() and store.overrides()["pseudonymous"] is False


@pytest.mark.parametrize(
    "form",
    [
        {"k": "0"},
        {"k": "many"},
        {"k": "1e3"},
        {"K": "2"},  # below k
        {"target_mean_iou": "nan"},
        {"target_mean_iou": "1.2"},
        {"hold_drafts_back": "-0.1"},
        {"hold_drafts_back": "inf"},
        {"label_budget": "-1"},
        {"pseudonymous": "perhaps"},
        {"k": "10", "K": "<script>"},
    ],
)
def test_a_value_out_of_bounds_is_said_and_nothing_is_kept(signed_in, store, form):
    answer = act(signed_in, "settings", **form)
    assert answer.status_code == 422
    assert "<script>" not in answer.text
    assert store.overrides() == {}
    assert store.figures("history") == {}


@pytest.mark.parametrize("k, kept", [("50", {"k": 50}), ("", {})])
def test_settings_that_fit_no_longer_can_be_mended(settings, store, k, kept):
    store.keep_overrides({"k": 300})
    browser = create_app(replace(settings, K=200)).test_client()  # smaller since
    assert sign_in(browser).status_code == 303
    refused = act(browser, "pause")
    assert refused.status_code == 422 and "Slices of a batch (k)" in refused.text
    assert store.overrides() == {"k": 300}
    assert act(browser, "settings", k=k).status_code == 303
    assert store.overrides() == kept
    assert "k: 300 → " in store.figures("history")["actions"][0]["details"]
    assert act(browser, "pause").status_code == 303


def test_other_settings_cannot_be_set_from_the_page(signed_in, store):
    form = {"members": "64", "store_url": "s3://elsewhere", "paused": "yes"}
    assert act(signed_in, "settings", **form).status_code == 303
    assert store.overrides() == {}


@pytest.mark.parametrize("version", ["", "r0009-abcdef", "../../current", CURRENT])
def test_only_another_version_that_there_is_can_be_gone_back_to(signed_in, store, version):
    assert act(signed_in, "rollback", version=version).status_code == 422
    assert store.current() == CURRENT


def test_rolling_back_is_a_job_of_its_own(signed_in, jobs, store):
    assert act(signed_in, "rollback", version=OLD).status_code == 303
    assert f"rollback_job {PROJECT} {OLD}" in queued(jobs, HEAVY)
    assert store.figures("history")["actions"][0]["details"] == OLD
    shown = signed_in.get(f"/api/progress/{PROJECT}/now").json["rollback"]
    assert (shown["version"], shown["state"]) == (OLD, "running")


@pytest.mark.parametrize("hold_s, held", [(3600.0, True), (0.0, False)])
def test_only_a_round_that_a_person_stopped_is_said_to_hold_the_next_one_back(
    signed_in, jobs, hold_s, held
):
    """Going back ends a round too, and the next begins with the first labels that are enough."""
    jobs.request_round(PROJECT)
    advance(jobs, PROJECT)
    jobs.cancel(PROJECT, hold_s=hold_s)
    advance(jobs, PROJECT)
    page = signed_in.get(f"/progress/{PROJECT}").text
    assert ">stopped</span>" in page.replace("\n", "").replace("  ", "")
    assert ("None begins by itself for an hour" in page) == held
    assert ("The next round begins by itself when enough is labelled" in page) != held


def test_the_page_shows_whether_going_back_came_to_its_end(signed_in, app, settings, jobs):
    assert act(signed_in, "rollback", version=OLD).status_code == 303
    assert f"Going back to <code>{OLD}</code>" in signed_in.get(f"/progress/{PROJECT}").text
    jobs.errands.done(PROJECT, "rollback")
    note_failure(settings, PROJECT, "rollback", "its weights are damaged", version=OLD)
    app.extensions["quorum"]["shown"].forget(PROJECT)
    page = signed_in.get(f"/progress/{PROJECT}").text
    assert f"Going back to {OLD} failed:</strong> its weights are damaged" in page


def test_the_rest_is_asked_for_shown_and_stopped(signed_in, jobs, store):
    assert act(signed_in, "annotate-rest", **{"as": "annotations"}).status_code == 303
    assert store.overrides() == {"rest_as": "annotations"}
    assert jobs.errands.waiting(PROJECT)["rest"]["function"] == "rest_job"
    shown = signed_in.get(f"/api/progress/{PROJECT}/now").json["rest"]
    assert (shown["as"], shown["state"]) == ("annotations", "running")
    assert act(signed_in, "cancel-rest").status_code == 303
    assert jobs.errands.cancelled(PROJECT, "rest")


def test_a_data_set_is_asked_for_in_one_of_the_formats(signed_in, jobs):
    assert act(signed_in, "export", format="../x").status_code == 422
    assert act(signed_in, "export", format="png", include="none").status_code == 422
    assert act(signed_in, "export", format="coco").status_code == 303
    assert jobs.errands.waiting(PROJECT)["export"]["arguments"] == ["coco", "labelled"]
    assert signed_in.get(f"/progress/{PROJECT}").status_code == 200


def test_a_form_shows_what_holds_or_what_the_address_says(signed_in):
    page = signed_in.get(f"/progress/{PROJECT}/confirm/rollback?version={OLD}&csrf=x").text
    assert OLD in page and 'value="x"' not in page
    page = signed_in.get(f"/progress/{PROJECT}/confirm/settings?k=11").text
    assert 'value="11"' in page and 'value="48"' in page


def test_what_is_shown_again_is_no_html(signed_in):
    page = signed_in.get(f'/progress/{PROJECT}/confirm/rollback?version="><script>alert(1)').text
    assert "<script>alert" not in page


def test_every_action_can_be_confirmed_and_an_unknown_one_is_not_found(signed_in):
    for name in ACTIONS:
        page = signed_in.get(f"/progress/{PROJECT}/confirm/{name}")
        assert page.status_code == 200 and ACTIONS[name].title in page.text
    assert signed_in.get(f"/progress/{PROJECT}/confirm/nothing").status_code == 404
    token = token_of(signed_in.get(f"/progress/{PROJECT}"))
    nothing = signed_in.post(f"/progress/{PROJECT}/actions/nothing", data={"csrf": token})
    assert nothing.status_code == 404


def test_a_project_that_is_not_connected_cannot_be_acted_on(signed_in, jobs):
    assert signed_in.get("/progress/5/confirm/train").status_code == 404
    token = token_of(signed_in.get(f"/progress/{PROJECT}"))
    answer = signed_in.post("/progress/5/actions/train", data={"csrf": token})
    assert answer.status_code == 404 and "./quorum connect 5" in answer.text
    assert jobs.projects() == [] and not jobs.state(5).waits


def test_the_rest_waits_for_a_version_and_there_is_nothing_to_undo_before(signed_in, store):
    assert act(signed_in, "undo-rest").status_code == 422
    assert act(signed_in, "cancel-rest").status_code == 422
    store.keep_figures("rest", {"state": "running", "as": "predictions", "done": 1, "total": 9})
    refused = act(signed_in, "annotate-rest")
    assert refused.status_code == 422 and "under way" in refused.text.lower()
    assert act(signed_in, "annotate-rest", **{"as": "gospel"}).status_code == 422
    store.keep_figures("rest", {})
    store.keep_figures("quality", {"versions": [{"version": CURRENT, "training": 0}]})
    untrained = act(signed_in, "annotate-rest")
    assert untrained.status_code == 422 and "label the first slices" in untrained.text


def test_what_is_kept_is_said_to_be_and_noted_while_the_queue_is_away(settings, store, tmp_path):
    away = create_app(replace(settings, redis_url=f"unix://{tmp_path}/none.sock")).test_client()
    sign_in(away)
    for name, form, kept in (
        ("settings", {"k": "7"}, {"k": 7}),
        ("pause", {}, {"k": 7, "paused": True}),
        ("resume", {}, {"k": 7, "paused": False}),
    ):
        assert act(away, name, **form).status_code == 303
        assert store.overrides() == kept
    noted = [entry["what"] for entry in store.figures("history")["actions"]]
    assert noted == ["resume", "pause", "settings"]


def test_the_history_keeps_the_newest(jobs, store):
    for number in range(history.NEWEST + 5):
        history.record(jobs, store, PROJECT, "q", "train", str(number))
    kept = store.figures("history")["actions"]
    assert len(kept) == history.NEWEST
    assert kept[0]["details"] == str(history.NEWEST + 4)


def test_a_queue_that_is_away_is_said_on_a_page(settings, store, tmp_path):
    away = create_app(replace(settings, redis_url=f"unix://{tmp_path}/none.sock")).test_client()
    sign_in(away)
    answer = act(away, "train")
    assert answer.status_code == 503 and "QUORUM_REDIS_URL" in answer.text
    assert answer.mimetype == "text/html"
