"""Who gets in: signing in and out, guessing, forged requests, and where it may lead to."""

import stat
import time
from dataclasses import replace

import pytest

from ml_backend.app import create_app
from ml_backend.credentials import MOST_GUESSES
from ml_backend.progress.attempts import OVER_ALL, PER_ADDRESS

from .conftest import PASSWORD, USER, sign_in, token_of

HTML = {"Accept": "text/html"}


def cookie_of(response):
    return next(c for c in response.headers.getlist("Set-Cookie") if c.startswith("quorum_session"))


def test_a_browser_is_led_to_the_form_and_back_to_the_page(browser):
    sent = browser.get("/progress/4", headers=HTML)
    assert (sent.status_code, sent.location) == (303, "/sign-in?next=/progress/4")
    entered = sign_in(browser)
    assert (entered.status_code, entered.location) == (303, "/progress/4")
    assert browser.get("/progress/4").status_code == 200
    assert browser.get("/api/progress/4").json["now"]["title"] == "Hearts"


@pytest.mark.parametrize(
    ("user", "password"),
    [(USER, "wrong"), ("other", PASSWORD), ("", ""), (USER, PASSWORD + "\0"), ("ü", "ü" * 9)],
)
def test_a_wrong_user_or_password_lets_nobody_in(browser, user, password):
    assert sign_in(browser, password, user).status_code == 401
    assert browser.get("/progress/4").status_code == 401
    assert browser.get("/api/progress/4/now").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/progress",
        "/progress/4",
        "/progress/4/pictures/a.png",
        "/progress/4/confirm/train",
        "/progress/4/exports/x.zip",
        "/api/progress/4",
        "/api/progress/4/now",
        "/metrics",
    ],
)
def test_nothing_is_shown_to_strangers(browser, path):
    answer = browser.get(path)
    assert answer.status_code == 401
    assert "Hearts" not in answer.text
    assert browser.get(path, auth=(USER, "wrong")).status_code == 401
    assert browser.get(path, auth=(USER, PASSWORD)).status_code in (200, 404)


def test_the_session_is_a_cookie_that_no_script_and_no_foreign_form_gets(browser):
    plain = cookie_of(sign_in(browser))
    assert "HttpOnly" in plain and "SameSite=Lax" in plain and "Secure" not in plain
    encrypted = cookie_of(sign_in(browser, headers={"X-Forwarded-Proto": "https"}))
    assert "Secure" in encrypted


def test_signing_in_changes_every_secret_of_the_session(browser):
    before = token_of(browser.get("/sign-in"))
    first = cookie_of(sign_in(browser))
    after = token_of(browser.get("/progress/4"))
    assert before != after
    assert cookie_of(sign_in(browser)) != first


def test_a_cookie_copied_before_signing_out_is_worth_nothing_after(app, signed_in):
    thief = app.test_client()
    thief.set_cookie("quorum_session", signed_in.get_cookie("quorum_session").value)
    assert thief.get("/progress/4").status_code == 200
    token = token_of(signed_in.get("/progress/4"))
    assert signed_in.post("/sign-out", data={"csrf": token}).status_code == 303
    assert thief.get("/progress/4").status_code == 401
    assert signed_in.get("/progress/4").status_code == 401


def test_a_session_ends_after_twelve_hours_however_often_it_is_used(signed_in, monkeypatch):
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + 11.9 * 3600)
    assert signed_in.get("/progress/4").status_code == 200
    monkeypatch.setattr(time, "time", lambda: began + 12.1 * 3600)
    assert signed_in.get("/progress/4").status_code == 401


def test_a_new_password_ends_every_session(signed_in, settings):
    changed = create_app(replace(settings, basic_auth_password="another"))
    again = changed.test_client()
    again.set_cookie("quorum_session", signed_in.get_cookie("quorum_session").value)
    assert again.get("/progress/4").status_code == 401


def test_a_forged_cookie_is_no_session(app, signed_in):
    value = signed_in.get_cookie("quorum_session").value
    for forged in (value[:-2] + "AA", value.partition(".")[0] + ".x.y", "", "." * 4000):
        stranger = app.test_client()
        stranger.set_cookie("quorum_session", forged)
        assert stranger.get("/progress/4").status_code == 401


def test_the_key_is_made_once_for_its_owner_alone_and_a_key_others_may_read_is_replaced(settings):
    create_app(settings)
    path = settings.data_dir / "page.key"
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    create_app(settings)
    assert path.read_text() == first
    path.chmod(0o644)
    create_app(settings)
    assert path.read_text() != first and stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("half")
    create_app(settings)
    assert len(bytes.fromhex(path.read_text())) == 32


def test_a_password_cannot_be_guessed_from_one_address(browser, app):
    for _ in range(PER_ADDRESS):
        assert sign_in(browser, "guess").status_code == 401
    refused = sign_in(browser)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    assert browser.get("/progress/4").status_code == 401
    elsewhere = app.test_client()
    assert sign_in(elsewhere, environ_base={"REMOTE_ADDR": "10.1.1.1"}).status_code == 303


def test_nor_from_many_addresses(app):
    browser = app.test_client()
    statuses = [
        sign_in(browser, "guess", environ_base={"REMOTE_ADDR": f"10.0.0.{n}"}).status_code
        for n in range(OVER_ALL + 1)
    ]
    assert set(statuses[:-1]) == {401} and statuses[-1] == 429


def test_one_stranger_locks_out_nobody_but_himself(app):
    stranger = app.test_client()
    here = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
    statuses = [sign_in(stranger, "guess", **here).status_code for _ in range(OVER_ALL + 1)]
    assert statuses[-1] == 429
    elsewhere = {"environ_base": {"REMOTE_ADDR": "10.1.1.1"}}
    assert sign_in(app.test_client(), **elsewhere).status_code == 303


def guess_from_everywhere(app):
    """Guesses from so many addresses that new ones are not let in for a while."""
    crowd = app.test_client()
    for number in range(OVER_ALL):
        sign_in(crowd, "guess", environ_base={"REMOTE_ADDR": f"10.0.0.{number}"})


def test_guessing_from_everywhere_keeps_out_no_address_that_signed_in_before(app):
    known = {"environ_base": {"REMOTE_ADDR": "10.1.1.1"}}
    manager = app.test_client()
    assert sign_in(manager, **known).status_code == 303
    guess_from_everywhere(app)
    assert manager.get("/progress/4").status_code == 200
    assert sign_in(app.test_client(), **known).status_code == 303
    # It is no free place to guess from, either.
    statuses = [sign_in(app.test_client(), "guess", **known).status_code for _ in range(12)]
    assert statuses[:PER_ADDRESS] == [401] * PER_ADDRESS and statuses[-1] == 429


def test_a_refusal_blames_nobody_for_what_others_tried(app):
    guess_from_everywhere(app)
    new = {"environ_base": {"REMOTE_ADDR": "10.1.1.1"}}
    for _ in range(PER_ADDRESS + 1):  # and does not count against who tries again
        refused = sign_in(app.test_client(), **new)
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
        assert "your address" not in refused.text and "other addresses" in refused.text


def test_an_address_is_remembered_while_redis_is_away(settings, store, tmp_path):
    app = create_app(replace(settings, redis_url=f"unix://{tmp_path}/none.sock"))
    known = {"environ_base": {"REMOTE_ADDR": "10.1.1.1"}}
    assert sign_in(app.test_client(), **known).status_code == 303
    guess_from_everywhere(app)
    assert sign_in(app.test_client()).status_code == 429
    assert sign_in(app.test_client(), **known).status_code == 303


@pytest.mark.parametrize(
    ("peers", "forwarded"),
    [
        ([f"2001:db8::{n}" for n in range(PER_ADDRESS + 1)], None),  # one home's network
        (["10.9.9.9"] * (PER_ADDRESS + 1), "8.8.4.{}"),  # not a proxy of ours: anybody writes that
        (["127.0.0.1"] * (PER_ADDRESS + 1), "8.8.4.{}, 7.7.7.7"),  # the proxy's word is the last
    ],
)
def test_nor_from_one_that_calls_itself_many(app, peers, forwarded):
    browser = app.test_client()
    statuses = []
    for number, peer in enumerate(peers):
        headers = {"X-Forwarded-For": forwarded.format(number)} if forwarded else {}
        answer = sign_in(browser, "guess", environ_base={"REMOTE_ADDR": peer}, headers=headers)
        statuses.append(answer.status_code)
    assert statuses[-1] == 429


def test_behind_a_proxy_on_this_host_each_address_counts_for_itself(app):
    browser = app.test_client()
    for _ in range(PER_ADDRESS + 1):
        sign_in(browser, "guess", headers={"X-Forwarded-For": "7.7.7.7"})
    assert sign_in(browser, headers={"X-Forwarded-For": "7.7.7.8"}).status_code == 303
    mapped = {"REMOTE_ADDR": "::ffff:7.7.7.9"}  # an address of its own, not a home's network
    assert sign_in(browser, environ_base=mapped).status_code == 303


def test_a_form_of_megabytes_is_not_read(browser):
    answer = browser.post("/sign-in", data={"user": "x" * 2**20})
    assert answer.status_code == 413


def test_nor_while_redis_is_away(settings, store, tmp_path):
    away = replace(settings, redis_url=f"unix://{tmp_path}/none.sock")
    browser = create_app(away).test_client()
    assert sign_in(browser).status_code == 303
    assert browser.get("/progress/4").status_code == 200
    assert "QUORUM_REDIS_URL" in browser.get("/api/progress/4/now").json["trouble"]
    stranger = create_app(away).test_client()
    statuses = [sign_in(stranger, "guess").status_code for _ in range(PER_ADDRESS + 1)]
    assert statuses[-1] == 429


def test_nor_in_the_header(browser):
    for number in range(MOST_GUESSES):
        assert browser.get("/metrics", auth=(USER, f"guess {number}")).status_code == 401
    assert browser.get("/metrics", auth=(USER, PASSWORD)).status_code == 429


def test_guessing_in_the_header_of_a_page_does_not_keep_label_studio_out(browser):
    asked = {"json": {"job": "look-4"}, "auth": (USER, PASSWORD)}
    assert browser.post("/job_status", **asked).status_code == 200
    for number in range(MOST_GUESSES + 1):
        browser.get("/metrics", auth=(USER, f"guess {number}"))
    assert browser.post("/job_status", **asked).status_code == 200


def test_who_remembers_the_password_at_last_starts_from_nothing(browser):
    for _ in range(2):
        for _ in range(PER_ADDRESS - 1):
            sign_in(browser, "guess")
        assert sign_in(browser).status_code == 303


@pytest.mark.parametrize(
    "onward",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/progress/4/../../x",
        "/progress/4\r\nSet-Cookie: a=b",
        "/progress/4?next=//evil.example",
        "javascript:alert(1)",
        "/progress.evil.example",
        "/progress/4\n",
    ],
)
def test_signing_in_leads_to_no_other_place(browser, onward):
    entered = sign_in(browser, onward=onward)
    assert (entered.status_code, entered.location) == (303, "/progress")
    assert "a=b" not in str(entered.headers)
    asked = browser.get("/sign-in", query_string={"next": onward})
    assert "evil" not in asked.text


def test_signing_in_needs_the_token_of_its_own_form(browser, app):
    form = {"user": USER, "password": PASSWORD}
    assert browser.post("/sign-in", data=form).status_code == 403
    other = token_of(app.test_client().get("/sign-in"))
    browser.get("/sign-in")
    assert browser.post("/sign-in", data={**form, "csrf": other}).status_code == 403


def test_nobody_is_signed_out_by_a_foreign_page(signed_in):
    assert signed_in.post("/sign-out").status_code == 403
    assert signed_in.get("/progress/4").status_code == 200


def test_label_studio_and_scripts_send_user_and_password_in_the_header(browser):
    answer = browser.get("/api/progress/4", auth=(USER, PASSWORD))
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    asked = browser.get("/metrics")
    assert asked.headers["WWW-Authenticate"].startswith("Basic")
    # A browser would put a window of its own over the page.
    assert "WWW-Authenticate" not in browser.get("/api/progress/4/now").headers


@pytest.mark.parametrize("path", ["/sign-in", "/progress", "/progress/4", "/progress/4/confirm/x"])
def test_pages_load_nothing_from_elsewhere_and_are_not_stored(signed_in, path):
    headers = signed_in.get(path).headers
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_errors_are_pages_for_people_and_json_for_programs(signed_in):
    page = signed_in.get("/progress/4/pictures/none.png")
    assert page.status_code == 404 and page.mimetype == "text/html"
    answer = signed_in.get("/api/progress/4/nothing")
    assert answer.status_code == 404 and "no such panel" in answer.json["error"]
