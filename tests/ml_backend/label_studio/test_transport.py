"""What is tried again and what is not, against a server that fails as it is told."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from launcher.processes import free_port
from ml_backend.label_studio import LabelStudio, LabelStudioDown, LabelStudioError

LOCKED = (500, {"detail": "database is locked"})


@pytest.mark.parametrize("failure", [(502, {}), (503, {}), (504, {}), (429, {}), LOCKED, (0, {})])
def test_reading_is_tried_again_while_label_studio_is_busy(server, label_studio, failure):
    server.answers[:] = [failure, (200, {"release": "1.23.2"})]
    assert label_studio.version() == "1.23.2"
    assert len(server.seen) == 2


@pytest.mark.parametrize("failure", [(502, {}), (503, {}), LOCKED, (0, {})])
def test_what_would_be_doubled_is_not_tried_again(server, label_studio, failure):
    server.answers[:] = [failure]
    with pytest.raises(LabelStudioError):
        label_studio.import_tasks(1, [{"data": {}}])
    assert len(server.seen) == 1


def test_a_write_refused_for_its_rate_was_not_carried_out_and_goes_again(server, label_studio):
    server.answers[:] = [(429, {}, ("Retry-After", "1")), (201, {"task_count": 1})]
    started = time.monotonic()
    assert label_studio.import_tasks(1, [{"data": {}}]) == 1
    assert time.monotonic() - started >= 0.7


def test_a_setting_is_written_again_since_twice_is_once(server, label_studio):
    server.answers[:] = [LOCKED, (0, {}), (200, {})]
    label_studio.serve_order_of(1, "r0001-aaaaaa")
    assert [method for method, _ in server.seen] == ["PATCH"] * 3


def test_an_error_that_stays_is_told_not_tried_again(server, label_studio):
    server.answers[:] = [(500, {"detail": "broken"})]
    with pytest.raises(LabelStudioError, match=r"HTTP 500 \(broken\)"):
        label_studio.version()
    assert len(server.seen) == 1


def test_trying_again_ends(server, label_studio):
    server.answers[:] = [(503, {})] * 50
    started = time.monotonic()
    with pytest.raises(LabelStudioError, match="HTTP 503"):
        label_studio.version()
    assert time.monotonic() - started < 2.6
    assert 2 <= len(server.seen) <= 6


def test_a_server_that_comes_back_is_found_again():
    port = free_port()
    found = []

    def ask():
        with LabelStudio(f"http://127.0.0.1:{port}", "t" * 40) as connection:
            found.append(connection.import_tasks(1, []))  # never sent: nothing can be doubled

    class Late(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(201)
            self.send_header("Content-Length", "16")
            self.end_headers()
            self.wfile.write(b'{"task_count":0}')

        def log_message(self, *_):
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    with ThreadingHTTPServer(("127.0.0.1", port), Late) as httpd:
        serving = threading.Thread(target=httpd.serve_forever)
        serving.start()
        asking.join(20)
        httpd.shutdown()
        serving.join()
    assert found == [0]


def test_a_dead_server_is_told_after_its_time():
    with (
        LabelStudio(f"http://127.0.0.1:{free_port()}", "t" * 40, patience_s=0.5) as connection,
        pytest.raises(LabelStudioDown, match="cannot be reached"),
    ):
        connection.version()


def test_an_image_is_read_again_when_its_transfer_breaks(server, label_studio):
    server.answers[:] = [(0, {}), LOCKED, (200, b"PNG")]
    assert label_studio.image("/data/a.png") == b"PNG"
    with pytest.raises(LabelStudioError, match="not served by Label Studio"):
        label_studio.image("http://elsewhere.example/a.png")
    server.answers[:] = [(404, {})]
    with pytest.raises(LabelStudioError, match="gone or refused"):
        label_studio.image("/data/a.png")


def test_an_address_that_nothing_can_be_sent_to_is_told_at_once():
    started = time.monotonic()
    with (
        LabelStudio("label-studio:8080", "t" * 40) as connection,
        pytest.raises(LabelStudioDown, match="check LABEL_STUDIO_URL"),
    ):
        connection.version()
    assert time.monotonic() - started < 2
