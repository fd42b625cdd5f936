"""A server that answers as it is told, and a connection to it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ml_backend.label_studio import LabelStudio


@pytest.fixture
def server():
    """Answers with the statuses in `answers`, one a request, then with 200; notes what it got."""

    class Failing(BaseHTTPRequestHandler):
        answers, seen, authorized = [], [], []

        def respond(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.seen.append((self.command, self.path))
            self.authorized.append(self.headers.get("Authorization"))
            status, body, *headers = self.answers.pop(0) if self.answers else (200, {})
            if status == 0:  # cut the connection
                self.close_connection = True
                return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = respond

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    Failing.url = f"http://127.0.0.1:{httpd.server_port}"
    try:
        yield Failing
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.fixture
def label_studio(server):
    with LabelStudio(server.url, "t" * 40, patience_s=2.5) as connection:
        yield connection
