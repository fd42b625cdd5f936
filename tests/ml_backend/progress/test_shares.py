"""Read-only links: what they show, what they refuse, and how they end."""

import time
from dataclasses import replace

import pytest
from itsdangerous import URLSafeSerializer

from ml_backend.app import create_app
from ml_backend.progress.page_key import derived, load_or_make
from ml_backend.progress.shares import ShareError, make_link, read_link
from ml_backend.store import Store

from .conftest import PROJECT, act, token_of


def test_a_link_shows_its_project_and_leaves_the_address_bar_at_once(app, link):
    browser = app.test_client()
    followed = browser.get(link)
    assert (followed.status_code, followed.location) == (303, f"/progress/{PROJECT}")
    assert followed.headers["Referrer-Policy"] == "no-referrer"
    assert "Hearts" in browser.get(f"/progress/{PROJECT}").text
    assert browser.get(f"/api/progress/{PROJECT}/now").status_code == 200


def test_it_shows_no_other_project_and_lists_none(viewer, settings):
    Store(settings.store_root, 5).keep_figures("standing", {"title": "Livers"})
    assert viewer.get("/progress/5").status_code == 403
    assert viewer.get("/api/progress/5").status_code == 403
    listed = viewer.get("/progress").text
    assert "Hearts" in listed and "Livers" not in listed


@pytest.mark.parametrize("name", ["train", "settings", "share", "revoke-links", "export"])
def test_whoever_has_only_a_link_cannot_act(viewer, jobs, name):
    page = viewer.get(f"/progress/{PROJECT}")
    assert f"/confirm/{name}" not in page.text
    assert viewer.get(f"/progress/{PROJECT}/confirm/{name}").status_code == 403
    token = token_of(viewer.get("/sign-in"))
    answer = viewer.post(f"/progress/{PROJECT}/actions/{name}", data={"csrf": token})
    assert answer.status_code == 403
    assert jobs.latest(PROJECT) is None


def test_nor_see_metrics_or_take_the_data_set_home(viewer):
    assert viewer.get("/metrics").status_code == 403
    assert viewer.get(f"/progress/{PROJECT}/exports/x.zip").status_code == 403


def test_a_link_ends_and_so_does_what_was_opened_with_it(app, settings, viewer, link, monkeypatch):
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + 3 * 86400 + 60)
    assert app.test_client().get(link).status_code == 403
    assert viewer.get(f"/progress/{PROJECT}").status_code == 401


def test_a_session_of_a_link_ends_with_the_link(settings, app, monkeypatch):
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began - 86400 + 3600)
    path = make_link(settings, PROJECT, 1)  # good for an hour from now
    monkeypatch.setattr(time, "time", lambda: began)
    browser = app.test_client()
    assert browser.get(path).status_code == 303
    monkeypatch.setattr(time, "time", lambda: began + 3700)
    assert browser.get(f"/progress/{PROJECT}").status_code == 401


def test_revoking_ends_all_links_and_what_was_opened_with_them(app, signed_in, viewer, link):
    assert act(signed_in, "revoke-links").status_code == 303
    assert viewer.get(f"/progress/{PROJECT}").status_code == 401
    assert app.test_client().get(link).status_code == 403
    assert act(signed_in, "share", days="1").status_code == 303


def test_links_of_before_stay_dead_if_what_was_kept_of_them_is_lost(settings, store, link):
    path = settings.data_dir / "store" / "projects" / str(PROJECT) / "figures" / "shares.json"
    path.unlink()
    with pytest.raises(ShareError):
        read_link(settings, link.removeprefix("/view/"))


def test_a_forged_link_is_refused(app, settings, link, store):
    token = link.removeprefix("/view/")
    key = load_or_make(settings.data_dir)
    number = store.figures("shares")["number"]
    wrong_key = URLSafeSerializer(derived(key, "session"), salt="quorum-link")
    forged = [
        token[:-3] + "AAA",
        "x" + token,
        wrong_key.dumps([PROJECT, int(time.time()) + 9999, number]),
        "W10.x",
        "A" * 5000,
        "%00",
    ]
    for one in forged:
        assert app.test_client().get(f"/view/{one}").status_code == 403


@pytest.mark.parametrize("days", ["0", "-1", "91", "9" * 30, "x", "1.5", "٣"])
def test_a_link_is_for_some_days_at_most(signed_in, days):
    answer = act(signed_in, "share", days=days)
    assert answer.status_code == 422 and "1 to 90 days" in answer.text


def test_a_link_opens_where_the_key_cannot_be_kept(settings, store, tmp_path):
    (tmp_path / "file").write_text("no folder")
    nowhere = replace(
        settings, data_dir=tmp_path / "file" / "data", store_url=str(settings.store_root)
    )
    app = create_app(nowhere)
    link = make_link(nowhere, PROJECT, 3)
    assert app.test_client().get(link).status_code == 303


def test_a_link_takes_nothing_from_somebody_who_has_signed_in(signed_in, link):
    assert signed_in.get(link).status_code == 303
    assert signed_in.get(f"/progress/{PROJECT}/confirm/train").status_code == 200


def test_the_history_says_that_there_is_a_link_but_not_which(store, link, caplog):
    entry = store.figures("history")["actions"][0]
    assert (entry["what"], entry["details"]) == ("share", "3 days")
    assert link not in str(entry) + caplog.text


@pytest.mark.parametrize(
    ("page_url", "headers", "address"),
    [
        ("", {}, "http://localhost"),
        ("", {"X-Forwarded-Proto": "https"}, "https://localhost"),
        ("", {"X-Forwarded-Proto": "https, http", "Host": "q.example"}, "https://q.example"),
        ("https://quorum.example:8443/", {}, "https://quorum.example:8443"),
        ("https://quorum.example", {"Host": "elsewhere.example"}, "https://quorum.example"),
    ],
)
def test_a_link_has_the_address_that_browsers_use(settings, store, page_url, headers, address):
    script = create_app(replace(settings, page_url=page_url)).test_client()
    made = script.post(
        f"/progress/{PROJECT}/actions/share",
        data={"days": "7"},
        auth=(settings.basic_auth_user, settings.basic_auth_password),
        headers=headers,
    )
    assert made.json["link"].startswith(f"{address}/view/")
