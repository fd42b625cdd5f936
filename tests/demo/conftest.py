"""The demo makes all that its process writes its owner's: not what tests after it write."""

import os

import pytest


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
