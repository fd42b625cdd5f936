"""DICOMweb answers that a good server does not give, from a small one that listens for real.

What a good one gives is tested against Orthanc, in tests/live/test_orthanc.py.
"""

import datetime
import io
import ipaddress
import json
import logging
import ssl
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.data import get_testdata_file

from importer.sources import dicomweb, dicomweb_exchange
from importer.sources.dicomweb import Failure, iter_dicomweb
from importer.sources.dicomweb_exchange import one_part

CT = Path(get_testdata_file("CT_small.dcm")).read_bytes()
STUDY, SERIES = "1.2.3", "1.2.3.4"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(dicomweb, "_BACK_OFF_S", 0.01)


def multipart(content, boundary="kanari"):
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + content + f"\r\n--{boundary}--\r\n".encode()


MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=kanari'}
JSON = {"Content-Type": "application/dicom+json"}


class Archive:
    """A server with one series; what it answers can be replaced, by the end of the path."""

    def __init__(self, instances=("1", "2", "3")):
        self.instances = [f"{SERIES}.{n}" for n in instances]
        self.asked = Counter()
        self.headers = []
        self.queries = []
        self.page = 1000
        self.special = {}  # last part of the path -> function() -> (status, headers, body)

    def answer(self, target, headers):
        parts = urlsplit(target)
        name = parts.path.rpartition("/")[2]
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked[name] += 1
        self.headers.append(headers)
        self.queries.append((name, query))
        if name in self.special:
            return self.special[name]()
        if name in ("studies", "series", "instances"):
            found = {
                "studies": [("0020000D", STUDY)],
                "series": [("0020000E", SERIES)],
                "instances": [("00080018", uid) for uid in self.instances],
            }[name]
            start = int(query.get("offset", 0))
            found = found[start : start + min(self.page, int(query["limit"]))]
            data_sets = [{tag: {"vr": "UI", "Value": [uid]}} for tag, uid in found]
            return 200, JSON, json.dumps(data_sets).encode()
        return 200, MULTIPART, multipart(CT + name.encode())


@contextmanager
def served(archive, context=None):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, headers, body = archive.answer(self.path, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            whole = isinstance(body, bytes)
            if whole and "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                for piece in [body] if whole else body:
                    self.wfile.write(piece)
            except OSError:
                pass
            if not whole or headers.get("Content-Length"):
                self.close_connection = True

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def archive():
    return Archive()


@pytest.fixture
def url(archive):
    with served(archive) as address:
        yield address


def bring(url, **options):
    return list(iter_dicomweb(url, **{"environment": {}, "timeout_s": 5, **options}))


def reasons(brought):
    return [item.reason for item in brought if isinstance(item, Failure)]


def names(brought):
    """The ends of the instance UIDs, which this server appends to the objects."""
    return [item[len(CT) :].decode()[-1] for item in brought if isinstance(item, bytes)]


def test_each_object_comes_once_as_it_is_stored(url, archive):
    brought = bring(url)
    assert brought == [CT + uid.encode() for uid in archive.instances]
    accepted = {h["Accept"] for h in archive.headers if "multipart" in h["Accept"]}
    assert accepted == {'multipart/related; type="application/dicom"; transfer-syntax=*'}


@pytest.mark.parametrize("cap", [1, 2, 3, 1000])
@pytest.mark.parametrize("page", [1, 2, 200])
def test_pages_are_asked_for_until_the_end_whatever_the_server_s_cap(url, archive, cap, page):
    archive.page = cap
    assert names(bring(url, page=page)) == ["1", "2", "3"]


def test_a_server_that_knows_no_pages_is_not_asked_forever(url, archive):
    everything = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in archive.instances]
    archive.special["instances"] = lambda: (200, JSON, json.dumps(everything).encode())
    assert names(bring(url, page=1)) == ["1", "2", "3"]


def test_no_content_means_nothing_found(url, archive):
    archive.special["studies"] = lambda: (204, {}, b"")
    assert bring(url) == []


def test_a_query_is_asked_where_it_belongs_with_its_wildcards(url, archive):
    bring(url, query={"PatientName": "Doe*", "StudyDate": "20200101-", "Modality": "CT"})
    asked = dict(archive.queries)
    assert asked["studies"].items() >= {"PatientName": "Doe*", "StudyDate": "20200101-"}.items()
    assert "Modality" not in asked["studies"] and asked["series"]["Modality"] == "CT"


def test_a_series_is_brought_without_searching_for_it(url, archive):
    assert len(bring(url, study=STUDY, series=SERIES)) == 3
    assert not archive.asked["studies"] and not archive.asked["series"]


@pytest.mark.parametrize(
    "options",
    [
        {"study": "../../KANARI"},
        {"study": "1.2", "series": "KANARI"},
        {"series": "1.2.3"},
        {"query": {"KANARI": "1"}},
        {"query": {"limit": "1"}},
    ],
)
def test_what_cannot_be_asked_is_told_at_once_and_not_quoted(url, options):
    with pytest.raises(ValueError) as raised:
        iter_dicomweb(url, **options)
    assert "KANARI" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://reader:KANARI@pacs.example/dicom-web",
        "https://pacs.example:KANARI/dicom-web",
        "https://[KANARI/dicom-web",
        "ftp://KANARI/dicom-web",
        "pacs.example/KANARI",
        "https://pacs.example/dicom-web?token=KANARI",
    ],
)
def test_an_address_that_cannot_be_meant_is_told_and_not_quoted(address):
    with pytest.raises(ValueError) as raised:
        iter_dicomweb(address, environment={})
    assert "KANARI" not in str(raised.value) and raised.value.__cause__ is None


def test_plain_http_leaves_the_machine_only_if_that_is_meant():
    with pytest.raises(ValueError, match="https"):
        iter_dicomweb("http://pacs.example/dicom-web", environment={})
    iter_dicomweb("http://pacs.example/", environment={"QUORUM_DICOMWEB_ALLOW_HTTP": "1"})
    for here in ("localhost", "127.0.0.2", "[::1]"):
        iter_dicomweb(f"http://{here}:8042/dicom-web", environment={})


@pytest.mark.parametrize(
    "account",
    [
        {"USER": "reader"},
        {"PASSWORD": "KANARI"},
        {"USER": "reader", "PASSWORD": "KANARI", "TOKEN": "KANARI"},
        {"TOKEN": "KANARI\r\nX-Evil: 1"},
    ],
)
def test_half_an_account_is_told_and_not_quoted(account):
    environment = {f"QUORUM_DICOMWEB_{name}": value for name, value in account.items()}
    with pytest.raises(ValueError) as raised:
        iter_dicomweb("https://pacs.example/", environment=environment)
    assert "KANARI" not in str(raised.value)


def test_the_account_comes_from_the_environment_alone(url, archive, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    bring(url)
    assert {h["Authorization"] for h in archive.headers} == {None}
    archive.headers.clear()
    bring(url, environment={"QUORUM_DICOMWEB_TOKEN": "a.b-c"})
    assert {h["Authorization"] for h in archive.headers} == {"Bearer a.b-c"}
    archive.headers.clear()
    account = {"QUORUM_DICOMWEB_USER": "übung", "QUORUM_DICOMWEB_PASSWORD": "päss"}
    bring(url, environment=account)
    assert {h["Authorization"] for h in archive.headers} == {"Basic w7xidW5nOnDDpHNz"}


def in_turn(*answers):
    remaining = list(answers)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


GOOD = (200, MULTIPART, multipart(CT + b"2"))


@pytest.mark.parametrize(
    "bad",
    [
        (429, {"Retry-After": "0"}, b""),
        (502, {}, b""),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
        (200, {**MULTIPART, "Content-Length": "90000"}, multipart(CT)[:20_000]),
        (200, MULTIPART, [multipart(CT)[:20_000]]),
    ],
    ids=["429", "502", "503", "cut off", "cut off without a length"],
)
def test_a_server_that_is_busy_or_breaks_off_is_asked_again(url, archive, bad):
    archive.special[f"{SERIES}.2"] = in_turn(bad, bad, GOOD)
    assert names(bring(url)) == ["1", "2", "3"]
    assert archive.asked[f"{SERIES}.2"] == 3


@pytest.mark.parametrize(
    ("answer", "reason", "times"),
    [
        ((401, {}, b""), "refused", 1),
        ((403, {}, b""), "refused", 1),
        ((404, {}, b""), "not-found", 1),
        ((500, {}, b"KANARI"), "server-error", 1),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "redirected", 1),
        ((200, {"Content-Type": "text/html"}, b"<h1>Log in, KANARI"), "damaged-answer", 1),
        ((200, {}, b""), "damaged-answer", 1),
        ((200, {"Content-Type": "multipart/related"}, CT), "damaged-answer", 1),
        ((200, MULTIPART, b"\r\n" * 300_000), "damaged-answer", 1),
        ((200, MULTIPART, multipart(CT)[:-20] + b"\r\n" + multipart(CT)), "damaged-answer", 1),
        ((200, MULTIPART, multipart(CT)[:9000]), "damaged-answer", 4),
        ((200, MULTIPART, multipart(bytes(200_000))), "too-large", 1),
        ((200, {"Content-Type": "application/dicom"}, bytes(200_000)), "too-large", 1),
        ((200, {**MULTIPART, "Content-Encoding": "gzip"}, b"KANARI"), "damaged-answer", 1),
    ],
)
def test_an_object_that_does_not_come_is_a_reason_and_the_rest_comes(
    url, archive, answer, reason, times
):
    archive.special[f"{SERIES}.2"] = lambda: answer
    brought = bring(url, max_object_bytes=100_000)
    assert names(brought) == ["1", "3"] and reasons(brought) == [reason]
    assert archive.asked[f"{SERIES}.2"] == times


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>KANARI",
        b"[" * 100_000,
        b'["KANARI"]',
        b'[{"00080018": {"Value": ["../../../KANARI"]}}]',
        b'[{"00080018": {"Value": [["1.2"]]}}]',
        b'[{"00080018": "KANARI"}]',
        b'"KANARI"',
        b"7",
        b"[" + b"7," * 100_000 + b"7]",
        b"\xff\xfe",
    ],
)
def test_a_search_that_answers_nonsense_is_a_reason(url, archive, answer):
    archive.special["instances"] = lambda: (200, JSON, answer)
    brought = bring(url)
    assert set(brought) == {Failure("damaged-answer")}
    assert set(archive.asked) == {"studies", "series", "instances"}


def test_an_endless_search_is_cut_off(url, archive, monkeypatch):
    monkeypatch.setattr(dicomweb_exchange, "_SEARCH_BYTES", 2**20)
    archive.special["instances"] = lambda: (200, JSON, (b" " * 2**16 for _ in range(10_000)))
    assert bring(url) == [Failure("damaged-answer")]


def test_a_server_that_drips_is_given_up(url, archive):
    def drip():
        pause = threading.Event()
        yield multipart(CT)[:100]
        while not pause.wait(0.02):
            yield b"\0"

    archive.special[f"{SERIES}.1"] = lambda: (200, MULTIPART, drip())
    assert bring(url, timeout_s=0.05) == [Failure("server-unreachable")]


def test_a_server_that_stays_busy_ends_it(url, archive):
    archive.special[f"{SERIES}.2"] = lambda: (503, {}, b"")
    brought = bring(url)
    assert names(brought) == ["1"] and brought[1:] == [Failure("server-unreachable")]


def test_a_server_that_is_not_there_is_a_reason():
    with served(Archive()) as address:
        pass
    assert bring(address) == [Failure("server-unreachable")]


def test_a_server_that_does_not_know_the_wildcard_is_asked_without_it(url, archive):
    special = {"Content-Type": "application/dicom"}
    archive.special[f"{SERIES}.1"] = in_turn((406, {}, b""), (200, special, CT + b"1"))
    assert names(bring(url)) == ["1", "2", "3"]
    accepted = [h["Accept"] for h in archive.headers if "multipart" in h["Accept"]]
    assert ["*" in value for value in accepted] == [True, False, False, False]


def test_a_certificate_that_nobody_vouches_for_is_refused(archive, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with served(archive, context) as address:
        assert bring(address) == [Failure("untrusted-certificate")]
        assert not archive.asked
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert names(bring(address)) == ["1", "2", "3"]


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_a_part_is_found_however_the_answer_is_cut(size):
    content = b"DICM\r\n--kanar\r\n\r\n--kanar-- \r\n-" * 3
    for body in (multipart(content), b"a preamble\r\n" + multipart(content) + b"an epilogue"):
        chunks = iter([body[n : n + size] for n in range(0, len(body), size)])
        assert one_part(MULTIPART["Content-Type"], chunks, 10_000) == content


@pytest.mark.parametrize("content", [b"", b"\r\n", b"--kanari"])
def test_a_part_may_be_next_to_nothing(content):
    chunks = iter([multipart(content)])
    assert one_part(MULTIPART["Content-Type"], chunks, 100) == content


def test_one_object_is_in_memory_at_a_time(url, archive):
    objects = iter_dicomweb(url, environment={})
    assert isinstance(next(objects), bytes)
    assert archive.asked[f"{SERIES}.2"] == 0
    objects.close()


def test_nothing_is_logged(url, archive):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        warned = {**JSON, "Warning": "299 - KANARI has more"}
        archive.special["studies"] = in_turn((200, warned, b"[]"))
        bring(url, query={"PatientName": "KANARI"})
        bring(url, study=STUDY)
        logging.getLogger("test").debug("it logs")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert stream.getvalue() == "it logs\n"
