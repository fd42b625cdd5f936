"""Lists of projects that do not fit into one page."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ml_backend.label_studio import LabelStudio


@pytest.fixture
def projects():
    """Titles by project id, listed as Label Studio lists them: 100 a page at most, newest first."""
    titles = {}

    class Listing(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = {k: v[-1] for k, v in parse_qs(urlsplit(self.path).query).items()}
            sought = asked.get("title", "").lower()
            found = [n for n in sorted(titles, reverse=True) if sought in titles[n].lower()]
            size, page = min(int(asked["page_size"]), 100), int(asked.get("page", 1))
            listed = found[(page - 1) * size : page * size]
            more = f"{self.path}&page={page + 1}" if page * size < len(found) else None
            content = json.dumps(
                {
                    "count": len(found),
                    "next": more,
                    "results": [{"id": n, "title": titles[n]} for n in listed],
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listing) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{httpd.server_port}"
        with LabelStudio(address, "t" * 40) as connection:
            yield titles, connection
        httpd.shutdown()
        thread.join()


def test_every_project_is_seen_however_many_there_are(projects):
    titles, connection = projects
    titles |= {number: f"project {number}" for number in range(1, 251)}
    assert sorted(connection.project_ids()) == list(range(1, 251))
    assert connection.project_titled("project 1") == 1
    assert connection.project_titled("project 251") is None


def test_the_oldest_project_of_a_title_is_found_among_like_ones(projects):
    titles, connection = projects
    titles |= dict.fromkeys(range(3, 150), "Images of the Liver")
    titles |= {1: "images of the liver", 2: "Images of the Liver, again"}
    assert connection.project_titled("Images of the Liver") == 3
