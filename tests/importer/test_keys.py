"""The hospital's key."""

import stat

import pytest

from importer.keys import KeyFileError, load_or_make_key, rotate


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "key"
    key = load_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_key(path) == key
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_make_key(path)
    path.chmod(0o600)
    path.write_text("abc")
    with pytest.raises(KeyFileError, match="restore it"):
        load_or_make_key(path)


def test_rotation_keeps_the_old_key_aside_and_never_twice(tmp_path):
    path = tmp_path / "importer.key"
    first = load_or_make_key(path)
    old, new = rotate(path)
    assert old == first != new == load_or_make_key(path)
    assert load_or_make_key(tmp_path / "importer.key.old") == first
    with pytest.raises(KeyFileError, match="safe"):
        rotate(path)
