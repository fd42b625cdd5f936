"""Servers that many tests share; each is stopped by the fixture that started it."""

import pytest

from launcher.processes import Supervisor
from launcher.services import remove_socket, start_redis


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """A real Redis of the tests' own."""
    supervisor = Supervisor()
    url = start_redis(supervisor, tmp_path_factory.mktemp("redis"))
    try:
        yield url
    finally:
        supervisor.stop()
        remove_socket(url)
