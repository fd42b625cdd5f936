"""What may stand between two servers: a proxy that changes answers, and one that changes bytes."""

import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_DROPPED = {"transfer-encoding", "content-encoding", "content-length", "connection", "host"}


@contextmanager
def http_proxy(target, *, replaced=(), added=None):
    """A reverse proxy's address; it replaces bytes in answers, and adds headers to requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _DROPPED}
            answer = httpx.request(
                self.command,
                f"{target}{self.path}",
                headers={**headers, **(added or {})},
                content=self.rfile.read(length),
                timeout=30,
                trust_env=False,
            )
            body = answer.content
            for old, new in replaced:
                body = body.replace(old, new)
            self.send_response_only(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _DROPPED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_DELETE = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from _served(server, f"http://127.0.0.1:{server.server_address[1]}")


@contextmanager
def redis_proxy(url, old, new):
    """The URL of a proxy to a Redis on a unix socket that replaces bytes by as many others."""
    assert len(old) == len(new)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(url.removeprefix("unix://"))
                asking = threading.Thread(
                    target=_copy, args=(self.request, upstream, b"", b""), daemon=True
                )
                asking.start()
                _copy(upstream, self.request, old, new)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with server:
        yield from _served(server, f"redis://127.0.0.1:{server.server_address[1]}/0")


def _served(server, address):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()


def _copy(source, target, old, new):
    try:
        while content := source.recv(65536):
            target.sendall(content.replace(old, new) if old else content)
    except OSError:
        pass
    finally:
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
