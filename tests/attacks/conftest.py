"""A backend with a real Redis and a real store, and who attacks it."""

import pytest

from ml_backend.app import create_app
from ml_backend.figures.quality import refresh_quality
from ml_backend.jobs import Jobs
from ml_backend.jobs.state import PROJECTS
from ml_backend.settings import Settings
from ml_backend.store import Store

PROJECT = 4
USER, PASSWORD, SECRET = "quorum", "correct horse", "battery staple"
CURRENT = "r0001-123456"


def settings_in(folder, redis_url):
    """What the attacked backend runs with; nobody listens where its Label Studio should be."""
    settings = Settings(
        redis_url=redis_url,
        data_dir=folder,
        label_studio_url="http://127.0.0.1:9",
        label_studio_api_key="0" * 40,
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        webhook_secret=SECRET,
        patience_s=0.0,
        device="cpu",
    )
    Jobs.connect(settings).redis.flushall()
    return settings


def connect(settings):
    """Make the project known, with a version and what a look keeps."""
    Jobs.connect(settings).redis.sadd(PROJECTS, PROJECT)
    store = Store(settings.store_root, PROJECT)
    metadata = {
        "version": CURRENT,
        "labels": ["disc"],
        "training": {},
        "training_tasks": [1, 2],
        "evaluation_tasks": [3],
        "held_out_unit": "patient",
        "quality": {"mean_iou": 0.8, "dice": 0.9, "classes": {"disc": {"iou": 0.8, "dice": 0.9}}},
        "published_at": "2026-01-02T03:04:05+00:00",
    }
    store.publish(CURRENT, [], metadata)
    store.point_to(CURRENT)
    refresh_quality(store)
    store.keep_figures("standing", {"project_id": PROJECT, "title": "Hearts", "counts": {}})
    return store


@pytest.fixture
def backend_settings(redis_url, tmp_path):
    """Settings of a backend of the test's own."""
    return settings_in(tmp_path, redis_url)


@pytest.fixture
def connected(backend_settings):
    """A project that is connected."""
    return connect(backend_settings)


@pytest.fixture
def backend(backend_settings, connected):
    """The application."""
    return create_app(backend_settings)
