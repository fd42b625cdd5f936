"""What the demo remembers of itself."""

import json
import os

import pytest

from demo.folder import load_state
from launcher.processes import ServiceError


def test_what_is_kept_of_a_demo_is_its_owners_alone(tmp_path):
    os.umask(0o022)
    state = load_state(tmp_path)
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "demo.json").read_text()) == state
    assert load_state(tmp_path) == state


def test_what_is_damaged_is_told_with_the_remedy(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(ServiceError, match="damaged: delete"):
        load_state(tmp_path)
