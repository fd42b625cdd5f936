"""Addresses in tasks that lead where they must not, and servers that send what they must not.

Servers are real and on loopback. The one thing that is not is the name server: the resolver that
`LabelStudio` asks is replaced through its own attribute, for a name that leads to a private address
at one moment and not at the next cannot be had otherwise.
"""

import base64
import contextlib
import gzip
import io
import random
import resource
import socket
import struct
import threading
import time
import warnings
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from launcher.processes import free_port
from ml_backend.images import ImageError, read_image
from ml_backend.label_studio import LabelStudio, LabelStudioDown, LabelStudioError
from ml_backend.label_studio.hosts import Hosts, listed_hosts, place_of

TOKEN = "t" * 40
PIXELS = b"\x89PNG and what follows"
METADATA = "169.254.169.254"


class Server:
    """Answers as `answers` say by path, and keeps the headers of all that was asked."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                answer = outer.answers.get(self.path.partition("?")[0], (404, b""))
                if callable(answer):
                    answer(self)
                    return
                status, body, *headers = answer
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.do_GET()

            def log_message(self, *_):
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.port = self._httpd.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def paths(self):
        return [path for path, _ in self.asked]

    def stop(self):
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()


@pytest.fixture
def label_studio_server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def store():
    server = Server()
    server.answers["/bucket/a.png"] = (200, PIXELS)
    yield server
    server.stop()


@pytest.fixture
def connect(label_studio_server):
    """Connections to the Label Studio, with hosts listed and names that lead where is told."""
    opened = []

    def open_one(hosts="", names=(), url=None, **bounds):
        leads = dict(names)

        def resolve(host, port):
            answer = leads.get(host, [host])
            if callable(answer):
                answer = answer()
            if not answer:
                raise socket.gaierror
            return answer

        own = type("Resolving", (LabelStudio,), {"resolve": staticmethod(resolve), **bounds})
        opened.append(own(url or label_studio_server.url, TOKEN, 5.0, 0.5, image_hosts=hosts))
        return opened[-1]

    yield open_one
    for each in opened:
        each.__exit__()


def redirect(target, status=302):
    return status, b"", ("Location", target)


# What is fetched


def test_label_studio_s_own_images_come_as_before(connect, label_studio_server):
    label_studio_server.answers["/data/upload/1/a b.png"] = (200, b"unasked")
    label_studio_server.answers["/data/upload/1/a%20b.png"] = (200, PIXELS)
    label_studio_server.answers["/data/local-files/"] = (200, PIXELS)
    for address in (
        "/data/upload/1/a b.png",
        "/data/local-files/?d=folder%2Fa.png",
        f"{label_studio_server.url}/data/upload/1/a%20b.png",
    ):
        assert connect().image(address) == PIXELS
    assert label_studio_server.asked[0][1]["Authorization"] == f"Token {TOKEN}"


def test_an_address_in_label_studio_s_public_name_is_asked_of_label_studio(label_studio_server):
    label_studio_server.answers["/labels/data/a.png"] = (200, PIXELS)
    with LabelStudio(
        f"{label_studio_server.url}/labels",
        TOKEN,
        public_url="https://labels.clinic.example/labels/",
    ) as connection:
        assert connection.image("https://labels.clinic.example/labels/data/a.png?x=1") == PIXELS
    assert label_studio_server.paths == ["/labels/data/a.png?x=1"]


@pytest.mark.parametrize("uri", ["s3://bucket/a b.png", "gs://b/ü.png", "azure-blob://c/a.png"])
def test_a_storage_address_is_resolved_by_label_studio_for_its_task(
    connect, label_studio_server, store, uri
):
    label_studio_server.answers["/tasks/7/resolve/"] = redirect(
        f"{store.url}/bucket/a.png?X-Amz-Signature=abc", 303
    )
    assert connect(f"127.0.0.1:{store.port}").image(uri, 7) == PIXELS
    encoded = label_studio_server.paths[0].partition("?fileuri=")[2]
    assert base64.urlsafe_b64decode(encoded).decode() == uri
    assert store.paths == ["/bucket/a.png?X-Amz-Signature=abc"]
    with pytest.raises(LabelStudioError, match="import the task first"):
        connect().image(uri)


def test_what_label_studio_passes_on_itself_needs_no_host(connect, label_studio_server):
    label_studio_server.answers["/tasks/7/resolve/"] = (200, PIXELS)
    assert connect().image("s3://bucket/a.png", 7) == PIXELS


# Whom credentials go to


@pytest.mark.parametrize("way", ["directly", "by redirect", "there and back"])
def test_neither_token_nor_cookie_goes_to_another_port_of_label_studio_s_host(
    connect, label_studio_server, store, way
):
    cookie = ("Set-Cookie", "sessionid=secret; Path=/")
    own = label_studio_server
    own.answers["/data/before.png"] = (200, PIXELS, cookie)
    own.answers["/data/a.png"] = (*redirect(f"{store.url}/bucket/a.png"), cookie)
    own.answers["/data/end.png"] = (200, PIXELS)
    store.answers["/bucket/back"] = redirect(f"{own.url}/data/end.png")
    asked = {
        "directly": f"{store.url}/bucket/a.png",
        "by redirect": "/data/a.png",
        "there and back": f"{store.url}/bucket/back",
    }[way]
    connection = connect(f"127.0.0.1:{store.port}")
    connection.image("/data/before.png")
    assert connection.image(asked) == PIXELS
    for _, headers in store.asked:
        assert not {"authorization", "cookie", "referer"} & {name.lower() for name in headers}
        assert TOKEN not in str(headers)
    if way == "there and back":
        assert own.asked[-1][1]["Authorization"] == f"Token {TOKEN}"


def test_a_short_lived_token_is_renewed_at_label_studio_alone(label_studio_server, store):
    label_studio_server.answers["/api/token/refresh/"] = (200, b'{"access": "short"}')
    label_studio_server.answers["/data/a.png"] = redirect(f"{store.url}/bucket/a.png")
    with LabelStudio(
        label_studio_server.url, "a.b.c", image_hosts=f"127.0.0.1:{store.port}"
    ) as connection:
        assert connection.image("/data/a.png") == PIXELS
    assert label_studio_server.asked[-1][1]["Authorization"] == "Bearer short"
    assert "Authorization" not in store.asked[0][1]


NEIGHBOURS = [
    "/~mallory/x.png",
    "../../~mallory/y.png",
    "/label-studio/../~mallory/x.png",
    "/label-studio/data/../../~mallory/x.png",
    "/label-studio-too/data/x.png",
    "{own}/~mallory/x.png",
    "{own}/data/x.png",
    "{own}/label-studio",
    "/api/projects/1/next",
    "/label-studio/api/projects/1/next",
    "/label-studio/api/storages/s3/1",
    "/label-studio/user/logout/",
    "/label-studio/tasks/7/resolve/more",
    "/label-studio/tasks/x/resolve/",
    "/label-studio/static/x.png",
]
IN_DISGUISE = [
    "/label-studio/%2e%2e/~mallory/x.png",
    "/label-studio/data/%2E%2E/%2e%2e/~mallory/x.png",
    "/label-studio/data/..%2f..%2F~mallory/x.png",
    "/label-studio/data/..%5c..%5C~mallory/x.png",
    "/label-studio/data/%252e%252e/%252e%252e/~mallory/x.png",
    "/label-studio/data/%25%32%65%25%32%65/~mallory/x.png",
    "/label-studio/data/..;/..;a=b/~mallory/x.png",
    "/label-studio/data/..%3b/x.png",
    "{own}/label-studio/data/../../~mallory/x.png",
    "{own}/label-studio/data/./x.png",
]


@pytest.mark.parametrize("address", NEIGHBOURS + IN_DISGUISE)
@pytest.mark.parametrize("way", ["directly", "by redirect"])
def test_nothing_but_images_is_asked_of_label_studio_and_nothing_of_its_neighbours(
    connect, label_studio_server, address, way
):
    own = label_studio_server
    address = address.replace("{own}", own.url)
    if way == "by redirect":
        own.answers["/label-studio/data/a.png"] = redirect(address)
        address = "/label-studio/data/a.png"
    with pytest.raises(LabelStudioError):
        connect(url=f"{own.url}/label-studio").image(address, 7)
    assert own.paths == (["/label-studio/data/a.png"] if way == "by redirect" else [])


def test_a_listed_neighbour_of_label_studio_gets_no_token(connect, label_studio_server):
    own = label_studio_server
    listed = f"127.0.0.1:{own.port}"
    own.answers["/pictures/x.png"] = (200, PIXELS)
    own.answers["/label-studio/data/b.png"] = redirect("/pictures/x.png")
    own.answers["/pictures/gone.png"] = (403, b"")
    connection = connect(listed, url=f"{own.url}/label-studio")
    assert connection.image(f"{own.url}/pictures/x.png") == PIXELS
    assert connection.image("/label-studio/data/b.png") == PIXELS
    tokens = [path for path, headers in own.asked if "Authorization" in headers]
    assert tokens == ["/label-studio/data/b.png"]
    # What it refuses is one image, and says nothing about the token.
    with pytest.raises(LabelStudioError, match="HTTP 403") as refused:
        connection.image(f"{own.url}/pictures/gone.png")
    assert refused.value.status is None
    for address in IN_DISGUISE:
        with pytest.raises(LabelStudioError):
            connection.image(address.replace("{own}", own.url))
    assert {path for path, headers in own.asked if "Authorization" in headers} == set(tokens)


@pytest.mark.parametrize(
    ("base", "public"),
    [
        ("/label-studio", ""),
        ("/label-studio", "https://intranet.example/label-studio"),
        ("", "https://intranet.example/label-studio/"),
        ("/inside", "https://intranet.example/label-studio"),
        ("/inside", "https://labels.example"),
    ],
)
def test_label_studio_below_a_path_is_asked_there_however_it_wrote_the_address(
    label_studio_server, base, public
):
    """FileUpload.url has the path of LABEL_STUDIO_HOST; what is older, or imported, has none."""
    own = label_studio_server
    paths = ["/data/upload/1/a%20b.png", "/data/local-files/", "/storage-data/uploaded/"]
    paths += [f"/{of}/7/{verb}/" for of in ("tasks", "projects") for verb in ("resolve", "presign")]
    own.answers |= {base + path: (200, PIXELS) for path in paths}
    at = public.rstrip("/") or own.url + base
    prefix = "/label-studio" if "label-studio" in at else base
    with LabelStudio(own.url + base, TOKEN, 5.0, 0.5, public_url=public) as connection:
        for path in paths:
            for address in (path, prefix + path, at + path, own.url + base + path):
                assert connection.image(f"{address}?d=..%2Fx") == PIXELS
                path_asked, headers = own.asked[-1]
                assert path_asked == f"{base}{path}?d=..%2Fx"
                assert headers["Authorization"] == f"Token {TOKEN}"


# Where nothing is fetched from


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{store}/bucket/a.png",
        "http://localhost:{store}/bucket/a.png",
        "http://2130706433:{store}/bucket/a.png",
        "http://0x7f000001:{store}/bucket/a.png",
        "http://0x7f.1:{store}/bucket/a.png",
        "http://017700000001:{store}/bucket/a.png",
        "http://127.1:{store}/bucket/a.png",
        "http://127.0.0.1.:{store}/bucket/a.png",
        "http://[::ffff:127.0.0.1]:{store}/bucket/a.png",
        "http://[::ffff:7f00:1]:{store}/bucket/a.png",
        "http://[::1%25lo]:{store}/bucket/a.png",
        "http://①②⑦.⓪.⓪.①:{store}/bucket/a.png",
        "http://127。0。0。1:{store}/bucket/a.png",
        "//127.0.0.1:{store}/bucket/a.png",
        "http://127.0.0.1:{own}@127.0.0.1:{store}/bucket/a.png",
        "http://a@127.0.0.1:{store}/bucket/a.png",
        "http://127.0.0.1:{store}\\@127.0.0.1:{own}/bucket/a.png",
        "http://127.0.0.1:{own}\\@127.0.0.1:{store}/bucket/a.png",
        "http:\\\\127.0.0.1:{store}\\bucket\\a.png",
        "\\\\127.0.0.1:{store}/bucket/a.png",
        "/\\127.0.0.1:{store}/bucket/a.png",
        "http://127.0.0.1:{own}.127.0.0.1:{store}/bucket/a.png",
        "http://127.0.0.1:{own} .evil.example/a.png",
        "http://127.0.0.1\t:{store}/bucket/a.png",
        "\thttp://127.0.0.1:{store}/bucket/a.png",
        "http://127.0.0.1:{store}/bucket/a.png\r\nX: y",
        "http://127.0.0.1:{store}/bucket/a.png\0",
        "http://[127.0.0.1:{store}/bucket/a.png",
        "http:////127.0.0.1:{store}/bucket/a.png",
        f"http://{METADATA}/latest/meta-data/iam/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "https:127.0.0.1:{store}/bucket/a.png",
        "http://",
        "http://:{store}/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:-1/",
    ],
)
def test_no_spelling_of_an_address_leads_to_a_host_that_is_not_listed(
    connect, label_studio_server, store, address
):
    address = address.replace("{store}", str(store.port)).replace(
        "{own}", str(label_studio_server.port)
    )
    with pytest.raises(LabelStudioError) as refused:
        connect().image(address)
    assert not isinstance(refused.value, LabelStudioDown)
    assert not store.asked
    assert "Traceback" not in str(refused.value)
    # The same if it is not the task that says it but a redirect.
    label_studio_server.answers["/data/a.png"] = redirect(
        "".join(c for c in address if c.isprintable() and ord(c) < 256)
    )
    with pytest.raises(LabelStudioError):
        connect().image("/data/a.png")
    assert not store.asked


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://127.0.0.1/a.png",
        "gopher://127.0.0.1:6379/_SET",
        "dict://127.0.0.1:6379/info",
        "data:image/png;base64,iVBORw0KGgo=",
        "javascript:alert(1)",
        "jar:http://127.0.0.1!/a.png",
        "unix:///var/run/docker.sock",
        "redis://127.0.0.1/0",
        "http+unix://a",
    ],
)
@pytest.mark.parametrize("way", ["directly", "by redirect"])
def test_no_other_scheme_is_fetched(connect, label_studio_server, address, way):
    label_studio_server.answers["/data/a.png"] = redirect(address)
    with pytest.raises(LabelStudioError, match="http://"):
        connect("127.0.0.1").image(address if way == "directly" else "/data/a.png")


def test_a_storage_s_address_in_a_redirect_is_not_resolved_again(connect, label_studio_server):
    label_studio_server.answers["/tasks/7/resolve/"] = redirect("s3://bucket/other.png")
    with pytest.raises(LabelStudioError, match="http://"):
        connect().image("s3://bucket/a.png", 7)
    assert len(label_studio_server.asked) == 1


# Redirects


def test_a_redirect_to_a_host_that_is_not_listed_is_not_followed(
    connect, label_studio_server, store
):
    label_studio_server.answers["/data/a.png"] = redirect(f"{store.url}/bucket/a.png")
    with pytest.raises(LabelStudioError, match=f"but by 127.0.0.1:{store.port}.*IMAGE_HOSTS"):
        connect().image("/data/a.png")
    store.answers["/bucket/away"] = redirect(f"http://{METADATA}/latest/meta-data/")
    with pytest.raises(LabelStudioError, match=f"but by {METADATA}"):
        connect(f"127.0.0.1:{store.port}").image(f"{store.url}/bucket/away")


@pytest.mark.parametrize(("hops", "follows"), [(3, True), (4, False)])
def test_three_redirects_are_followed_and_no_more(connect, label_studio_server, hops, follows):
    for number in range(hops):
        label_studio_server.answers[f"/data/{number}"] = redirect(f"/data/{number + 1}", 307)
    label_studio_server.answers[f"/data/{hops}"] = (200, PIXELS)
    if follows:
        assert connect().image("/data/0") == PIXELS
    else:
        with pytest.raises(LabelStudioError, match="more than 3 times"):
            connect().image("/data/0")
        assert len(label_studio_server.asked) == 4


@pytest.mark.parametrize("base", ["", "/label-studio"])
def test_being_sent_to_the_login_is_a_refused_token(connect, label_studio_server, base):
    label_studio_server.answers[f"{base}/data/a.png"] = redirect(f"{base}/user/login/?next=/x")
    with pytest.raises(LabelStudioError, match="refuses the token") as refused:
        connect(url=label_studio_server.url + base).image("/data/a.png")
    assert refused.value.status == 401


def test_from_https_nothing_goes_on_in_the_clear():
    hosts = Hosts("https://labels.clinic.example", "store.example, plain.example:80")
    assert hosts.checked("https://store.example/a").port == 443
    for address in ("http://store.example/a", "http://plain.example/a"):
        with pytest.raises(LabelStudioError, match="https://"):
            hosts.checked(address)
    assert Hosts("http://ls", "store.example").checked("http://store.example/a").port == 80


# Names and the addresses that they lead to


def at(store, name="store.example"):
    return f"http://{name}:{store.port}/bucket/a.png"


@pytest.mark.parametrize(
    "address",
    [
        "::a9fe:a9fe",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:169.254.169.254",
        "::ffff:0:8.8.8.8",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "192.0.0.8",
        "192.0.0.9",
        "192.0.0.192",
        "64:ff9b::c000:8",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "2a00:1450::5efe:a9fe:a9fe",
        "2a00:1450::200:5efe:10.0.0.1",
        "2001:db8::1",
        "2001:20::1",
        "3fff::1",
        "100::1",
        "4000::1",
        "127.0.0.1",
        "10.0.0.7",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        METADATA,
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
    ],
)
def test_a_listed_name_that_leads_inside_the_network_is_refused(connect, store, address):
    connection = connect(
        f"store.example:{store.port}", {"store.example": ["93.184.215.14", address]}
    )
    with pytest.raises(LabelStudioError, match=f"store.example:{store.port} leads to the address"):
        connection.image(at(store))
    assert not store.asked


def test_a_name_may_lead_inside_if_the_list_says_so(connect, store):
    names = {"store.example": ["127.0.0.1"]}
    refused = f"private:store.example:{store.port}"
    with pytest.raises(LabelStudioError, match=f"write {refused} in QUORUM_IMAGE_HOSTS"):
        connect(f"store.example:{store.port}", names).image(at(store))
    assert connect(refused, names).image(at(store)) == PIXELS
    assert store.asked[-1][1]["Host"] == f"store.example:{store.port}"
    # Or if the address is listed too.
    assert connect(f"store.example:{store.port},127.0.0.1", names).image(at(store)) == PIXELS


@pytest.mark.parametrize(
    "address",
    [
        METADATA,
        "0.0.0.0",
        "fe80::1",
        "fd00:ec2::254",
        "fd00::5efe:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "::a9fe:a9fe",
        "192.0.0.192",
        "224.0.0.1",
    ],
)
def test_even_a_private_name_never_leads_to_a_cloud_s_metadata(connect, store, address):
    connection = connect(f"private:store.example:{store.port}", {"store.example": [address]})
    with pytest.raises(LabelStudioError, match="no image is fetched from there"):
        connection.image(at(store))


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "2a00:1450:4001::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_addresses_of_the_open_internet_are_known_whatever_carries_them(address):
    assert Hosts("http://ls", "store.example").addresses("store.example", 443, [address])


def test_a_name_that_turns_private_after_it_was_checked_is_not_asked(connect, store):
    """DNS rebinding: public when it is looked at, private when it is connected to."""
    answers = [["203.0.114.9"], ["127.0.0.1"], ["127.0.0.1"]]
    asked = []

    def turning():
        asked.append(answers.pop(0))
        return asked[-1]

    connection = connect(f"store.example:{store.port}", {"store.example": turning})
    connection._timeout_s = 0.3  # nobody answers at the public address
    with pytest.raises(LabelStudioError):
        connection.image(at(store))
    with pytest.raises(LabelStudioError, match="leads to the address 127"):
        connection.image(at(store))
    assert asked[0] == ["203.0.114.9"]
    assert not store.asked


def test_a_connection_goes_to_the_very_address_that_was_checked(connect, store):
    """One lookup a connection; what the name says afterwards is not asked."""
    looked = []

    def once():
        looked.append(1)
        return ["127.0.0.1"] if len(looked) == 1 else [METADATA]

    connection = connect(f"private:store.example:{store.port}", {"store.example": once})
    assert connection.image(at(store)) == PIXELS
    assert looked == [1]


def test_label_studio_s_own_name_may_lead_anywhere(connect, label_studio_server, store):
    label_studio_server.answers["/data/a.png"] = (200, PIXELS)
    names = {"label-studio": ["127.0.0.1"]}
    own = f"http://label-studio:{label_studio_server.port}"
    assert connect("", names, own).image("/data/a.png") == PIXELS
    # And so does a store that is listed on the same machine.
    connection = connect(f"label-studio:{store.port}", names, own)
    assert connection.image(at(store, "label-studio")) == PIXELS
    with pytest.raises(LabelStudioError, match="not served by Label Studio"):
        connect("", names, own).image(at(store, "label-studio"))


def test_a_store_that_is_away_is_no_fault_of_the_image(connect):
    port = free_port()
    with pytest.raises(LabelStudioDown, match=f"{port}, where images are"):
        connect(f"127.0.0.1:{port}").image(f"http://127.0.0.1:{port}/a.png")
    with pytest.raises(LabelStudioDown, match="gone"):
        connect("gone.example", {"gone.example": []}).image("http://gone.example/a.png")


@pytest.mark.parametrize(("status", "told"), [(403, None), (404, None), (503, 503)])
def test_what_a_store_refuses_is_one_image_and_its_trouble_is_all(connect, store, status, told):
    store.answers["/bucket/b.png"] = (status, b"<Error><Message>secret</Message></Error>")
    with pytest.raises(LabelStudioError, match=f"HTTP {status}") as refused:
        connect(f"127.0.0.1:{store.port}").image(f"{store.url}/bucket/b.png?X-Amz-Signature=abc")
    assert refused.value.status == told
    assert "secret" not in str(refused.value) and "Signature" not in str(refused.value)


# The list


@pytest.mark.parametrize(
    "entry",
    [
        "*.example",
        "http://store.example",
        "store.example/bucket",
        "a b",
        "store.example:0",
        "store.example:99999",
        "user@store.example",
        "127.1",
        "0x7f.1",
        "[::1",
        "ü.example",
        "private:",
    ],
)
def test_the_list_has_hosts_only_and_no_wildcards(connect, entry):
    with pytest.raises(ValueError, match="is no host"):
        listed_hosts(entry)
    with pytest.raises(LabelStudioError, match="QUORUM_IMAGE_HOSTS"):
        connect(entry).image("/data/a.png")


def test_a_host_is_listed_exactly_whatever_its_case():
    hosts = Hosts("http://ls:8080", "Store.Example, minio:9000, [2001:db8::1]:9000, private:9000")
    for address in (
        "https://STORE.example/a",
        "http://store.example:80/a",
        "http://minio:9000/",
        "http://[2001:db8::1]:9000/a",
        "http://private:9000/",
    ):
        hosts.checked(address)
    for address in (
        "https://store.example:8443/a",
        "https://a.store.example/a",
        "https://store.example.evil.example/a",
        "http://minio/a",
        "http://[2001:db8:0:0::1]:9000/a",
    ):
        with pytest.raises(LabelStudioError):
            hosts.checked(address)


def test_a_name_in_another_script_is_only_itself():
    assert place_of("https://xn--e1awd7f.example/").host == "xn--e1awd7f.example"
    for address in ("https://stоre.example/", "https://ｓtore.example/", "https://store.example‮/"):
        with pytest.raises(LabelStudioError):
            Hosts("https://ls", "store.example").checked(address)


# How much, and how long


def test_what_is_said_to_be_too_large_is_not_read(connect, label_studio_server):
    sent = []

    def huge(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        try:
            while True:
                sent.append(handler.wfile.write(bytes(2**16)))
        except OSError:
            pass

    label_studio_server.answers["/data/a.png"] = huge
    with pytest.raises(LabelStudioError, match="larger than 1 MiB"):
        connect(most_bytes=2**20).image("/data/a.png")


def test_what_does_not_say_its_size_is_cut_off(connect, label_studio_server):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(2**16))
                sent.append(2**16)
        except OSError:
            sent.append(0)

    label_studio_server.answers["/data/a.png"] = endless
    with pytest.raises(LabelStudioError, match="larger than 1 MiB"):
        connect(most_bytes=2**20).image("/data/a.png")
    limit = time.monotonic() + 10
    while sent[-1:] != [0] and time.monotonic() < limit:
        time.sleep(0.01)
    assert sum(sent) < 32 * 2**20  # what fits into the sockets' buffers


@pytest.mark.parametrize("status", [404, 500, 302])
def test_an_endless_error_is_cut_off_too(connect, label_studio_server, status):
    def endless(handler):
        handler.send_response(status)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(2**16))
        except OSError:
            pass

    label_studio_server.answers["/data/a.png"] = endless
    with pytest.raises(LabelStudioError, match=f"HTTP {status}"):
        connect().image("/data/a.png")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_bomb_is_not_unfolded(connect, store, encoding):
    bomb = b"".join(_packed(encoding, 128))
    assert len(bomb) < 2**20
    store.answers["/bucket/b.png"] = (200, bomb, ("Content-Encoding", encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LabelStudioError, match="larger than 16 MiB"):
        connect(f"127.0.0.1:{store.port}", most_bytes=16 * 2**20).image(f"{store.url}/bucket/b.png")
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 90
    assert store.asked[-1][1]["Accept-Encoding"] == "identity"


def _packed(encoding, mebibytes):
    pack = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    for _ in range(mebibytes):
        yield pack.compress(bytes(2**20))
    yield pack.flush()


def test_what_is_packed_though_nobody_asked_is_unpacked_whole_or_told(connect, store):
    connection = connect(f"127.0.0.1:{store.port}")
    noise = bytes(range(256)) * 2000
    answers = {
        "gzip": (gzip.compress(noise), "gzip"),
        "cut": (gzip.compress(noise)[:-20], "gzip"),
        "no gzip": (noise, "gzip"),
        "brotli": (noise, "br"),
        "twice": (gzip.compress(gzip.compress(noise)), "gzip, gzip"),
    }
    for name, (body, encoding) in answers.items():
        store.answers["/bucket/b.png"] = (200, body, ("Content-Encoding", encoding))
        if name == "gzip":
            assert connection.image(f"{store.url}/bucket/b.png") == noise
        else:
            with pytest.raises(LabelStudioError, match="packed"):
                connection.image(f"{store.url}/bucket/b.png")


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_given_up_in_time(connect, label_studio_server, part):
    def dripping(handler):
        try:
            if part == "body":
                handler.send_response(200)
                handler.end_headers()
            else:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(200):
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    label_studio_server.answers["/data/a.png"] = dripping
    started = time.monotonic()
    with pytest.raises(LabelStudioError, match="took more than"):
        connect(longest_s=0.6).image("/data/a.png")
    assert time.monotonic() - started < 4


def test_half_an_image_of_a_store_is_one_image_s_problem(connect, store):
    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(io.BytesIO(bytes(10)).getvalue())

    store.answers["/bucket/b.png"] = half
    with pytest.raises(LabelStudioError, match="broke off") as told:
        connect(f"127.0.0.1:{store.port}").image(f"{store.url}/bucket/b.png")
    assert not isinstance(told.value, LabelStudioDown)


# What is decoded


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width=8, height=8, bits=8, colour=0, rows=None, before=b"", after=b""):
    """A PNG by hand (ISO/IEC 15948), with what else is to stand before and after its pixels."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    rows = bytes((width * bits // 8 + 1) * height) if rows is None else rows
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + pixels + after + chunk(b"IEND", b"")
    )


def scans(count):
    """A progressive JPEG whose last scan is said so many times."""
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "jpeg", progressive=True)
    content = stream.getvalue()
    last = content.rindex(b"\xff\xda")
    length = 2 + int.from_bytes(content[last + 2 : last + 4], "big")
    return content[:last] + (content[last : last + length] + b"\0") * count + content[last:]


PACKED = zlib.compress(bytes(64 * 2**20), 9)
HOSTILE = {
    "text that unfolds": png(before=chunk(b"zTXt", b"a\0\0" + PACKED)),
    "text in other words": png(before=chunk(b"iTXt", b"a\0\1\0\0\0" + PACKED)),
    "a profile that unfolds": png(before=chunk(b"iCCP", b"a\0\0" + PACKED)),
    "text behind the pixels": png(after=chunk(b"zTXt", b"a\0\0" + PACKED)),
    "2**31 pixels": png(2**31 - 1, 1, rows=b""),
    "8192 times 8193 pixels": png(8192, 8193, rows=b""),
    "no pixels": png(0, 0, rows=b""),
    "half its pixels": png(rows=bytes(20)),
    "half a header": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0"),
    "half an animation": png(before=chunk(b"acTL", b"\0")),
    "a frame of no size": png(before=chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(3))),
    "200 scans": scans(200),
    "a GIF": b"GIF89a" + bytes(100),
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_an_image_that_is_a_trap_is_told_and_no_more(content):
    with pytest.raises(ImageError):
        read_image(content)


def test_of_an_animation_only_the_picture_is_read():
    frames = b"".join(
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * n + 1, 8, 8, 0, 0, 1, 1, 0, 0))
        + chunk(b"fdAT", struct.pack(">I", 2 * n + 2) + PACKED[:500])
        for n in range(2000)
    )
    animated = png(before=chunk(b"acTL", struct.pack(">II", 2001, 0)), after=frames)
    assert read_image(animated).shape == (8, 8)


def test_pixels_beyond_the_picture_are_not_unfolded():
    assert read_image(png(rows=bytes(64 * 2**20))).shape == (8, 8)


def test_of_sixteen_bits_the_upper_eight_count_as_in_a_browser():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    assert np.array_equal(read_image(png(bits=16, rows=rows)), values >> 8)


def test_usual_progressive_pictures_are_read():
    assert read_image(scans(20)).shape == (64, 64)


def test_broken_pictures_are_told_whatever_is_broken_in_them():
    """2,000 of them, the same each time; PNG's checksums are mended, else nothing else is seen."""
    chosen = random.Random(8)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = []
    for kind, mode, options in [
        ("png", "L", {}),
        ("png", "P", {}),
        ("png", "RGBA", {"exif": exif}),
        ("jpeg", "L", {"exif": exif}),
        ("jpeg", "RGB", {"progressive": True}),
        ("jpeg", "CMYK", {}),
    ]:
        stream = io.BytesIO()
        Image.linear_gradient("L").resize((40, 30)).convert(mode).save(stream, kind, **options)
        seeds.append(stream.getvalue())
    for _ in range(2000):
        content = bytearray(chosen.choice(seeds))
        for _ in range(chosen.choice([1, 1, 2, 4, 16])):
            at = chosen.randrange(len(content))
            if chosen.random() < 0.6:
                content[at] = chosen.randrange(256)
            else:
                content[at : at + chosen.randrange(20)] = chosen.randbytes(chosen.randrange(12))
        with contextlib.suppress(ImageError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_image(_mended(bytes(content)))


def _mended(content):
    """The same with the right checksum behind each chunk, if it is a PNG."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    made, at = content[:8], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if at + 12 + length > len(content):
            break
        made += chunk(content[at + 4 : at + 8], content[at + 8 : at + 8 + length])
        at += 12 + length
    return made + content[at:]
