"""A hospital's own certificate authority, against a server that has its certificate from it."""

import http.server
import ssl
import threading
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ml_backend.check import State, backend, label_studio
from ml_backend.check.deployment import Deployment
from ml_backend.check.findings import Check
from ml_backend.label_studio import LabelStudio, LabelStudioDown, LabelStudioError
from ml_backend.settings import Settings


def certificate(name, issuer_name, key, signing_key, *extensions):
    now = datetime.now(timezone.utc)

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signing_key, hashes.SHA256())


ANSWERS = {
    "/data/1.png": b"picture",
    "/api/version": b'{"release": "1.23.2"}',
    "/health": b'{"status": "UP", "model_class": "Quorum"}',
}


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, ANSWERS.get(self.path, b'{"email": "owner@example.org"}'))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(401, b"{}")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """A server's address, and its authority's certificate as a file."""
    authority, own = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    root = certificate(
        "Hospital", "Hospital", authority, authority,
        x509.BasicConstraints(ca=True, path_length=None), identifier,
    )  # fmt: skip
    leaf = certificate(
        "server", "Hospital", own, authority,
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    ca_file, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
    ca_file.write_bytes(root.public_bytes(pem))
    private = own.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + leaf.public_bytes(pem))
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{listening.server_port}", ca_file
    listening.shutdown()
    listening.server_close()


def settings(url, ca_file="", patience_s=0.0):
    return Settings(
        label_studio_url=url,
        label_studio_api_key="token",
        basic_auth_user="user",
        basic_auth_password="password",
        ca_file=str(ca_file),
        patience_s=patience_s,
    )


def connected(url, ca_file="", patience_s=0.0):
    return LabelStudio.of(settings(url, ca_file, patience_s))


def test_an_authority_that_nobody_named_is_not_believed(server):
    url, _ = server
    with pytest.raises(LabelStudioDown) as refused:
        connected(url, patience_s=60.0).whoami()  # it does not get better by waiting
    assert "certificate that is not accepted" in str(refused.value)
    assert "QUORUM_CA_FILE" in str(refused.value) and "is running" not in str(refused.value)


def test_a_named_authority_is_believed_for_calls_and_for_pictures(server):
    url, ca_file = server
    reached = connected(url, ca_file)
    assert reached.whoami() == "owner@example.org"
    assert reached.image("/data/1.png") == b"picture"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_holds_none_is_named(server, tmp_path, content):
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(LabelStudioError, match=r"QUORUM_CA_FILE: .*broken\.pem"):
        connected(server[0], broken)


def check(look, url, ca_file):
    subject = Deployment(settings(url, ca_file), asked_backend_url=url)
    return subject, Check("it", look).run(subject)


ANYBODY = (label_studio.reachable, label_studio.version, backend.answers)


@pytest.mark.parametrize("look", [*ANYBODY, backend.credentials])
def test_check_believes_the_named_authority(server, look):
    url, ca_file = server
    _, found = check(look, url, ca_file)
    if look is backend.credentials:
        assert "refuses the user" in found.found, "it was asked"
    else:
        assert found.state is State.OK


@pytest.mark.parametrize("look", [label_studio.reachable, backend.answers])
def test_check_names_the_certificate_and_the_setting_without_it(server, look):
    _, found = check(look, server[0], "")
    assert found.state is State.FAILS and "certificate that is not accepted" in found.found
    assert "set QUORUM_CA_FILE" in found.remedy


def test_check_says_of_a_file_that_cannot_be_read_what_is_wrong_with_it(server, tmp_path):
    missing = tmp_path / "missing.pem"
    subject, found = check(label_studio.reachable, server[0], missing)
    assert found.state is State.FAILS
    assert found.found == f"QUORUM_CA_FILE: {missing} cannot be used (No such file or directory)"
    assert "PEM file" in found.remedy
    told = [Check("it", look).run(subject) for look in (label_studio.token, backend.answers)]
    assert all(f.state is State.UNKNOWN and "missing.pem" in f.found for f in told), told
    # Where the line about Label Studio was not asked first, no token is blamed either.
    _, found = check(label_studio.token, server[0], missing)
    assert "no Label Studio token" not in found.found and "missing.pem" in found.found
