"""The two places that a store can be in, and something to put there."""

import uuid

import pytest
import torch

from ml_backend.store.places import objects_at

FIRST, SECOND, THIRD = "r0000-abcdef", "r0001-123456", "r0002-fedcba"
METADATA = {"labels": ["A"], "training": {}}


def state(value):
    return {"weight": torch.full((3,), float(value)), "count": torch.tensor(value)}


@pytest.fixture(params=["folder", "object store"])
def root(request, tmp_path):
    """Where a store can begin: a folder that is not there yet, or an fsspec URL."""
    if request.param == "folder":
        return tmp_path / "store"
    return f"memory://quorum-{uuid.uuid4().hex}/store"


@pytest.fixture
def objects(root):
    """The bytes below the root, past the store."""
    return objects_at(root)
