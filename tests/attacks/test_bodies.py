"""Bodies that are too large, too deep, broken or full of surprises: a clear 4xx each time."""

import http.client
import json
import socket
import time
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from ml_backend import bodies
from ml_backend.app import create_app

from .conftest import PASSWORD, PROJECT, USER, connect, settings_in
from .serving import served

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="disc"/></BrushLabels></View>'
)
PATIENT = "Smith^John"
PATHS = ("/setup", "/predict", "/webhook", "/job_status")
BASIC = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MIB = 2**20


@pytest.fixture(scope="module")
def backend(redis_url, tmp_path_factory):
    """One for all: what is refused changes nothing."""
    settings = settings_in(tmp_path_factory.mktemp("bodies"), redis_url)
    connect(settings)
    return create_app(settings)


@pytest.fixture
def post(backend, caplog):
    """Send a body with the right credentials; what comes back quotes none of it, nor does a log."""
    client = backend.test_client()

    def send(path, content, content_type="application/json", **more):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        answer = client.post(
            path, data=content, content_type=content_type, auth=(USER, PASSWORD), **more
        )
        assert PATIENT not in answer.text + caplog.text
        assert "Traceback" not in answer.text + caplog.text
        return answer

    return send


def refused(answer, status=400):
    """Whether this is an error in words."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.mimetype == "application/json" and answer.json["error"]
    return answer.json["error"]


def within(text):
    """A body for every address, with a piece of text at a place that nobody reads."""
    head = f'{{"project": {PROJECT}, "action": "TASKS_CREATED", "tasks": [], "job": "look-4"'
    return f'{head}, "name": "{PATIENT}", "x": {text}}}'.encode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested deeper than 64"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "nested deeper than 64"),
        ("[" * 63 + '"' + "[" * 9, "no JSON"),
        ("NaN", "NaN"),
        ("-Infinity", "NaN or Infinity"),
        ("1e999", "too large"),
        ("-1E400", "too large"),
        ("1" * 5000, "too many digits"),
        ('{"a": 1, "a": 2}', "twice"),
        (r'"\u0000"', "NUL"),
        (r'{"\u0000": 1}', "NUL"),
        (r'"\ud800"', "half a character"),
        (r'["\udfff x"]', "half a character"),
        ("01", "no JSON"),
        ("'a'", "no JSON"),
        ("1,", "no JSON"),
        ("// x\n1", "no JSON"),
        ('"a\nb"', "no JSON"),
    ],
)
def test_a_broken_body_is_told_what_is_wrong_with_it(post, path, text, words):
    assert words in refused(post(path, within(text)))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b" ",
        b"\xff\xfe{\x00}\x00",
        within('"x"').replace(b"Smith", b"Sm\xefth"),
        "\ufeff{}".encode(),
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"\x1f\x8b\x08\x00" + b"\0" * 20,
        b'{"a": "' + b'\\"' * 50_000,
    ],
)
def test_what_is_no_json_object_in_utf_8_is_refused(post, path, content):
    refused(post(path, content))


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_a_body_that_is_not_said_to_be_json_is_refused(post, path):
    for kind in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert "application/json" in refused(post(path, within("1"), content_type=kind), 415)
    assert post(path, b"", content_type=None).status_code == 415
    refused(post(path, b""))


def test_what_json_allows_is_taken(post):
    nested = "[" * 63 + "]" * 63
    for text in (
        nested,
        r'"\ud83d\ude00 \\u0000"',
        '"[[[[" ',
        '{"a": {"a": 1}}',
        "1" * 4000,
        "-0.0",
    ):
        assert post("/webhook", within(text)).status_code == 201, text
    kind = "application/json; charset=utf-8"
    assert post("/webhook", within("1"), content_type=kind).status_code == 201


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 30 * MIB,
        b'{"a":' * 6 * MIB,
        b'"\\' * 10 * MIB,
        b'{"a": [' + b'"\\"",' * 4 * MIB,
        b'["' + b'"' * 20 * MIB,
    ],
    ids=["lists", "objects", "escapes", "texts", "quotes"],
)
def test_a_hostile_body_takes_seconds_at_most(content):
    began = time.monotonic()
    with pytest.raises(bodies.BadRequest):
        bodies.parse_object(content)
    assert time.monotonic() - began < 20


def test_a_million_empty_lists_are_refused_before_anything_is_made_of_them(post):
    error = refused(post("/webhook", within("[" + "[]," * 1_000_001 + "1]")), 413)
    assert "1,000,000 lists and objects" in error


# -- sizes -----------------------------------------------------------------------------------------


def test_a_body_of_more_than_64_mib_is_refused_unread(backend):
    with served(backend) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=10) as raw:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {65 * MIB}\r\n\r\n"
            raw.sendall(head.encode())
            answer = http.client.HTTPResponse(raw)
            answer.begin()
            assert answer.status == 413
            assert "64 MiB" in json.loads(answer.read())["error"]


def test_one_that_does_not_say_its_length_is_refused_when_it_is_too_long(backend, monkeypatch):
    monkeypatch.setitem(backend.config, "MAX_CONTENT_LENGTH", MIB)
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", MIB)
    pieces = [b"[" + b" " * 2**16] * 20
    with served(backend) as address:
        place = urlsplit(address)
        caller = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        headers = {"Authorization": BASIC, "Content-Type": "application/json"}
        caller.request("POST", "/predict", iter(pieces), headers, encode_chunked=True)
        answer = caller.getresponse()
        assert answer.status == 413 and "1 MiB" in json.loads(answer.read())["error"]
        caller.close()


def test_a_stranger_s_body_is_not_read_at_all(backend):
    with served(backend) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=10) as raw:
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
            answer = http.client.HTTPResponse(raw)
            answer.begin()
            assert answer.status == 401


# -- fields ----------------------------------------------------------------------------------------

NO_PROJECTS = [
    None,
    "",
    0,
    -1,
    -4,
    True,
    4.0,
    10**18,
    10**30,
    10**400,
    "0",
    "-4",
    "+4",
    " 4",
    "4 ",
    "4\n",
    "4_0",
    "٤",
    "four",
    "4.x",
    "4/../5",
    "../4",
    "9" * 5000,
    [],
    [4],
    {},
    {"id": None},
    {"id": {"id": 4}},
    {"id": "../4"},
    {"id": True},
    {"id": [4]},
    {"id": 1e18},
]


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize("project", NO_PROJECTS, ids=lambda value: repr(value)[:20])
def test_what_is_no_project_s_number_is_refused(post, path, project):
    body = {"project": project, "action": "TASKS_CREATED", "tasks": [], "label_config": CONFIG}
    assert "'project'" in refused(post(path, body))


@pytest.mark.parametrize("project", [4, "4", "4.1700000000", "4.1700000000.123456", {"id": 4}])
def test_the_forms_that_label_studio_sends_are_taken(post, project):
    assert post("/setup", {"project": project, "schema": CONFIG}).status_code == 200


@pytest.mark.parametrize(
    "tasks",
    [
        None,
        {},
        PATIENT,
        [PATIENT],
        [None],
        [[]],
        [{"data": PATIENT}],
        [{"data": [PATIENT]}],
        [{"id": PATIENT, "data": {}}],
        [{"id": -1, "data": {}}],
        [{"id": 1.5, "data": {}}],
        [{"id": True, "data": {}}],
        [{"id": 10**18, "data": {}}],
        [{"id": [1], "data": {}}],
        [{"id": 1, "data": {}}, 2],
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_task_is_refused(post, tasks):
    body = {"project": PROJECT, "tasks": tasks, "label_config": CONFIG}
    assert "'tasks'" in refused(post("/predict", body))


def test_more_tasks_than_anybody_drafts_at_once_are_refused(post):
    body = {"project": PROJECT, "label_config": CONFIG, "tasks": [{"id": 1, "data": {}}] * 10_000}
    assert len(post("/predict", body).json["results"]) == 10_000
    body["tasks"] = body["tasks"] * 10
    assert "100,000 tasks: select 10,000 at most" in refused(post("/predict", body), 413)


@pytest.mark.parametrize("tasks", [[], [{}], [{"data": None}], [{"id": "7", "data": {}}]])
def test_tasks_may_lack_what_is_not_needed(post, tasks):
    body = {"project": PROJECT, "tasks": tasks, "label_config": CONFIG}
    assert len(post("/predict", body).json["results"]) == len(tasks)


@pytest.mark.parametrize("params", [None, 1, [], "x", {"context": PATIENT}, {"context": [1]}, {}])
def test_strange_parameters_of_interactive_tools_do_no_harm(post, params):
    body = {"project": PROJECT, "tasks": [], "label_config": CONFIG, "params": params}
    assert post("/predict", body).status_code == 200


def test_what_is_no_job_s_name_is_refused(post):
    for job in (None, 1, [], {}, "", "look-", "look-x", "round-1", "../x", "x" * 9999):
        assert "'job'" in refused(post("/job_status", {"job": job}))


def test_an_action_that_is_no_name_is_refused(post):
    for action in (None, 1, [], {}, "", "x" * 201):
        assert "'action'" in refused(post("/webhook", {"project": PROJECT, "action": action}))


# -- label configs --------------------------------------------------------------------------------

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    + "".join(f'<!ENTITY {chr(n + 1)} "{f"&{chr(n)};" * 10}">' for n in range(98, 107))
    + "]>"
)
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
HIDDEN = "<?x <!-- ?>{}<?y --> ?>"  # no comment, though it looks like one
CONFIGS = {
    "a bomb": (BOMB + CONFIG.replace("disc", "&k;"), 422),
    "a bomb behind a comment": ("<!-- -->" + BOMB + CONFIG.replace("disc", "&k;"), 422),
    "a bomb between instructions": (HIDDEN.format(BOMB) + CONFIG.replace("disc", "&k;"), 422),
    "a file between instructions": (HIDDEN.format(FILE) + CONFIG.replace("disc", "&x;"), 422),
    "an empty doctype": ("<!DOCTYPE View>" + CONFIG, 422),
    "a file": (FILE + CONFIG.replace("disc", "&x;"), 422),
    "an entity of nobody": (CONFIG.replace("disc", "&nobody;"), 422),
    "another encoding": ('<?xml version="1.0" encoding="UTF-7"?>' + CONFIG, 200),
    "no encoding": ('<?xml version="1.0" encoding="none-such"?>' + CONFIG, 200),
    "10 MB": ("<View>" + "x" * 10_000_000 + "</View>", 413),
    "deep": ("<a>" * 60_000 + "</a>" * 60_000, 422),
    "deep and open": ("<a>" * 200_000, 422),
    "wide": ("<View>" + "<a/>" * 100_000 + "</View>", 422),
    "many attributes": ("<View " + " ".join(f'a{n}=""' for n in range(90_000)) + "/>", 422),
    "many labels": (
        CONFIG.replace("<Label", "".join(f'<Label value="{n}"/>' for n in range(300)) + "<Label"),
        422,
    ),
    "a number": (17, 400),
    "a list": ([CONFIG], 400),
    "an object": ({"xml": CONFIG}, 400),
    "no XML": (PATIENT, 422),
    "a control character": (CONFIG + "\x01", 422),
    "a foreign namespace": (CONFIG.replace("<View>", '<View xmlns="x">'), 422),
    "a prefix of nobody": (CONFIG.replace("<View>", "<x:View>"), 422),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_hostile_label_config_is_refused_in_words_and_soon(post, what):
    config, status = CONFIGS[what]
    began = time.monotonic()
    for path, name in (("/setup", "schema"), ("/predict", "label_config")):
        answer = post(path, {"project": PROJECT, "tasks": [], name: config})
        if status == 200:
            assert answer.status_code == 200
        else:
            refused(answer, status)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/progress/4/actions/train"])
def test_a_form_that_does_not_tell_its_length_is_not_read(backend, path):
    answer = backend.test_client().post(path, headers={"Transfer-Encoding": "chunked"})
    assert answer.status_code == 411
