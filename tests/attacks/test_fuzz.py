"""Thousands of strange requests with the right credentials: each is answered, none with a 500."""

import json
import logging
import random
import re
import time
from base64 import b64encode
from collections import Counter
from dataclasses import asdict
from urllib.parse import urlencode

import pytest
from flask import request
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ml_backend.app import create_app
from ml_backend.learning.members import member_state
from ml_backend.learning.networks import build_network
from ml_backend.learning.training_settings import TrainingSettings
from ml_backend.progress.actions import ACTIONS
from ml_backend.progress.panels import PANELS
from ml_backend.store import Store

from .conftest import CURRENT, PASSWORD, SECRET, USER, connect, settings_in

CASES = 5000
LONGEST_S = 20.0
PATIENT = "Smith^John^7f3a"
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="disc"/></BrushLabels></View>'
)
BASIC = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# -- what is sent ----------------------------------------------------------------------------------

STRANGE = (
    PATIENT,
    "",
    "\0",
    "\ud800",
    "\u202e",
    "../../etc/passwd",
    "/data/upload/1/a.png",
    "http://[::1",
    "http://169.254.169.254/latest",
    "file:///etc/passwd",
    "//evil.example/x",
    "{{7*7}}",
    "%s%n",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "1e999",
    "-1",
    "٤",
    "9" * 400,
    "a" * 3000,
    "\r\nX-Evil: 1",
    "/data/local-files/?d=../x",
    "s3://bucket/key",
    "data:image/png;base64,AAAA",
    CURRENT,
    "now",
    "yes",
    CONFIG,
    "<View>",
    "<!DOCTYPE a>",
)
NUMBERS = (0, 1, 4, 5, -1, 2**31, 2**63, 10**18, 0.5, 1e308)
texts = st.sampled_from(STRANGE) | st.text(max_size=12)
# What JSON holds without complaint, and what it does not.
readable = st.sampled_from([text for text in STRANGE if text not in ("\0", "\ud800")])
tame = st.none() | st.booleans() | st.sampled_from(NUMBERS) | readable
wild = tame | st.sampled_from((10**400, 10**4000)) | st.floats() | texts


def nested(leaves, names):
    """Values of JSON with these at their ends."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    )


def bodies_of(values, names):
    """Bodies as Label Studio sends them, with anything in any place now and then."""

    def mostly(*usual):
        return st.one_of(*[st.sampled_from(usual)] * 4, values)

    tasks = st.lists(
        st.one_of(
            *[
                st.fixed_dictionaries(
                    {"data": st.fixed_dictionaries({"image": names})},
                    optional={"id": mostly(1, 2, "3", 10**17), "annotations": values},
                )
            ]
            * 8,
            st.fixed_dictionaries({"data": values}, optional={"id": values}),
            values,
        ),
        max_size=3,
    )
    return st.fixed_dictionaries(
        {
            "project": mostly(4, 5, 5, 6, "4.1700000000", "5.17", {"id": 4}, {"id": 5}),
            "tasks": st.one_of(*[tasks] * 8, values),
            "action": mostly("ANNOTATION_CREATED", "START_TRAINING", "PROJECT_UPDATED"),
            "job": mostly("look-4", "round-4-1", "round-5-0", "look-999"),
        },
        optional={
            "label_config": mostly(CONFIG, CONFIG, CONFIG, "<View/>"),
            "schema": mostly(CONFIG, "<View/>"),
            "params": mostly(None, {"context": None}, {"context": {"result": []}}),
            "annotation": values,
            "extra_params": values,
        },
    )


tame_values, values = nested(tame, readable), nested(wild, texts)
bodies = st.one_of(*[bodies_of(tame_values, readable)] * 3, bodies_of(values, texts))
words = st.sampled_from(("4", "5", "0", "6", "99999999999999999999", "-1", "4.0", "x", "", "."))
segments = (
    words
    | st.sampled_from((*PANELS, *ACTIONS, "actions", "confirm", "pictures", "exports", "a.png"))
    | texts
)
raw_bytes = st.binary(max_size=40)
headers = st.dictionaries(
    st.sampled_from(
        (
            "HTTP_ACCEPT",
            "HTTP_AUTHORIZATION",
            "HTTP_ACCEPT_LANGUAGE",
            "HTTP_COOKIE",
            "HTTP_HOST",
            "HTTP_IF_MATCH",
            "HTTP_IF_MODIFIED_SINCE",
            "HTTP_IF_NONE_MATCH",
            "HTTP_IF_RANGE",
            "HTTP_ORIGIN",
            "HTTP_RANGE",
            "HTTP_REFERER",
            "HTTP_SEC_FETCH_SITE",
            "HTTP_X_CSRF_TOKEN",
            "HTTP_X_FORWARDED_FOR",
            "HTTP_X_FORWARDED_HOST",
            "HTTP_X_FORWARDED_PROTO",
            "HTTP_CONTENT_ENCODING",
            "REMOTE_ADDR",
        )
    ),
    st.sampled_from(
        ("text/html", "bytes=0-", "bytes=9-1,-5", "*", '"x"', "none", "a=b; c", "http://[", "::1")
    )
    | st.binary(max_size=12).map(
        # A server takes these three for the line's end.
        lambda b: b.translate(None, b"\r\n\0").decode("latin-1")
    ),
    max_size=2,
)
KINDS = (
    "application/json",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "",
)
FIELDS = (
    "k",
    "K",
    "target_mean_iou",
    "label_budget",
    "hold_drafts_back",
    "pseudonymous",
    "version",
    "as",
    "format",
    "include",
    "days",
    "csrf",
    "next",
    "user",
    "password",
)
FORM_VALUES = ("1", "8", "48", "0.5", "nan", "inf", "-1", "yes", "png", "coco", "annotations", "7")
forms = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(FORM_VALUES) | texts, max_size=4)


def encoded(form):
    return urlencode(form, errors="replace").encode()


def damaged(content, seed):
    """The same bytes with a few of them cut, doubled or replaced; seed 0 leaves them alone."""
    chance = random.Random(seed)
    pieces = bytearray(content)
    for _ in range(seed % 4):
        at = chance.randrange(len(pieces) + 1)
        much = chance.randrange(8)
        if chance.random() < 0.5:
            del pieces[at : at + much]
        else:
            pieces[at:at] = chance.choice((b'"', b"[", b"}", b"\xff", b"1e999", b"\\u0000", b"NaN"))
    return bytes(pieces)


methods = st.sampled_from(("GET", "POST") * 5 + ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"))
json_calls = st.builds(
    lambda path, body, seed, more: (
        "POST",
        path,
        "",
        damaged(json.dumps(body).encode(), seed),
        "application/json",
        more,
    ),
    st.sampled_from(("/setup", "/predict", "/predict", "/webhook", "/job_status")),
    bodies,
    st.integers(0, 400).map(lambda n: n if n > 200 else 0),
    headers,
)
raw_calls = st.tuples(
    methods,
    st.sampled_from(("/setup", "/predict", "/webhook", "/job_status", "/metrics", "/", "/sign-in")),
    forms.map(lambda form: encoded(form).decode()) | st.just("job=look-4"),
    raw_bytes | values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(KINDS),
    headers,
)
page_calls = st.tuples(
    methods,
    st.lists(segments, max_size=3)
    .map("/".join)
    .flatmap(
        lambda rest: st.sampled_from(
            (
                f"/progress/{rest}",
                f"/progress/4/{rest}",
                f"/api/progress/{rest}",
                f"/api/progress/4/{rest}",
                f"/view/{rest}",
                f"/progress/static/{rest}",
                f"/{rest}",
            )
        )
    ),
    forms.map(lambda form: encoded(form).decode()),
    forms.map(encoded) | raw_bytes,
    st.sampled_from(KINDS),
    headers,
)
panel_calls = st.builds(
    lambda number, name, query, more: (
        "GET",
        f"/api/progress/{number}{name}",
        query,
        b"",
        "",
        more,
    ),
    st.sampled_from((4, 5, 6, 0, 10**17)),
    st.sampled_from(("", *(f"/{name}" for name in PANELS))),
    forms.map(lambda form: encoded(form).decode()),
    headers,
)
action_calls = st.builds(
    lambda method, number, kind, name, form, more: (
        method,
        f"/progress/{number}/{kind}/{name}",
        encoded(form).decode() if kind == "confirm" else "",
        encoded(form),
        "application/x-www-form-urlencoded",
        more,
    ),
    st.sampled_from(("POST", "POST", "GET")),
    st.sampled_from((4, 4, 5, 6)),
    st.sampled_from(("actions", "actions", "confirm")),
    st.sampled_from(tuple(ACTIONS)),
    forms,
    st.just({}) | headers,
)
metrics_calls = st.tuples(
    st.sampled_from(("GET", "HEAD")),
    st.just("/metrics"),
    st.just(""),
    st.just(b""),
    st.just(""),
    headers,
)
calls = st.one_of(json_calls, json_calls, raw_calls, page_calls, panel_calls, action_calls)

# -- whom it is sent to ----------------------------------------------------------------------------


class Told(logging.Handler):
    """All that is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def app(redis_url, tmp_path_factory):
    """A backend with two projects: one before its first training, one with a committee."""
    chosen = settings_in(tmp_path_factory.mktemp("fuzz"), redis_url)
    store = connect(chosen)
    training = TrainingSettings(members=2, width=4, scales=2, side_px=16, steps=1, device="cpu")
    states = [member_state(build_network("fcn", 1, 2, 4, 2)) for _ in range(2)]
    learnt = Store(chosen.store_root, 5)
    learnt.publish(CURRENT, states, {**store.metadata(CURRENT), "training": asdict(training)})
    learnt.point_to(CURRENT)
    return create_app(chosen)


@pytest.fixture(scope="module")
def told():
    """All that is logged from INFO up, as where the backend runs: under pytest it is less."""
    root, handler = logging.getLogger(), Told()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.setLevel(before)
    root.removeHandler(handler)


class Tally:
    """What was asked, and how it was answered; what was told must not name the patient."""

    def __init__(self, app, told):
        self.client, self.told = app.test_client(), told
        self.statuses, self.slowest_s = Counter(), 0.0

    def ask(self, method, path, query, content, kind, more):
        began = time.monotonic()
        environ = {
            "HTTP_AUTHORIZATION": BASIC,
            "HTTP_X_QUORUM_SECRET": SECRET,
            "PATH_INFO": path.encode(errors="replace").decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": kind,
            **more,
        }
        answer = self.client.open(method=method, data=content, environ_overrides=environ)
        took_s = time.monotonic() - began
        self.slowest_s = max(self.slowest_s, took_s)
        self.statuses[answer.status_code] += 1
        text = answer.get_data(as_text=True)
        assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, text)
        assert "Traceback" not in text and 'File "' not in text
        assert took_s < LONGEST_S
        if answer.mimetype == "application/json" and method != "HEAD" and text:
            json.loads(text, parse_constant=pytest.fail)
        if answer.status_code >= 400:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def check_told(self):
        """The patient's name stands nowhere in the log."""
        assert not [line for line in self.told if PATIENT in line], "the patient's name is told"


@pytest.fixture(scope="module")
def tally(app, told):
    return Tally(app, told)


def few(count):
    """The same examples each time, and no more than these."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow
def test_every_strange_request_is_answered_and_none_with_a_500(tally, told):
    @few(CASES)
    @given(calls)
    def ask(call):
        tally.ask(*call)

    @few(100)
    @given(metrics_calls)
    def ask_for_metrics(call):
        tally.ask(*call)

    ask()
    ask_for_metrics()
    asked = sum(tally.statuses.values())
    print(f"{asked} cases, slowest {tally.slowest_s:.2f} s, {dict(tally.statuses.most_common())}")
    assert asked >= CASES
    # Were all refused at the door, nothing behind it would have been tried.
    assert tally.statuses[200] + tally.statuses[201] > CASES / 10
    # Looks, and images asked for. How many varies: Hypothesis draws constants of our sources, too.
    assert tally.statuses[201] > 20 and tally.statuses[503] > 10
    assert {400, 404, 422} <= set(tally.statuses)
    assert told  # at INFO, or nothing could be found in it
    tally.check_told()


def test_what_is_told_at_info_is_seen(tally, told):
    """One who signs in, which is told at INFO and at no other level."""
    page = tally.client.get("/sign-in").text
    token = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    form = {"user": USER, "password": PASSWORD, "csrf": token}
    assert tally.client.post("/sign-in", data=form).status_code == 303
    assert [line for line in told if line.startswith("sign-in from")]


@pytest.fixture
def careless(backend_settings, connected, told):
    """A backend with bugs, as they might be made one day, at one of its addresses."""

    def with_bug(address, bug):
        app = create_app(backend_settings)
        view = app.view_functions[address]

        def broken():
            bug(request.get_data(as_text=True))
            return view()

        app.view_functions[address] = broken
        return Tally(app, told)

    yield with_bug
    told.clear()  # the bugs' words are no other test's


def fail(body):
    """A bug that a request meets."""
    raise KeyError(body)


def log_at(level):
    """A bug that tells what was sent."""
    return lambda body: logging.getLogger("ml_backend.careless").log(level, "cannot read %s", body)


few_json_calls = st.builds(
    lambda path, name: ("POST", path, "", json.dumps({"job": name}).encode(), "application/json"),
    st.sampled_from(("/setup", "/predict", "/webhook", "/job_status")),
    st.sampled_from((PATIENT, "look-4")),
).map(lambda call: (*call, {}))


def ask_a_few(tally):
    @few(60)
    @given(few_json_calls)
    def ask(call):
        tally.ask(*call)

    ask()
    tally.check_told()


@pytest.mark.parametrize("address", ["setup", "predict", "webhook", "job_status"])
def test_a_bug_that_answers_500_would_be_found(careless, address):
    with pytest.raises(AssertionError, match="500"):
        ask_a_few(careless(address, fail))


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_a_bug_that_tells_a_patients_name_would_be_found(careless, level):
    with pytest.raises(AssertionError, match="the patient's name is told"):
        ask_a_few(careless("predict", log_at(level)))


def test_without_a_bug_the_same_requests_find_nothing(careless):
    ask_a_few(careless("predict", lambda body: None))
