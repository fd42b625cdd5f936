"""A server that answers as Label Studio does about projects and their tasks, and nothing more.

The real one does the same in tests/live; here two of them are wanted in a moment.
"""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Projects(dict):
    """Each project's tasks' data."""

    refuses = False  # as with a token that has expired


@contextlib.contextmanager
def projects_server(*ids, port=0):
    """Its port, and its projects."""
    projects = Projects({number: [] for number in ids})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            if projects.refuses:
                self.answer({}, 401)
            elif parts.path == "/api/tasks":
                tasks = projects[int(parse_qs(parts.query)["project"][0])]
                listed = [{"id": n, "data": data} for n, data in enumerate(tasks, start=1)]
                self.answer({"tasks": listed, "total": len(listed)})
            else:
                self.answer({}, 200 if int(parts.path.split("/")[3]) in projects else 404)

        def do_POST(self):
            tasks = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            projects[int(self.path.split("/")[3])] += [task["data"] for task in tasks]
            self.answer({"task_count": len(tasks)}, 201)

        def answer(self, content, status=200):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port, projects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
