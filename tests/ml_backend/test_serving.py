"""The backend's server as it is started, and clients that would keep it from others."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from launcher import CLONE
from launcher.processes import free_port
from ml_backend import serving
from ml_backend.settings import SettingsError

THREADS = serving.THREADS
MIB = 2**20
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n\r\n"
CANARY = "CANARY^PATIENT"

# A WSGI application for what the backend does not do on purpose.
PROGRAM = """
import sys, time
from ml_backend import serving
from ml_backend.serving import Limits

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"UP"
    if path in ("/slow", "/predict"):
        print("begun", file=sys.stderr, flush=True)
        time.sleep(float(environ["QUERY_STRING"]))
    elif path == "/length":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/who":
        body = " ".join(
            environ.get(name, "-")
            for name in ("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST")
        ).encode()
    elif path == "/fails":
        raise ValueError("CANARY^PATIENT")
    elif path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(environ["QUERY_STRING"], "rb"))
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (bytes(65536) for _ in range(10000))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

sys.exit(serving.main(make=lambda: app, limits=Limits(%s)))
"""


@contextmanager
def started(folder, *program, bind=None, **variables):
    """A server's process: its port, log and whether it answers."""
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")},
        "PYTHONPATH": str(CLONE),
        "QUORUM_DATA_DIR": str(folder),
        "QUORUM_REDIS_URL": f"unix://{folder}/none.sock",
        "QUORUM_BASIC_AUTH_USER": "quorum",
        "QUORUM_BASIC_AUTH_PASSWORD": "x" * 20,
        "QUORUM_WEBHOOK_SECRET": "y" * 20,
        **({"QUORUM_BIND": bind % port} if bind else {}),
        **variables,
    }
    program = program or ("-m", "ml_backend.serving")
    where = [] if bind else ["--port", str(port)]
    path = Path(folder) / "log"
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *program, *where], env=environment, stdout=log, stderr=log
        )
    try:
        limit = time.monotonic() + 90
        while not is_up(port):
            assert time.monotonic() < limit and process.poll() is None, path.read_text()
            time.sleep(0.1)
        yield SimpleNamespace(port=port, process=process, log=path)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def is_up(port, timeout_s=3, host="127.0.0.1"):
    with suppress(OSError):
        url = f"http://{host}:{port}/health"
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return bool(reply.status == 200)
    return False


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """The product as it is started; it needs no Redis for what is asked of it here."""
    with started(tmp_path_factory.mktemp("backend")) as server:
        yield server


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same server around the tests' application, and less patient."""
    limits = "head_s=1, body_s=2, answer_s=2, linger_s=0.5, stop_s=5"
    with started(tmp_path_factory.mktemp("other"), "-c", PROGRAM % limits) as server:
        yield server


@pytest.fixture
def own(tmp_path):
    """A server that a test may stop."""
    with started(tmp_path, "-c", PROGRAM % "stop_s=5") as server:
        yield server


def client(port, receives=None):
    each = socket.socket()
    each.settimeout(15)
    if receives:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    each.connect(("127.0.0.1", port))
    return each


@contextmanager
def clients(port, count, sent, receives=None):
    opened = []
    try:
        for _ in range(count):
            opened.append(client(port, receives))
            opened[-1].setblocking(False)
            with suppress(BlockingIOError):
                opened[-1].send(sent)
        time.sleep(0.5)  # until the server has seen them
        yield opened
    finally:
        for each in opened:
            each.close()


def everything(connection):
    """What is sent until the server ends the connection."""
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def files_of(server):
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


FORM = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
STATIC = b"GET /progress/static/page.css HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST % b"predict" + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("count", "sent", "receives"),
    [
        (1000, b"", None),
        (100, POST % b"predict" + b"X-A: ", None),
        (100, FORM + b"Content-Length: 500\r\n\r\na=", None),
        (100, POST % b"predict" + b"Content-Length: 60000\r\n\r\na", None),
        (200, GET + CLOSE, None),
        (16, STATIC * 600, 2048),
        (16, (GET + b"\r\n") * 600, 2048),
        (8, CHUNKED + b"1;" + b"x" * MIB, None),
        (8, CHUNKED + b"1\r\n \r\n" * 100_000, None),
    ],
    ids=[
        "silent",
        "half a head",
        "half a form",
        "half a body",
        "left open",
        "nothing is read",
        "nothing is read of the little there is",
        "a chunk's head without end",
        "tiny chunks",
    ],
)
def test_others_are_answered_beside(backend, count, sent, receives):
    with clients(backend.port, count, sent, receives):
        assert [is_up(backend.port) for _ in range(3)] == [True] * 3
    assert is_up(backend.port)


def test_others_are_answered_beside_drafts_that_take_long(other):
    """Label Studio gives a webhook one second."""
    ask = b"POST /predict?4 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    with clients(other.port, 3 * serving.PREDICTING, ask):
        assert is_up(other.port, timeout_s=1)
        assert is_up(other.port, timeout_s=1)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /he",
        b"\r\n\r\n",
        POST % b"length" + b"Content-Length: 500\r\n\r\na=",
        POST % b"length" + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        GET + b"\r\n",
        GET + CLOSE,
    ],
    ids=[
        "silent",
        "half a head",
        "blank lines",
        "half a body",
        "half a chunk",
        "idle",
        "left open",
    ],
)
def test_who_does_not_go_on_is_left(other, sent):
    before = files_of(other)
    with client(other.port) as waits:
        waits.sendall(sent)
        began = time.monotonic()
        everything(waits)
        with pytest.raises(OSError):
            for _ in range(200):  # not only half of the connection is closed
                waits.sendall(b"x" * 1000)
                time.sleep(0.05)
        assert time.monotonic() - began < 10
    eventually(lambda: files_of(other) <= before)


def eventually(condition, timeout_s=10):
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.parametrize("path", [b"/stream", b"/file?%s"], ids=["stream", "file"])
def test_who_does_not_read_is_left_and_holds_no_thread(other, tmp_path, path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(300 * MIB)
    before = files_of(other)
    ask = b"GET " + (path % bytes(large) if b"%s" in path else path) + b" HTTP/1.1\r\n\r\n"
    with clients(other.port, 2 * THREADS, ask, receives=4096):
        if path != b"/stream":
            assert is_up(other.port)  # a file is sent from the loop
        eventually(lambda: files_of(other) <= before, 20)
        assert is_up(other.port)


def test_a_large_file_is_sent_with_little_memory_and_others_beside_it(other, tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        for number in range(300):
            file.write(bytes([number % 251]) * MIB)
    status = Path(f"/proc/{other.process.pid}/status")

    def peak_kib():
        return int(status.read_text().split("VmHWM:")[1].split()[0])

    before, taken = peak_kib(), 0
    with httpx.stream("GET", f"http://127.0.0.1:{other.port}/file?{large}") as reply:
        for number, part in enumerate(reply.iter_bytes(MIB)):
            assert part == bytes([number % 251]) * MIB
            taken += len(part)
            if number == 100:
                assert is_up(other.port)
    assert taken == 300 * MIB
    assert peak_kib() - before < 40 * 1024


def test_when_there_is_no_room_the_newest_is_still_answered(tmp_path):
    with (
        started(tmp_path, "-c", PROGRAM % "connections=20, head_s=60") as server,
        clients(server.port, 1, GET) as (early,),
        clients(server.port, 19, GET),
    ):
        assert [is_up(server.port) for _ in range(3)] == [True] * 3
        assert everything(early) == b""  # who has waited longest had to go


def test_room_is_made_by_the_address_that_has_the_most_connections(tmp_path):
    limits = "connections=20, head_s=60"
    with started(tmp_path, "-c", PROGRAM % limits) as server, client(server.port) as early:
        early.sendall(GET)
        others = [
            socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.2", 0))
            for _ in range(40)
        ]
        time.sleep(0.5)
        early.sendall(CLOSE)
        assert everything(early).endswith(b"UP")
        for each in others:
            each.close()


def test_bodies_that_are_not_complete_take_a_bounded_place(tmp_path):
    with started(tmp_path, "-c", PROGRAM % "bodies_bytes=4_000_000") as server:
        sent = POST % b"length" + b"Content-Length: 9000000\r\n\r\n"
        with client(server.port) as small, client(server.port) as large:
            small.sendall(sent + b"x" * MIB)
            large.sendall(sent + b"x" * 5 * MIB)
            assert everything_or_reset(large) == b""
            small.settimeout(0.5)
            with pytest.raises(TimeoutError):
                small.recv(1)


def everything_or_reset(connection):
    with suppress(ConnectionResetError):
        return everything(connection)
    return b""


def test_files_are_given_back_after_many_were_dropped(backend):
    before = files_of(backend)
    for sent in (b"", GET, POST % b"predict" + b"Content-Length: 900000\r\n\r\n" + b"x" * 600_000):
        with clients(backend.port, 167, sent):
            pass
    eventually(lambda: files_of(backend) <= before)


def test_a_head_that_comes_in_pieces_is_answered(backend):
    with client(backend.port) as slow:
        for piece in (
            b"GET /hea",
            b"lth HTTP/1.1\r\nHo",
            b"st: x\r\nConnection: close\r\n",
            b"\r\n",
        ):
            slow.sendall(piece)
            time.sleep(0.2)
        assert b"200 OK" in everything(slow)


def test_a_connection_is_kept_for_more_questions(backend):
    with httpx.Client(base_url=f"http://127.0.0.1:{backend.port}", trust_env=False) as kept:
        first = kept.get("/health").extensions["network_stream"].get_extra_info("client_addr")
        second = kept.get("/health").extensions["network_stream"].get_extra_info("client_addr")
    assert first == second


def test_questions_sent_ahead_are_answered_in_turn(other):
    asked = b"".join(
        POST % b"length" + b"Content-Length: %d\r\n\r\n" % n + b"x" * n for n in range(300)
    )
    with client(other.port) as ahead:
        threading.Thread(target=ahead.sendall, args=(asked + GET + CLOSE,)).start()
        bodies = [part.partition(b"\r\n\r\n")[2] for part in everything(ahead).split(b"HTTP/1.1 ")]
    assert bodies[1:] == [b"%d" % n for n in range(300)] + [b"UP"]


def test_chunked_bodies_are_taken(other):
    parts = [b"x" * n for n in (1, 70_000, 3, MIB)]
    reply = httpx.post(f"http://127.0.0.1:{other.port}/length", content=iter(parts))
    assert reply.text == str(sum(map(len, parts)))


def test_who_waits_to_be_told_to_send_a_body_is_told(other):
    with client(other.port) as asks:
        asks.sendall(POST % b"length" + b"Content-Length: 5\r\nExpect: 100-continue\r\n" + CLOSE)
        assert asks.recv(100).startswith(b"HTTP/1.1 100 Continue")
        asks.sendall(b"12345")
        assert everything(asks).endswith(b"\r\n\r\n5")


def test_64_mib_are_taken_and_a_byte_more_is_refused_without_a_reset(other):
    url = f"http://127.0.0.1:{other.port}/length"
    assert httpx.post(url, content=b"x" * 64 * MIB, timeout=60).text == str(64 * MIB)
    reply = httpx.post(url, content=b"x" * (64 * MIB + 1), timeout=60)
    assert reply.status_code == 413
    assert reply.json() == {"error": "the body is larger than 64 MiB: send fewer tasks at once"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 20_000), 431),
        (b"GET / HTTP/1.1\r\nX: %s\r\n\r\n" % (b"a" * 20_000), 431),
        (b"GET / HTTP/1.1\r\n%s: a\rb\r\n\r\n" % CANARY.encode(), 400),
        (POST % b"length" + b"Content-Length: -1\r\n\r\n", 400),
        (POST % b"length" + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST % b"length" + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /fails HTTP/1.1\r\n\r\n", 500),
    ],
    ids=["long line", "long header", "bare CR", "length", "encoding", "chunk", "application"],
)
def test_what_the_server_refuses_itself_it_says_as_the_application_does(other, sent, status):
    with client(other.port) as asks:
        asks.sendall(sent)
        head, _, body = everything(asks).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    assert list(json.loads(body)) == ["error"]
    assert CANARY not in body.decode() and CANARY not in other.log.read_text()


def test_the_clients_address_is_the_connections_and_forwarded_headers_are_left_alone(other):
    headers = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Host": "example.org"}
    reply = httpx.get(f"http://127.0.0.1:{other.port}/who", headers=headers)
    assert reply.text == "127.0.0.1 192.0.2.9 example.org"


def test_at_any_ipv6_address_ipv4_is_answered_too_under_its_own_name(tmp_path):
    with started(tmp_path, "-c", PROGRAM % "", bind="[::]:%d") as server:
        assert is_up(server.port, host="[::1]")
        assert httpx.get(f"http://127.0.0.1:{server.port}/who").text == "127.0.0.1 - -"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_what_is_under_way_and_nothing_new_is_taken(own, number):
    with client(own.port) as works, client(own.port) as sends, client(own.port) as idle:
        works.sendall(b"GET /slow?1.5 HTTP/1.1\r\n\r\n")
        sends.sendall(POST % b"length" + b"Content-Length: 4\r\n\r\nab")
        eventually(lambda: "begun" in own.log.read_text())
        own.process.send_signal(number)
        assert everything(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            client(own.port)
        sends.sendall(b"cd")
        for connection, body in ((sends, b"4"), (works, b"UP")):
            head, _, found = everything(connection).partition(b"\r\n\r\n")
            assert (head[:15], found) == (b"HTTP/1.1 200 OK", body)
            assert b"Connection: close" in head
    assert own.process.wait(5) == 0
    assert "Traceback" not in own.log.read_text()


def test_what_does_not_end_in_time_is_left_and_the_exit_is_orderly(tmp_path):
    with started(tmp_path, "-c", PROGRAM % "stop_s=1") as server, client(server.port) as works:
        works.sendall(b"GET /slow?60 HTTP/1.1\r\n\r\n")
        eventually(lambda: "begun" in server.log.read_text())
        server.process.terminate()
        assert server.process.wait(5) == 0


def test_a_second_signal_ends_it_at_once(own):
    with client(own.port) as works:
        works.sendall(b"GET /slow?60 HTTP/1.1\r\n\r\n")
        eventually(lambda: "begun" in own.log.read_text())
        own.process.terminate()
        time.sleep(0.5)
        assert own.process.poll() is None
        own.process.terminate()
        assert own.process.wait(3) == 128 + signal.SIGTERM


def refused(capsys, *argv):
    status = serving.main(argv, make=lambda: None)
    return status, capsys.readouterr().err.splitlines()


def test_a_port_in_use_is_told_on_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = refused(capsys, "--port", str(port))
    assert status == 2
    assert lines == [
        f"nothing can listen at 127.0.0.1 port {port} (Address already in use): choose another "
        "with --host and --port, or QUORUM_BIND"
    ]


@pytest.mark.parametrize("bind", ["9090", ":9090", "::1:9090", "0.0.0.0:", "a:70000", "a:-1"])
def test_an_address_that_is_none_is_refused(capsys, monkeypatch, bind):
    with pytest.raises(SettingsError, match="must be HOST:PORT"):
        serving.address_of(bind)
    monkeypatch.setenv("QUORUM_BIND", bind)
    status, lines = refused(capsys)
    assert (status, len(lines)) == (2, 1)


def test_settings_that_are_refused_are_told_on_one_line(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")}
    done = subprocess.run(
        [sys.executable, "-m", "ml_backend.serving", "--port", str(free_port())],
        env={**environment, "PYTHONPATH": str(CLONE), "QUORUM_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "QUORUM_BASIC_AUTH" in done.stderr
