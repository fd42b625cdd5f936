"""./quorum check and disconnect, with real servers that are broken one after another."""

import base64
import io
import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import redis
from PIL import Image
from rq import Queue, Worker

from launcher import CLONE
from launcher.processes import Supervisor, free_port
from launcher.services import (
    _redis_binary,
    new_secrets,
    remove_socket,
    start_backend,
    start_redis,
)
from ml_backend.check import NAMES, State, main
from ml_backend.check.deployment import Deployment
from ml_backend.check.findings import Finding, as_json, as_text
from ml_backend.check.project import Project
from ml_backend.check.run import PROJECT, check_all, connected_projects
from ml_backend.connect import connect_project
from ml_backend.connection import connection_of, keep_disconnected
from ml_backend.disconnect import TABS, disconnect_project
from ml_backend.disconnect import main as disconnect
from ml_backend.jobs import HEAVY, QUICK, Jobs
from ml_backend.jobs.forgetting import forget, has_work
from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.settings import Settings
from ml_backend.store import Store

from .conftest import SMALL
from .in_between import http_proxy, redis_proxy

SLICES = 6
OK, FAILS, UNKNOWN = State.OK, State.FAILS, State.UNKNOWN
# Where each line was seen in each state, and by which tests, for the test at the end.
SEEN: set[tuple[str, State]] = set()
RAN: set[str] = set()


@pytest.fixture(autouse=True)
def note_that_it_ran(request):
    RAN.add(request.node.nodeid)


def seen(findings):
    """Note findings: each says something, and what to do where it fails."""
    for finding in findings:
        SEEN.add((finding.name, finding.state))
        assert finding.found and (finding.state is not FAILS or finding.remedy), finding
    return {finding.name: finding for finding in findings}


class Servers:
    """The tests' Label Studio, with a Redis and a backend that nobody else needs."""

    def __init__(self, data, url, account):
        self.data, self.url, self.account = data, url, account
        self.running, self.backend = Supervisor(), Supervisor()
        self.secrets = new_secrets()
        self.redis_url = start_redis(self.running, data)
        environment = {
            **self.secrets,
            "QUORUM_REDIS_URL": self.redis_url,
            "QUORUM_DATA_DIR": str(data),
            "LABEL_STUDIO_URL": self.url,
            "LABEL_STUDIO_API_KEY": self.account.token,
        }
        self.environment = environment
        self.settings = Settings.from_environment({**os.environ, **environment})
        port = free_port()
        self.backend_url = start_backend(self.backend, data, environment, "127.0.0.1", port)
        self.label_studio = LabelStudio(self.url, self.account.token)
        self.jobs = Jobs.connect(self.settings)

    def project(self, title, config=None):
        config = config or (CLONE / "label_config.xml").read_text()
        return self.label_studio._json(
            "POST", "/api/projects", json={"title": title, "label_config": config}
        )["id"]

    def connect(self, project):
        connect_project(self.settings, self.label_studio, project, self.backend_url)

    def stop(self):
        self.backend.stop()
        self.running.stop()
        remove_socket(self.redis_url)


@pytest.fixture(scope="module")
def servers(running, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        patch.delenv("QUORUM_REDIS_URL", raising=False)
        servers = Servers(
            tmp_path_factory.mktemp("check"), running.label_studio.url, running.account
        )
        (servers.data / "secrets.json").touch(0o600)
        try:
            yield servers
        finally:
            servers.stop()


def eventually(condition, what, timeout_s=60):
    limit = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < limit, f"{what} did not come within {timeout_s} s"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def project(servers):
    """A project with slices, connected and in order."""
    number = servers.project("Connected")
    images = {}
    for index in range(SLICES):
        content = io.BytesIO()
        pixels = np.random.default_rng(index).integers(0, 255, (32, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(content, "PNG")
        images[f"slice{index}.png"] = content.getvalue()
    urls = servers.label_studio.upload_images(number, images)
    servers.label_studio.import_tasks(number, [{"data": {"image": u}} for u in urls.values()])
    servers.connect(number)
    await_order(servers, number)
    return number


def await_order(servers, project):
    store = Store(servers.settings.store_root, project)
    eventually(
        lambda: (
            store.current() is not None
            and servers.label_studio.project(project)["model_version"] == store.current()
        ),
        "the order",
    )
    return store.current()


@pytest.fixture
def check(servers, project):
    """Check a deployment of which some settings differ; findings by name."""

    def run(projects=(), deployment=None, **settings):
        changed = replace(servers.settings, **settings)
        options = {"least_free_bytes": 1, "webhook_wait_s": 10.0, **(deployment or {})}
        found = list(check_all(Deployment(changed, **options), projects or [project]))
        by_name = seen(found)
        said = as_text(found) + as_json(found)
        for secret in (servers.account.token, *servers.secrets.values()):
            assert secret == "quorum" or secret not in said
        return by_name

    return run


@pytest.fixture
def check_project(servers, project):
    """The same of the lines about the project alone, which is quicker."""

    def run(**options):
        of_one = Project(Deployment(servers.settings, **options), project)
        return seen([one.run(of_one, project) for one in PROJECT])

    return run


def states(found, *names):
    return {name: found[name].state for name in names}


def failing(found):
    return {name for name, finding in found.items() if finding.state is FAILS}


def test_a_deployment_that_works_fails_nowhere(servers, check, project):
    found = check()
    assert failing(found) == set(), as_text(found.values())
    assert {n for n, f in found.items() if f.state is UNKNOWN} == set(), as_text(found.values())
    assert f"legacy token of {servers.account.email}" in found["token"].found
    assert "1.23.2, as tested" in found["Label Studio: version"].found
    assert found["webhook: arrives"].project == project


def test_the_command_prints_a_line_a_check_and_tells_by_its_exit_status(
    servers, project, monkeypatch, capsys
):
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    assert main(["--json", "--least-free-gib", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fails"] == 0 and [f["name"] for f in told["findings"]] == list(NAMES)
    seen([Finding(**{**found, "state": State(found["state"])}) for found in told["findings"]])
    monkeypatch.setenv("QUORUM_BATCH", "0")
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "FAILS    settings: QUORUM_BATCH must be at least 1" in said
    SEEN.add(("settings", FAILS))


@pytest.mark.parametrize(
    ("name", "settings", "deployment", "says"),
    [
        ("credentials", {"webhook_secret": ""}, {}, "QUORUM_WEBHOOK_SECRET"),
        ("token", {"label_studio_api_key": "d" * 40}, {}, "refuses the legacy token"),
        ("workers: device", {"device": "cuda"}, {}, "QUORUM_DEVICE is cuda; workers: 1 x cpu"),
        ("workers: split key", {"split_key": "other"}, {}, "have another QUORUM_SPLIT_KEY"),
        ("backend: credentials", {"basic_auth_password": "other"}, {}, "refuses the user"),
        ("backend: webhook secret", {"webhook_secret": "other"}, {}, "refuses the webhook secret"),
        ("webhook", {"webhook_secret": "other"}, {}, "is not the secret"),
        ("ML backend", {"basic_auth_user": "other"}, {}, "another user"),
        ("store: space", {}, {"least_free_bytes": 2**60}, "free on the disk"),
        ("data folder: space", {}, {"least_free_bytes": 2**60}, "free on the disk"),
        ("clock: Redis", {}, {"now": lambda: time.time() + 120}, "120 s behind"),
        ("clock: Label Studio", {}, {"now": lambda: time.time() - 90}, "s ahead of"),
    ],
)
def test_a_wrong_setting_fails_its_line(check, name, settings, deployment, says):
    found = check(deployment={"webhook_wait_s": 0.2, **deployment}, **settings)
    assert found[name].state is FAILS and says in found[name].found, found[name]


def test_a_personal_access_token_is_told_and_one_that_ended_too(servers, check):
    made = servers.label_studio._json("POST", "/api/token/", json={})["token"]
    try:
        found = check(label_studio_api_key=made)
        assert found["token"].state is OK
        assert f"personal access token of {servers.account.email}, until 2" in found["token"].found
        found = check(label_studio_api_key=made, deployment={"now": lambda: 1e10})
        assert "ended on" in found["token"].found and found["token"].state is FAILS
    finally:
        # A user has one at a time, and other tests make one too.
        servers.label_studio._call("POST", "/api/token/blacklist/", json={"refresh": made})


def test_what_cannot_be_reached_fails_once_and_leaves_the_rest_unknown(check, servers):
    nowhere = f"127.0.0.1:{free_port()}"
    found = check(label_studio_url=f"http://{nowhere}")
    assert failing(found) == {"Label Studio"}
    assert found["token"].state is found["webhook"].state is UNKNOWN
    found = check(label_studio_url=servers.backend_url)
    assert failing(found) == {"Label Studio"} and "not as a Label Studio" in as_text(found.values())
    found = check(redis_url=f"redis://user:hidden@{nowhere}/0")
    assert failing(found) == {"Redis"} and "hidden" not in as_text(found.values())
    found = check(deployment={"asked_backend_url": f"http://{nowhere}"})
    assert failing(found) >= {"backend", "ML backend", "webhook"}
    assert found["backend: strangers"].state is UNKNOWN
    found = check(deployment={"asked_backend_url": servers.url})
    assert found["backend"].state is FAILS, "Label Studio is not the backend"


def test_a_token_without_rights_fails(servers, check):
    lacking = [(b'"projects.change"', b'"projects.chance"')]
    with http_proxy(servers.url, replaced=lacking) as address:
        found = check(label_studio_url=address)
    assert found["token: rights"].state is FAILS
    assert "lacks: projects.change" in found["token: rights"].found


@pytest.mark.parametrize(("release", "state"), [("2.0.0", FAILS), ("1.99.0", UNKNOWN)])
def test_a_release_that_was_not_tested_is_told(servers, check, release, state):
    replaced = [(b'"release": "1.23.2"', f'"release": "{release}"'.encode())]
    with http_proxy(servers.url, replaced=replaced) as address:
        found = check(label_studio_url=address)["Label Studio: version"]
    assert found.state is state and "1.23.2" in found.found + found.remedy


def test_a_backend_that_lets_strangers_in_fails(servers, check):
    s = servers.secrets
    pair = basic_auth(s["QUORUM_BASIC_AUTH_USER"], s["QUORUM_BASIC_AUTH_PASSWORD"])
    with http_proxy(servers.backend_url, added={"authorization": pair}) as address:
        found = check(deployment={"asked_backend_url": address, "webhook_wait_s": 0.2})
    assert found["backend: strangers"].state is FAILS


def basic_auth(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_redis_that_forgets_drops_or_is_old_fails(servers, check, tmp_path):
    supervisor, port = Supervisor(), free_port()
    argv = [_redis_binary(), "--port", str(port), "--save", "", "--appendonly", "no"]
    argv += ["--maxmemory", "40mb", "--maxmemory-policy", "allkeys-lru", "--dir", str(tmp_path)]
    url = f"redis://127.0.0.1:{port}/0"

    def answers():
        try:
            return redis.Redis.from_url(url).ping()
        except redis.RedisError:
            return False

    try:
        supervisor.start("Redis", argv, os.environ, tmp_path / "redis.log")
        supervisor.wait_until(answers, "Redis", 20)
        found = check(redis_url=url, deployment={"webhook_wait_s": 0.2})
    finally:
        supervisor.stop()
    expected = {"Redis: persistence", "Redis: memory policy", "Redis: memory"}
    # Nobody works for this one, and the backend tells it of no event.
    expected |= {"workers", "attendant", "attendant: timers", "webhook: arrives"}
    assert failing(found) == expected
    version = redis.Redis.from_url(servers.redis_url).info()["redis_version"]
    old = f"redis_version:5{version[1:]}".encode()
    with redis_proxy(servers.redis_url, f"redis_version:{version}".encode(), old) as address:
        found = check(redis_url=address)
    assert failing(found) == {"Redis: version"}


def test_places_that_cannot_be_written_fail(servers, check, tmp_path):
    (tmp_path / "file").touch()
    found = check(data_dir=tmp_path / "file" / "data", store_url=str(tmp_path / "file" / "store"))
    assert states(found, "store", "data folder") == {"store": FAILS, "data folder": FAILS}
    assert "Not a directory" in found["store"].found


def test_a_file_of_secrets_that_others_may_read_fails(servers, check):
    path = servers.data / "secrets.json"
    path.chmod(0o644)
    try:
        found = check()
    finally:
        path.chmod(0o600)
    assert failing(found) == {"secrets file"} and "chmod 600" in found["secrets file"].remedy


def test_a_worker_with_other_code_fails(servers, check):
    connection = servers.jobs.redis
    (worker,) = Worker.all(queue=Queue(HEAVY, connection=connection))
    kept = connection.hget(worker.key, "code")
    connection.hset(worker.key, "code", "0" * 12)
    try:
        assert failing(check()) == {"workers: code"}
    finally:
        connection.hset(worker.key, "code", kept)


BREAKS = {
    "deleted": (lambda s, hook: s._call("DELETE", hook), {"webhook", "webhook: arrives"}),
    "with another secret": (
        lambda s, hook: s._call("PATCH", hook, json={"headers": {"X-Quorum-Secret": "forged"}}),
        {"webhook", "webhook: arrives"},
    ),
    "without a secret": (
        lambda s, hook: s._call("PATCH", hook, json={"headers": {}}),
        {"webhook", "webhook: arrives"},
    ),
    "switched off": (
        lambda s, hook: s._call("PATCH", hook, json={"is_active": False}),
        {"webhook", "webhook: arrives"},
    ),
    "for too few events": (
        lambda s, hook: s._call(
            "PATCH", hook, json={"send_for_all_actions": False, "actions": ["PROJECT_UPDATED"]}
        ),
        {"webhook"},
    ),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_webhook_that_is_broken_fails_and_connecting_mends_it(
    servers, project, check_project, how
):
    (hook,) = servers.label_studio.webhooks(project)
    break_it, expected = BREAKS[how]
    break_it(servers.label_studio, f"/api/webhooks/{hook['id']}/")
    assert failing(check_project(webhook_wait_s=1.0)) == expected
    servers.connect(project)
    assert failing(check_project()) == set()


def test_a_project_that_nobody_connected_fails_line_by_line(servers, check):
    bare = '<View><Image name="image" value="$image"/></View>'
    found = check([servers.project("Bare", bare)], {"webhook_wait_s": 0.2})
    assert failing(found) >= {"label config", "order", "ML backend", "webhook", "webhook: arrives"}
    elsewhere = servers.project("Elsewhere")
    url = "http://images.example/a.png"
    servers.label_studio.import_tasks(elsewhere, [{"data": {"image": url}}])
    dead = f"http://127.0.0.1:{free_port()}"
    servers.label_studio.connect_webhook(elsewhere, f"{dead}/webhook", "old")
    found = check([elsewhere], {"webhook_wait_s": 0.2})
    assert states(found, "images", "leftovers") == {"images": FAILS, "leftovers": FAILS}
    assert f"--only {dead}" in found["leftovers"].remedy
    assert failing(check([987_654])) == {"project"}


def of_ours(server, project):
    """What of ours is in a project."""
    tabs = server._json("GET", "/api/dm/views/", params={"project": project})
    record = server.project(project)
    return {
        "backends": server.backends(project),
        "webhooks": server.webhooks(project),
        "predictions": server.prediction_counts(project),
        "tabs": [t["data"]["title"] for t in tabs if t["data"].get("title") in TABS],
        "order": (record["sampling"], record["model_version"]),
    }


NOTHING = {
    "backends": [],
    "webhooks": [],
    "predictions": {},
    "tabs": [],
    "order": ("Sequential sampling", ""),
}


def test_a_project_can_be_disconnected_and_connected_again(
    servers, project, check_project, monkeypatch, capsys
):
    server, store = servers.label_studio, Store(servers.settings.store_root, project)
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    version = store.current()
    assert server.prediction_counts(project) == {version: SLICES}
    foreign = server._json(
        "POST", "/api/webhooks/", json={"project": project, "url": "http://other.example/hook"}
    )
    for again in range(2):
        assert disconnect([str(project), "--predictions"]) == 0
        said = capsys.readouterr().out
        assert ("was not connected" in said) == bool(again), said
    order = check_project(webhook_wait_s=0.2)["order"]
    assert order.state is UNKNOWN and "is disconnected" in order.found
    left = of_ours(server, project)
    assert [hook["id"] for hook in left.pop("webhooks")] == [foreign["id"]]
    server._call("DELETE", f"/api/webhooks/{foreign['id']}/")
    assert left == {k: v for k, v in NOTHING.items() if k != "webhooks"}
    assert not has_work(servers.jobs, project)
    # Neither a late event nor the periodic look brings it back.
    servers.jobs.request_look(project)
    servers.jobs.enqueue(QUICK, "reconcile_job")
    eventually(lambda: not has_work(servers.jobs, project), "forgetting it again")
    assert of_ours(server, project) == NOTHING
    assert store.current() == version, "versions stay"
    assert project not in connected_projects(Deployment(servers.settings))
    servers.connect(project)
    eventually(
        lambda: server.prediction_counts(project) == {version: SLICES}, "the order of before"
    )
    assert await_order(servers, project) == version
    assert failing(check_project()) == set()


def test_an_order_that_is_left_over_or_of_which_nothing_is_there_fails(servers, project):
    server, kept = servers.label_studio, connection_of(servers.settings, project)
    of_it, version = server.prediction_counts(project), await_order(servers, project)

    def order_line(connection=None):
        (line,) = (check for check in PROJECT if check.name == "order")
        checked = Project(Deployment(servers.settings), project)
        if connection:
            checked.connection = connection
        return line.run(checked, project)

    # No look comes to mend what is broken here, and none that had begun is still at it.
    keep_disconnected(servers.settings, project)
    try:
        eventually(lambda: forget(servers.jobs, project), "the end of all work")
        found = order_line()
        assert found.state is FAILS and f"still follows {version}" in found.found
        assert found.remedy == f"./quorum disconnect {project}"
        # One by one: of a version that is deleted at once Label Studio lets go by itself.
        for task in server.tasks(project):
            for raw in server._json("GET", "/api/predictions/", params={"task": task.id}):
                server._delete_one(raw["id"])
        found = order_line(kept)
        assert found.state is FAILS and f"no prediction of {version} is there" in found.found
    finally:
        servers.connect(project)
    eventually(lambda: server.prediction_counts(project) == of_it, "the order of before")
    assert await_order(servers, project) == version
    assert order_line().state is OK


def test_a_deleted_project_is_only_forgotten(servers, monkeypatch, capsys):
    number = servers.project("To be deleted")
    servers.connect(number)
    servers.label_studio._call("DELETE", f"/api/projects/{number}")
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    assert disconnect([str(number)]) == 0
    assert "no project" in capsys.readouterr().out
    assert not has_work(servers.jobs, number)


def test_a_mistyped_number_leaves_nothing_behind(servers):
    done = disconnect_project(servers.settings, servers.label_studio, 987_654, ["http://x.example"])
    assert done.gone and not servers.jobs.knows(987_654)


def test_a_killed_worker_and_a_dead_backend_fail_at_once(servers, project, check):
    (servers.data / "running.json").unlink(missing_ok=True)
    children = [
        process
        for process in psutil.Process().children()
        if "ml_backend.worker" in " ".join(process.cmdline())
        and str(servers.data) == process.environ().get("QUORUM_DATA_DIR")
    ]
    assert len(children) == 2
    for process in children:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    found = check(deployment={"webhook_wait_s": 1.0})
    assert failing(found) == {"workers", "attendant"}
    servers.backend.stop()
    found = check(deployment={"webhook_wait_s": 1.0})
    assert failing(found) >= {"backend", "ML backend", "webhook: arrives"}
    assert "Disconnected" in found["ML backend"].found


def test_a_project_can_be_disconnected_while_the_backend_is_down(servers, project):
    away = replace(servers.settings, redis_url="redis://127.0.0.1:1/0")
    urls = [servers.backend_url]
    assert disconnect_project(away, servers.label_studio, project, urls).forgotten is None
    assert disconnect_project(servers.settings, servers.label_studio, project, urls).forgotten
    left = of_ours(servers.label_studio, project)
    assert (left["backends"], left["webhooks"], left["order"]) == ([], [], NOTHING["order"])
    with pytest.raises(LabelStudioError):
        servers.label_studio.project(987_654)


def test_every_line_was_seen_passing_and_failing(request):
    others = {item.nodeid for item in request.node.getparent(pytest.Module).collect()} - RAN
    if others:
        pytest.skip(f"it sums up this whole file, of which {len(others)} tests were not run")
    missing = {(name, state) for name in NAMES for state in (OK, FAILS)} - SEEN
    assert missing == set()
