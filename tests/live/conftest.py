"""The real servers, started once: Redis, Label Studio, the backend and a worker, all connected."""

import time

import pytest

from demo import run
from demo.crowd import sign_up
from launcher.processes import Supervisor, free_port
from launcher.services import remove_socket
from ml_backend.jobs import Jobs
from ml_backend.store import Store

# A committee too small to draw well, but quick: these tests are about the loop.
SMALL = {
    "QUORUM_K": "12",
    "QUORUM_BATCH": "6",
    "QUORUM_MEMBERS": "2",
    "QUORUM_WIDTH": "4",
    "QUORUM_SCALES": "3",
    "QUORUM_SIDE_PX": "64",
    "QUORUM_STEPS": "8",
    "QUORUM_TRAIN_BATCH": "4",
    "QUORUM_EVALUATION_SLICES": "3",
    "QUORUM_DEVICE": "cpu",
    # As it comes: the product must cope with that.
    "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short": "false",
    # Annotators who take no time would always be ahead of the next batch.
    "QUORUM_AHEAD": "no",
    # The timer must not do what the webhook is tested to do.
    "QUORUM_RECONCILE_S": "3600",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/live" in str(item.path):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """The demo, up and connected, on free ports and in a folder of its own."""
    data = tmp_path_factory.mktemp("live")
    supervisor, started = Supervisor(), {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        patch.delenv("QUORUM_REDIS_URL", raising=False)
        try:
            yield run.start(supervisor, data, (free_port(), free_port()), started)
        finally:
            supervisor.stop()
            remove_socket(started.get("redis", ""))


@pytest.fixture(scope="session")
def annotators(running):
    """Three accounts of the project's organisation."""
    token = running.account.token
    return [
        sign_up(running.label_studio.url, token, f"reader{n}@clinic.example")[0] for n in range(3)
    ]


@pytest.fixture(scope="session")
def store(running):
    return Store(running.settings.store_root, running.project_id)


@pytest.fixture(scope="session")
def jobs(running):
    return Jobs.connect(running.settings)


@pytest.fixture
def eventually(running):
    """Wait until a condition holds; fails with what it was about, or if a service died."""

    def wait(condition, what, timeout_s=90.0):
        limit = time.monotonic() + timeout_s
        while time.monotonic() < limit:
            value = condition()
            if value:
                return value
            running.supervisor.check()
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come within {timeout_s} s")

    return wait
