"""The hospital's key."""

import multiprocessing
import os
import stat

import pytest

from importer.keys import KeyFileError, begin_rotation, end_rotation, load_or_make_key

from .files import small_files_only


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


@pytest.mark.parametrize("linkable", [True, False])
def test_rotation_keeps_the_old_key_aside_and_never_twice(tmp_path, linkable, monkeypatch):
    if not linkable:
        monkeypatch.setattr(os, "link", _no_links)
    path = tmp_path / "importer.key"
    first = load_or_make_key(path)
    old, new = begin_rotation(path)
    assert old == first == load_or_make_key(path)
    end_rotation(path)
    assert old != new == load_or_make_key(path)
    assert load_or_make_key(tmp_path / "importer.key.old") == first
    with pytest.raises(KeyFileError, match="safe"):
        begin_rotation(path)


@pytest.mark.parametrize("linkable", [True, False])
def test_a_full_disk_leaves_no_key_that_seems_damaged(tmp_path, linkable, monkeypatch):
    path = tmp_path / "importer.key"
    if not linkable:
        monkeypatch.setattr(os, "link", _no_links)
    with small_files_only(10), pytest.raises(KeyFileError, match="cannot be made"):
        load_or_make_key(path)
    assert list(tmp_path.iterdir()) == []
    assert load_or_make_key(path) == load_or_make_key(path)
    assert list(tmp_path.iterdir()) == [path]


def test_importers_that_start_at_once_have_one_key(tmp_path):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        for n in range(40):
            path = tmp_path / f"{n}.key"
            assert len(set(pool.map(load_or_make_key, [path] * 8, chunksize=1))) == 1


def _no_links(*_):
    raise PermissionError(1, "Operation not permitted")
