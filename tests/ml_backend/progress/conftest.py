"""A backend with pages, a real Redis and a real store, and browsers and scripts that ask it."""

import re
import socket
import threading

import pytest

from ml_backend.app import create_app
from ml_backend.figures.quality import refresh_quality
from ml_backend.jobs import Jobs
from ml_backend.settings import Settings
from ml_backend.store import Store

PROJECT = 4
USER, PASSWORD = "quorum", "correct horse"
OLD, CURRENT = "r0000-abcdef", "r0001-123456"
_TOKEN = re.compile(r'name="csrf"\s+value="([^"]+)"')


def metadata(version, labels=6):
    return {
        "version": version,
        "labels": ["disc"],
        "training": {},
        "training_tasks": list(range(labels)),
        "evaluation_tasks": [90, 91],
        "held_out_unit": "patient",
        "quality": {"mean_iou": 0.8, "dice": 0.9, "classes": {"disc": {"iou": 0.8, "dice": 0.9}}},
        "published_at": "2026-01-02T03:04:05+00:00",
    }


@pytest.fixture
def settings(redis_url, tmp_path):
    settings = Settings(
        redis_url=redis_url,
        data_dir=tmp_path,
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        webhook_secret="battery staple",
    )
    Jobs.connect(settings).redis.flushall()
    return settings


@pytest.fixture
def jobs(settings):
    return Jobs.connect(settings)


@pytest.fixture
def store(settings):
    """A project's store with two versions and a standing."""
    store = Store(settings.store_root, PROJECT)
    for version in (OLD, CURRENT):
        store.publish(version, [], metadata(version))
    store.point_to(CURRENT)
    refresh_quality(store)
    counts = {"slices": 100, "labelled": 8, "partly": 0, "pool": 72, "held_out": 20}
    counts |= {"evaluation": 2, "skipped": 0, "auto": 0, "waiting": 92}
    store.keep_figures(
        "standing",
        {"project_id": PROJECT, "title": "Hearts", "updated_at": "2026-01-02", "counts": counts},
    )
    return store


@pytest.fixture
def app(settings, store):
    return create_app(settings)


@pytest.fixture
def browser(app):
    """A browser that has not signed in."""
    return app.test_client()


def token_of(page):
    """The secret in a page's forms."""
    found = _TOKEN.search(page.text)
    assert found, page.text[:500]
    return found[1]


def sign_in(browser, password=PASSWORD, user=USER, onward="/progress/4", **more):
    token = token_of(browser.get("/sign-in"))
    form = {"user": user, "password": password, "next": onward, "csrf": token}
    return browser.post("/sign-in", data=form, **more)


@pytest.fixture
def signed_in(browser):
    """A browser of somebody who has signed in."""
    assert sign_in(browser).status_code == 303
    return browser


def act(browser, name, *, headers=None, **form):
    """Press a button on the project's page."""
    token = token_of(browser.get(f"/progress/{PROJECT}/confirm/{name}"))
    return browser.post(
        f"/progress/{PROJECT}/actions/{name}", data={"csrf": token, **form}, headers=headers or {}
    )


@pytest.fixture
def link(signed_in, app):
    """A read-only link's path, made by somebody on the page."""
    assert act(signed_in, "share", days="3").status_code == 303
    page = signed_in.get(f"/progress/{PROJECT}").text
    return re.search(r"/view/[A-Za-z0-9_.-]+", page)[0]


@pytest.fixture
def viewer(app, link):
    """A browser that has followed the read-only link."""
    browser = app.test_client()
    assert browser.get(link).status_code == 303
    return browser


@pytest.fixture
def hangs_up():
    """A port at which whoever calls is hung up on, and the calls that came so far."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                calls.append(1)
                caller.close()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)
