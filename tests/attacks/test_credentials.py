"""Nobody gets at anything but / and /health without credentials; and guessing is slow."""

import re
from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from flask import Blueprint

from ml_backend import credentials, windows
from ml_backend.app import create_app
from ml_backend.credentials import MOST_GUESSES, WINDOW_S, Guesses
from ml_backend.jobs import Jobs
from ml_backend.progress import access
from ml_backend.settings import Settings, SettingsError

from .conftest import PASSWORD, PROJECT, SECRET, USER

# What anybody may ask: whether the backend is up, and what it takes to sign in.
OPEN = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/sign-out"),
    ("GET", "/view/<token>"),
    ("GET", "/progress/static/<path:filename>"),
}
RIGHT = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
WRONG = {
    "no header": {},
    "another password": {"Authorization": "Basic " + b64encode(b"quorum:wrong").decode()},
    "another user": {"Authorization": "Basic " + b64encode(b"root:correct horse").decode()},
    "a part of it": {"Authorization": "Basic " + b64encode(b"quorum:correct hors").decode()},
    "an empty password": {"Authorization": "Basic " + b64encode(b"quorum:").decode()},
    "nothing in it": {"Authorization": "Basic " + b64encode(b":").decode()},
    "no base64": {"Authorization": "Basic \xff\xfe"},
    "no colon": {"Authorization": "Basic " + b64encode(b"quorum").decode()},
    "no UTF-8": {"Authorization": "Basic " + b64encode(b"quorum:\xff\xff").decode()},
    "a token": {"Authorization": f"Token {PASSWORD}"},
    "a bearer": {"Authorization": f"Bearer {SECRET}"},
    "a digest": {"Authorization": f'Digest username="{USER}", response="{PASSWORD}"'},
    "a wrong secret": {"X-Quorum-Secret": "wrong"},
    "an empty secret": {"X-Quorum-Secret": ""},
    "the password as secret": {"X-Quorum-Secret": PASSWORD},
    "the secret as password": {
        "Authorization": "Basic " + b64encode(f"{USER}:{SECRET}".encode()).decode()
    },
    "a forged cookie": {"Cookie": "quorum_session=eyJ1c2VyIjoicXVvcnVtIn0.aaaa.bbbb"},
}
FILLED = {
    "number:project_id": PROJECT,
    "path:filename": "page.css",
    "path:rest": "x/y",
    "name": "now",
    "token": "none",
}


def calls(app):
    """Every method of every address: (method, rule, a path)."""
    found = []
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for name, value in FILLED.items():
            path = path.replace(f"<{name}>", str(value))
        assert "<" not in path, f"FILLED has nothing for {rule.rule}"
        found += [(method, rule.rule, path) for method in rule.methods - {"HEAD", "OPTIONS"}]
    return sorted(found)


def let_in(app, method, path, headers):
    """Whether an address was answered, or its view at least reached."""
    answer = app.test_client().open(path, method=method, headers=headers, json={"job": "look-4"})
    return answer.status_code != 401


def unprotected(app, headers):
    """Addresses that answer with these headers, though they should not."""
    return [
        (method, rule)
        for method, rule, path in calls(app)
        if (method, rule) not in OPEN and let_in(app, method, path, headers)
    ]


@pytest.fixture
def no_counting(monkeypatch):
    """So many wrong passwords come from one address here that all would be refused."""
    monkeypatch.setattr(Guesses, "refuses", lambda self, address: False)


@pytest.mark.parametrize("what", WRONG)
def test_no_address_answers_to_wrong_credentials(backend, no_counting, what):
    assert len(calls(backend)) > 15
    assert unprotected(backend, WRONG[what]) == []


def test_every_address_answers_to_the_right_ones(backend):
    closed = [call for call in calls(backend) if call[:2] not in OPEN]
    shut_out = [call for call in closed if not let_in(backend, call[0], call[2], RIGHT)]
    assert shut_out == []


def test_other_methods_and_other_addresses_tell_strangers_nothing(backend):
    client = backend.test_client()
    for method in ("OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "QUERY"):
        for found, rule, path in calls(backend):
            if (found, rule) not in OPEN:
                assert client.open(path, method=method).status_code == 401, (method, rule)
    for path in ("/nothing", "//health", "/health/", "/HEALTH", "/%2e%2e/predict", "/Predict"):
        assert client.get(path).status_code == 401, path


def test_what_is_open_is_what_is_listed_here(backend):
    assert {call[:2] for call in calls(backend) if let_in(backend, call[0], call[2], {})} == OPEN
    assert {"static", "sign_in", "sign_out", "view"} == access._OPEN


def test_signing_out_and_following_a_forged_link_do_nothing_for_strangers(backend):
    client = backend.test_client()
    assert client.post("/sign-out").status_code == 403
    assert client.get("/view/forged").status_code == 403


def test_a_new_address_is_closed_from_the_start(backend_settings, connected):
    app = create_app(backend_settings)
    app.add_url_rule("/new", view_func=lambda: "patients", endpoint="new")
    app.add_url_rule("/healthy", view_func=lambda: "patients", endpoint="health.y")
    fresh = Blueprint("fresh", __name__)
    fresh.add_url_rule("/fresh", view_func=lambda: "patients", endpoint="health")
    app.register_blueprint(fresh)
    assert unprotected(app, {}) == []


def test_this_test_would_see_one_that_is_not(backend_settings, connected, monkeypatch):
    app = create_app(backend_settings)
    app.add_url_rule("/careless", view_func=lambda: "patients", endpoint="careless")
    app.before_request_funcs[None].remove(credentials.admit)
    assert ("GET", "/careless") in unprotected(app, {})
    monkeypatch.setattr(access, "_OPEN", access._OPEN | {"metrics"})
    assert ("GET", "/metrics") in unprotected(create_app(backend_settings), {})


# -- starting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "variable"),
    [
        ({"basic_auth_user": "", "basic_auth_password": ""}, "QUORUM_BASIC_AUTH_USER"),
        ({"webhook_secret": ""}, "QUORUM_WEBHOOK_SECRET"),
    ],
)
def test_without_credentials_there_is_no_backend(backend_settings, without, variable):
    with pytest.raises(SettingsError, match=rf"(?s){variable} is not set.*openssl rand"):
        create_app(replace(backend_settings, **without))


def test_nor_with_the_environments_defaults(monkeypatch, tmp_path):
    for name in ("USER", "PASSWORD"):
        monkeypatch.delenv(f"QUORUM_BASIC_AUTH_{name}", raising=False)
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="QUORUM_BASIC_AUTH_USER"):
        create_app()
    with pytest.raises(SettingsError, match="QUORUM_BASIC_AUTH_USER"):
        create_app(Settings(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"basic_auth_password": "größer"}, "QUORUM_BASIC_AUTH_PASSWORD"),
        ({"webhook_secret": "two\nlines"}, "QUORUM_WEBHOOK_SECRET"),
        ({"webhook_secret": "a space "}, "QUORUM_WEBHOOK_SECRET"),
        ({"basic_auth_user": "a:b"}, "QUORUM_BASIC_AUTH_USER"),
    ],
)
def test_what_label_studio_could_not_send_is_refused_unquoted(backend_settings, changed, variable):
    with pytest.raises(SettingsError, match=variable) as refused:
        create_app(replace(backend_settings, **changed))
    assert not any(value in str(refused.value) for value in changed.values() if len(value) > 3)


# -- guessing ------------------------------------------------------------------------------------


def ask(client, password, address="10.1.1.1", path="/job_status", **headers):
    return client.post(
        path,
        json={"job": "look-4"},
        auth=(USER, password),
        environ_base={"REMOTE_ADDR": address},
        headers=headers,
    )


def test_who_guesses_is_refused_for_a_while_whatever_comes_then(backend):
    client = backend.test_client()
    for number in range(MOST_GUESSES):
        assert ask(client, f"guess {number}").status_code == 401
    refused = ask(client, PASSWORD)
    assert refused.status_code == 429 and "wait" in refused.json["error"]
    assert refused.headers["Retry-After"] == str(WINDOW_S)
    assert ask(client, PASSWORD, "10.1.1.2").status_code == 200  # others are not concerned


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook", "/metrics", "/nothing"])
def test_every_address_counts(backend, path):
    client = backend.test_client()
    for number in range(MOST_GUESSES):
        ask(client, f"guess {number}", path=path)
    assert ask(client, PASSWORD, path=path).status_code == 429


def test_secrets_of_webhooks_count_too(backend):
    client = backend.test_client()

    def hook(secret):
        sent = {"REMOTE_ADDR": "10.1.1.1"}
        headers = {"X-Quorum-Secret": secret}
        return client.post("/webhook", json={}, headers=headers, environ_base=sent).status_code

    assert [hook(f"guess {number}") for number in range(MOST_GUESSES)] == [401] * MOST_GUESSES
    assert hook(SECRET) == 429


def test_label_studio_is_never_kept_out_by_who_guesses_from_its_address(backend):
    client = backend.test_client()
    assert ask(client, PASSWORD).status_code == 200  # as when the project was connected
    for number in range(3 * MOST_GUESSES):
        assert ask(client, f"guess {number}").status_code == 401
        assert ask(client, PASSWORD).status_code == 200


def test_nor_after_the_backend_was_started_again_while_somebody_guesses(backend, backend_settings):
    assert ask(backend.test_client(), PASSWORD).status_code == 200
    again = create_app(backend_settings).test_client()
    for number in range(MOST_GUESSES):
        ask(again, f"guess {number}")
    assert ask(again, PASSWORD).status_code == 200


def test_nor_by_its_own_old_password(backend):
    client = backend.test_client()
    for _ in range(3 * MOST_GUESSES):
        assert ask(client, "the password of before").status_code == 401
        assert client.post("/predict", json={}).status_code == 401
    assert ask(client, PASSWORD).status_code == 200


def test_a_stranger_cannot_choose_the_address_that_is_counted(backend):
    client = backend.test_client()
    statuses = [
        ask(client, f"guess {n}", **{"X-Forwarded-For": f"8.8.4.{n}"}).status_code
        for n in range(MOST_GUESSES + 1)
    ]
    assert statuses[-1] == 429


@pytest.mark.parametrize("path", ["/job_status", "/sign-in"])
def test_behind_a_trusted_proxy_each_caller_counts_for_itself(backend_settings, path):
    trusted = replace(backend_settings, trusted_proxies="10.0.0.7, 172.18.0.0/24")
    client = create_app(trusted).test_client()

    def guess(number, forwarded, proxy="172.18.0.9"):
        sent = {"X-Forwarded-For": forwarded}
        if path != "/sign-in":
            return ask(client, f"guess {number}", proxy, path, **sent).status_code
        form = {"user": USER, "password": f"guess {number}", "csrf": token}
        peer = {"REMOTE_ADDR": proxy}
        return client.post(path, data=form, headers=sent, environ_base=peer).status_code

    if path == "/sign-in":
        token = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)[1]
    statuses = [guess(n, f"8.8.4.{n}, 7.7.7.7") for n in range(MOST_GUESSES + 1)]
    assert statuses == [401] * MOST_GUESSES + [429]
    assert guess(0, "7.7.7.8") == 401  # others are not concerned
    # Whom nobody trusts is counted by its own address, whatever it tells.
    statuses = [guess(n, f"8.8.5.{n}", "172.18.1.9") for n in range(MOST_GUESSES + 1)]
    assert statuses[-1] == 429


def test_the_containers_proxy_has_the_address_that_is_trusted():
    compose = Path(__file__).parents[2] / "docker" / "compose.yaml"
    whole = yaml.safe_load(compose.read_text())
    proxy, backend = whole["services"]["proxy"], whole["services"]["backend"]
    address = ip_address(proxy["networks"]["front"]["ipv4_address"])
    assert backend["environment"]["QUORUM_TRUSTED_PROXIES"] == str(address)
    (drawn,) = whole["networks"]["front"]["ipam"]["config"]
    assert address in ip_network(drawn["subnet"])
    assert address not in ip_network(drawn["ip_range"])  # where others' addresses come from


def test_guessing_is_counted_while_redis_is_away(backend_settings, tmp_path):
    away = replace(backend_settings, redis_url=f"unix://{tmp_path}/none.sock")
    client = create_app(away).test_client()
    statuses = [ask(client, f"guess {n}").status_code for n in range(MOST_GUESSES + 1)]
    assert statuses == [401] * MOST_GUESSES + [429]


def test_an_attackers_many_addresses_fill_no_memory(backend_settings, monkeypatch):
    monkeypatch.setattr(windows, "_MOST_NAMES", 50)
    guesses = Guesses(Jobs.connect(backend_settings).redis)
    for number in range(500):
        guesses.wrong(f"10.0.{number // 250}.{number % 250}", "guess")
    assert len(guesses._tried) <= 50


def test_neither_passwords_nor_secrets_are_logged(backend, caplog):
    client = backend.test_client()
    for number in range(MOST_GUESSES + 2):
        ask(client, f"hunter-{number}")
    ask(client, PASSWORD, "10.2.2.2")
    assert "10.1.1.1" in caplog.text
    for secret in ("hunter", PASSWORD, SECRET):
        assert secret not in caplog.text
