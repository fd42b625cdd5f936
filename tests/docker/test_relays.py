"""The importer's way out and the TLS proxy, with a real nginx."""

import contextlib
import datetime
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from launcher.processes import free_port, port_is_free

from .sealed import ENTRY

# Debian's nginx has its relay as a module; the image that the compose files name has it built in.
_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


class Echo(BaseHTTPRequestHandler):
    """Says who it is and what it was asked."""

    def do_GET(self):
        body = f"{self.server.name} {self.path} {self.headers.get('X-Forwarded-Proto')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(name, address="127.0.0.1", port=0):
    server = ThreadingHTTPServer((address, port), Echo)
    server.name = name
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def nginx(tmp_path):
    """Runs an entry script with nginx on PATH; waits until it listens."""
    program = os.environ.get("NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("nginx is not installed")
    module = Path(os.environ.get("NGINX_STREAM_MODULE", _MODULE))
    folder = tmp_path / "nginx"
    folder.mkdir()
    wrapper = folder / "nginx"
    # nginx -c FILE -g DIRECTIVES, with the module before the rest where there is one.
    load = f"load_module {module};\n" if module.exists() else ""
    wrapper.write_text(
        f"#!/bin/sh\n{{ printf '%s' '{load}'; cat \"$2\"; }} >\"$2.whole\"\n"
        f'exec {program} -p {folder} -e stderr -c "$2.whole" -g "$4"\n'
    )
    wrapper.chmod(0o755)
    log = tmp_path / "log"

    @contextmanager
    def run(script, port, **variables):
        environment = {"PATH": f"{folder}:/usr/bin:/bin", **variables}
        with log.open("a") as stream:
            process = subprocess.Popen(
                [ENTRY / script], env=environment, stdout=stream, stderr=stream
            )
        try:
            limit = time.monotonic() + 20
            while port_is_free(port) and time.monotonic() < limit and process.poll() is None:
                time.sleep(0.1)
            if "unknown directive" in log.read_text():
                pytest.skip("this nginx has no stream module")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(20)

    return run


@contextmanager
def naming(addresses):
    """A name server on the loopback that knows these names; "HOST:PORT" for nginx."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        ended = threading.Event()

        def answer():
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    asked, caller = server.recvfrom(512)
                    server.sendto(reply(asked, addresses), caller)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield "127.0.0.1:" + str(server.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def reply(asked, addresses):
    """The answer to one question (RFC 1035, section 4), good for ten minutes as Docker's is."""
    end = asked.index(0, 12) + 5
    question, labels, at = asked[12:end], [], 12
    while asked[at]:
        labels.append(asked[at + 1 : at + 1 + asked[at]].decode())
        at += asked[at] + 1
    found = addresses.get(".".join(labels)) if question[-4:-2] == b"\0\1" else None
    answers = 1 if found else 0
    head = asked[:2] + b"\x81\x80" + struct.pack(">4H", 1, answers, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 600, 4) + socket.inet_aton(found or "0.0.0.0")
    return head + question + record * answers


def get(url, **options):
    with httpx.Client(trust_env=False, verify=options.pop("verify", True)) as client:
        return client.get(url, **options)


def test_the_relay_leads_to_label_studio_whatever_is_asked_for(nginx, tmp_path):
    with serving("label-studio") as there, serving("elsewhere") as elsewhere:
        port = free_port()  # asked for now: what is served might have been given the same
        variables = {
            "LABEL_STUDIO_HOST": "127.0.0.1",
            "LABEL_STUDIO_PORT": str(there),
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "GATEWAY_FOLDER": str(tmp_path),
        }
        with nginx("gateway.sh", port, **variables):
            relay = f"http://127.0.0.1:{port}"
            assert get(f"{relay}/api").text.startswith("label-studio /api")
            # Neither a name in the request nor a request to go elsewhere changes where it leads.
            named = get(f"{relay}/", headers={"Host": f"127.0.0.1:{elsewhere}"})
            assert named.text.startswith("label-studio ")
            asked = httpx.get(f"http://127.0.0.1:{elsewhere}/x", proxy=relay, trust_env=False)
            assert asked.text.startswith("label-studio ")
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LABEL_STUDIO_HOST": "a.example; proxy_pass b.example:443"},
        {"LABEL_STUDIO_HOST": "a.example", "LABEL_STUDIO_PORT": "443; deny all"},
    ],
)
def test_the_relay_takes_one_host_and_port_and_no_directives(variables, tmp_path):
    done = subprocess.run(
        [ENTRY / "gateway.sh"],
        env={"PATH": "/usr/bin:/bin", "GATEWAY_FOLDER": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LABEL_STUDIO_" in done.stderr
    assert not (tmp_path / "gateway.conf").exists()


def certificate(folder, names):
    """A self-signed certificate, tls.crt and tls.key."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return ssl.create_default_context(cafile=str(folder / "tls.crt"))


def tls(folder, port, names):
    """What every TLS proxy here is told: its names, where it listens, its folders."""
    return {
        "TLS_LABEL_STUDIO_NAME": names[0],
        "TLS_QUORUM_NAME": names[1],
        "PROXY_LISTEN": f"127.0.0.1:{port}",
        "PROXY_CERTIFICATES": str(folder / "certificates"),
        "PROXY_FOLDER": str(folder),
    }


def test_the_proxy_serves_two_names_over_tls_and_keeps_label_studios_calls_inside(nginx, tmp_path):
    names = ["label-studio.example", "quorum.example"]
    trust = certificate(tmp_path / "certificates", names)
    with serving("label-studio") as studio, serving("backend") as backend:
        port = free_port()  # asked for now: what is served might have been given the same
        variables = {
            **tls(tmp_path, port, names),
            "PROXY_LABEL_STUDIO": f"127.0.0.1:{studio}",
            "PROXY_BACKEND": f"127.0.0.1:{backend}",
        }
        with nginx("proxy.sh", port, **variables):

            def ask(name, path):
                return get(
                    f"https://127.0.0.1:{port}{path}",
                    headers={"Host": name},
                    extensions={"sni_hostname": name},
                    verify=trust,
                )

            assert ask(names[0], "/projects").text == "label-studio /projects https"
            assert ask(names[1], "/progress").text == "backend /progress https"
            for path in ("/predict", "/setup", "/webhook", "/job_status"):
                assert ask(names[1], path).status_code == 404
            with pytest.raises(httpx.HTTPError):
                get(f"https://127.0.0.1:{port}/", headers={"Host": "other.example"}, verify=False)
            assert get(f"http://127.0.0.1:{port}/").status_code == 400


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs all of 127.0.0.0/8")
def test_a_backend_that_comes_back_at_another_address_is_found_again(nginx, tmp_path):
    """As a container does that was made anew."""
    names = ["label-studio.example", "quorum.example"]
    trust = certificate(tmp_path / "certificates", names)
    port, addresses = free_port(), {"backend": "127.0.0.31"}
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        behind = first.enter_context(serving("first", "127.0.0.31"))
        variables = {
            **tls(tmp_path, port, names),
            "PROXY_BACKEND": f"backend:{behind}",
            "PROXY_RESOLVER": stack.enter_context(naming(addresses)),
        }
        stack.enter_context(nginx("proxy.sh", port, **variables))

        def ask():
            return get(
                f"https://127.0.0.1:{port}/progress",
                headers={"Host": names[1]},
                extensions={"sni_hostname": names[1]},
                verify=trust,
                timeout=20,
            ).text

        assert ask() == "first /progress https"
        first.close()
        stack.enter_context(serving("second", "127.0.0.41", behind))
        addresses["backend"] = "127.0.0.41"
        limit = time.monotonic() + 60
        while (said := ask()) != "second /progress https" and time.monotonic() < limit:
            time.sleep(0.2)
        assert said == "second /progress https"
