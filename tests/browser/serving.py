"""The backend over HTTP in this process, and Debian's Chromium to look at it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable")


class NoChromium(RuntimeError):
    """There is no Chromium on PATH; the message says how to get one."""


class _Quiet(WSGIRequestHandler):
    def log_request(self, *arguments: object) -> None:
        pass


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The backend's address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; Playwright's own builds are never fetched. Raises NoChromium."""
    path = next((found for found in map(shutil.which, _NAMES) if found), None)
    if path is None:
        raise NoChromium("Chromium is needed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        # Containers have no user namespaces, which the sandbox needs.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
