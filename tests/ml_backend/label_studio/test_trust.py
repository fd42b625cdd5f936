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


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"picture" if self.path == "/data/1.png" else b'{"email": "owner@example.org"}'
        self.send_response(200)
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


def connected(url, ca_file=""):
    return LabelStudio.of(
        Settings(
            label_studio_url=url,
            label_studio_api_key="token",
            ca_file=str(ca_file),
            patience_s=0.0,
        )
    )


def test_an_authority_that_nobody_named_is_not_believed(server):
    url, _ = server
    with pytest.raises(LabelStudioDown):
        connected(url).whoami()


def test_a_named_authority_is_believed_for_calls_and_for_pictures(server):
    url, ca_file = server
    label_studio = connected(url, ca_file)
    assert label_studio.whoami() == "owner@example.org"
    assert label_studio.image("/data/1.png") == b"picture"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_holds_none_is_named(server, tmp_path, content):
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(LabelStudioError, match=r"QUORUM_CA_FILE: .*broken\.pem"):
        connected(server[0], broken)
