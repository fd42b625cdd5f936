"""./quorum backup and restore: what is kept, what is not, and in which state it comes back."""

import json
import os
import threading
from pathlib import Path

import fsspec
import pytest
import torch
from redis import Redis

from importer.keys import begin_rotation, end_rotation, load_or_make_key
from importer.vault import Vault, in_use, vault_of
from launcher.backup.archive import contents, verify
from launcher.data_lock import DataLock
from launcher.kept_secrets import load_secrets
from launcher.processes import ServiceError
from ml_backend.learning.held_out import Side
from ml_backend.progress.shares import ShareError, make_link, read_link, revoke_links
from ml_backend.settings import Settings
from ml_backend.store import Store

from .conftest import PROJECTS, SPLIT_KEY, fill, told

EVERYTHING = 1 << 40


def names(archive):
    return set(verify(archive, EVERYTHING).files)


def test_what_the_loop_goes_on_from_comes_back_in_another_place(place, archive, elsewhere):
    before = told(place.root)
    status, said = elsewhere.run("restore", archive)
    assert status == 0, said
    assert set(before) == set(PROJECTS) and told(elsewhere.root) == before
    del os.environ["QUORUM_SPLIT_KEY"]
    secrets = json.loads((elsewhere.data / "secrets.json").read_text())
    assert secrets == {"QUORUM_SPLIT_KEY": SPLIT_KEY}
    assert load_secrets(elsewhere.data)["QUORUM_SPLIT_KEY"] == SPLIT_KEY
    assert (elsewhere.data / "page.key").read_text() == "ab" * 32
    assert (elsewhere.data / "imports" / "3.jsonl").exists()


@pytest.mark.parametrize("url", ["", "memory://quorum-links"])
def test_a_link_that_was_ended_after_the_backup_stays_ended(place, tmp_path, url):
    settings = Settings(data_dir=place.data, store_url=url)
    (place.data / "page.key").chmod(0o600)
    if url:
        os.environ["QUORUM_STORE_URL"] = url
        fill(url)
    token = make_link(settings, PROJECTS[0], 7).rpartition("/")[2]
    assert place.run("backup", tmp_path / "links.tar.gz")[0] == 0
    revoke_links(Store(settings.store_root, PROJECTS[0]))
    status, said = place.run("restore", tmp_path / "links.tar.gz", "--replace")
    assert status == 0 and "Read-only links have ended" in said
    with pytest.raises(ShareError):
        read_link(settings, token)
    read_link(settings, make_link(settings, PROJECTS[0], 7).rpartition("/")[2])


def test_an_archive_and_what_comes_of_it_are_their_owner_s_alone(archive, elsewhere):
    elsewhere.run("restore", archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    for path in elsewhere.data.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_slice_no_key_and_no_scratch_is_in_a_backup(place, tmp_path):
    load_or_make_key(place.data / "importer.key")
    (place.data / "importer.vault").write_text("whom it stands for\n")
    place.run("backup", tmp_path / "b.tar.gz")
    found = names(tmp_path / "b.tar.gz")
    assert found and not any(
        part in name for name in found for part in ("importer", "pictures", "work")
    )


def test_secrets_are_kept_as_they_are_in_force(place, tmp_path):
    kept = load_secrets(place.data)  # made anew; the environment's split key comes first
    place.run("backup", tmp_path / "b.tar.gz")
    files = dict(contents(tmp_path / "b.tar.gz", verify(tmp_path / "b.tar.gz", EVERYTHING)))
    secrets = json.loads(files["secrets.json"])
    assert secrets == kept and secrets["QUORUM_SPLIT_KEY"] == SPLIT_KEY


def test_a_demo_that_runs_is_not_backed_up_in_place_of_a_deployment_that_is_stopped(
    place, tmp_path
):
    """As before an upgrade; restoring that archive would bring the demo into the deployment."""
    load_secrets(place.data)
    demo = place.data / "demo"
    fill(demo / "store", projects=(1,))
    lock = DataLock(demo)
    lock.announce("http://127.0.0.1:1", {"QUORUM_DATA_DIR": str(demo)})
    status, said = place.run("backup", tmp_path / "b.tar.gz")
    (place.data / "secrets.json").unlink()
    also, _ = place.run("backup", tmp_path / "demo.tar.gz")  # where nothing else was ever started
    lock.release()
    assert (status, also) == (0, 0), said
    for name, projects in (("b", PROJECTS), ("demo", (1,))):
        archived = names(tmp_path / f"{name}.tar.gz")
        found = {int(entry.split("/")[2]) for entry in archived if entry.startswith("store/")}
        assert found == set(projects)


@pytest.mark.parametrize("url", ["folder", "file"])
def test_a_store_elsewhere_is_found_and_restored_there(place, elsewhere, tmp_path, url):
    moved = tmp_path / "a disk"
    (place.data / "store").rename(moved)
    os.environ["QUORUM_STORE_URL"] = str(moved) if url == "folder" else moved.as_uri()
    before = told(place.root)
    assert place.run("backup", tmp_path / "b.tar.gz")[0] == 0
    os.environ["QUORUM_STORE_URL"] = str(tmp_path / "another")
    assert elsewhere.run("restore", tmp_path / "b.tar.gz")[0] == 0
    assert told(tmp_path / "another") == before
    assert not (elsewhere.data / "store").exists()


@pytest.fixture
def bucket(tmp_path):
    """An object store in this process' memory, empty."""
    root = f"memory://{tmp_path.name}"
    yield root
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_a_store_behind_a_url_is_restored_and_what_was_there_is_kept(
    archive, place, elsewhere, bucket
):
    before = told(place.root)
    os.environ["QUORUM_STORE_URL"] = bucket
    assert elsewhere.run("restore", archive)[0] == 0
    assert told(bucket) == before
    Store(bucket, 3).keep_overrides({"k": 99})
    Store(bucket, 77).keep_overrides({"k": 1})
    refused, said = elsewhere.run("restore", archive)
    assert refused == 1 and "--replace" in said and bucket in said
    assert Store(bucket, 3).overrides() == {"k": 99}
    status, said = elsewhere.run("restore", archive, "--replace")
    assert status == 0 and "before-restore" in said
    assert told(bucket) == before
    (aside,) = fsspec.filesystem("memory").glob(f"/{bucket[9:]}/*before-restore*/77/settings.json")
    assert fsspec.filesystem("memory").cat_file(aside) == b'{\n "k": 1\n}'


def test_a_restore_into_a_url_can_break_off_at_every_write_and_be_done_again(
    archive, place, elsewhere, bucket, monkeypatch
):
    from ml_backend.store.remote import RemoteObjects

    os.environ["QUORUM_STORE_URL"] = bucket
    before, put = told(place.data / "store"), RemoteObjects.put
    Store(bucket, 77).keep_overrides({"k": 1})
    for count in range(3, 40, 3):
        left = iter(range(count))

        def breaks(self, key, content, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            put(self, key, content)

        monkeypatch.setattr(RemoteObjects, "put", breaks)
        try:
            elsewhere.run("restore", archive, "--replace")
            break
        except KeyboardInterrupt:
            for project_id in (77, *PROJECTS):  # a pointer is never ahead of its version
                store = Store(bucket, project_id)
                assert store.current() is None or store.states(store.current())
    monkeypatch.setattr(RemoteObjects, "put", put)
    status, said = elsewhere.run("restore", archive, "--replace")
    assert status == 0, said
    assert told(bucket) == before
    assert fsspec.filesystem("memory").glob(f"/{bucket[9:]}/*before-restore*/77/settings.json")


def test_what_is_there_is_refused_and_kept_beside_it_with_replace(place, archive):
    Store(place.root, 3).keep_overrides({"k": 99})
    before = place.snapshot()
    status, said = place.run("restore", archive)
    assert status == 1 and "--replace" in said
    names = ("store/projects", "imports/3.jsonl", "page.key")
    there = ", ".join(str(place.data / name.split("/3")[0]) for name in names)
    assert f"there already: {there}. Move that away" in said
    assert f"there already: {there}.\n" in place.run("restore", archive, "--dry-run")[1]
    assert place.snapshot() == before
    status, said = place.run("restore", archive, "--replace")
    assert status == 0, said
    assert Store(place.root, 3).overrides() == {"k": 3}
    (aside,) = (place.data / "store").glob("projects.before-restore-*")
    assert str(aside) in said
    assert json.loads((aside / "3" / "settings.json").read_text()) == {"k": 99}
    assert len(list(place.data.glob("page.key.before-restore-*"))) == 1


def test_a_dry_run_writes_nothing(place, archive, elsewhere):
    for at in (place, elsewhere):
        before = at.snapshot()
        status, said = at.run("restore", archive, "--dry-run")
        assert "is whole" in said and at.snapshot() == before
        assert status == (1 if at is place else 0)  # as the restore would end
    assert not elsewhere.data.exists()


def test_nothing_is_restored_while_the_loop_runs(archive, elsewhere):
    lock = DataLock(elsewhere.data)
    lock.announce("http://127.0.0.1:9090", {})
    status, said = elsewhere.run("restore", archive)
    assert status == 1 and "running already at http://127.0.0.1:9090" in said
    lock.release()
    assert elsewhere.run("restore", archive)[0] == 0


def test_nothing_is_restored_while_workers_of_other_hosts_are_there(archive, elsewhere, redis_url):
    from rq import Worker

    redis = Redis.from_url(redis_url)
    redis.flushall()  # of workers that other tests have registered
    worker = Worker(["backup-test"], connection=redis)
    worker.register_birth()
    os.environ["QUORUM_REDIS_URL"] = redis_url
    try:
        status, said = elsewhere.run("restore", archive)
    finally:
        worker.register_death()
    assert status == 1 and "workers are still there" in said
    assert elsewhere.run("restore", archive)[0] == 0


def test_nothing_starts_in_the_middle_of_a_restore(place, archive):
    (place.data / "restoring.json").write_text('{"archive": "another"}')
    with pytest.raises(ServiceError, match=r"interrupted: give the same \./quorum restore again"):
        DataLock(place.data)
    assert place.run("restore", archive, "--replace")[0] == 0
    DataLock(place.data).release()


def test_half_a_restore_is_not_backed_up(place, archive, tmp_path):
    (place.data / "restoring.json").write_text('{"archive": "another"}')
    status, said = place.run("backup", tmp_path / "half.tar.gz")
    assert status == 1 and "give the same ./quorum restore again" in said
    assert not (tmp_path / "half.tar.gz").exists()
    assert place.run("restore", archive, "--replace")[0] == 0
    assert place.run("backup", tmp_path / "whole.tar.gz")[0] == 0


def test_a_backup_overwrites_nothing_and_wants_a_folder(place, archive, tmp_path):
    before = archive.read_bytes()
    status, said = place.run("backup", archive)
    assert status == 1 and "choose another name" in said and archive.read_bytes() == before
    status, said = place.run("backup", tmp_path / "no" / "b.tar.gz")
    assert status == 1 and "make it first" in said


def test_an_empty_store_is_told_and_so_is_a_damaged_version(place, elsewhere, tmp_path):
    elsewhere.data.mkdir()
    status, said = elsewhere.run("backup", tmp_path / "empty.tar.gz")
    assert status == 1 and "QUORUM_STORE_URL" in said
    assert list(tmp_path.glob("*empty*")) == list(tmp_path.glob(".quorum-backup-*")) == []
    (weights,) = (place.root / "projects/3/versions/r0001-abcde1").glob("member-1-*")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    status, said = place.run("backup", tmp_path / "b.tar.gz")
    assert status == 1 and "r0001-abcde1 of projects/3 is damaged" in said
    assert place.run("restore", tmp_path / "b.tar.gz", "--replace")[0] == 0
    assert Store(place.root, 3).states("r0000-abcde0")


def test_a_backup_made_while_versions_come_and_go_is_always_whole(place, elsewhere, tmp_path):
    """Its pointer names a version that is in it, and whoever trained that has a side in it."""
    ended, patients = threading.Event(), {}

    def write():
        store, number = Store(place.root, 3), 2
        while not ended.is_set():
            patients[f"q{number}"] = Side.TRAINING
            store.keep_sides(patients)
            name = f"r{number:04d}-abcdef"
            members = [{"w": torch.randn(3000)} for _ in range(3)]
            store.publish(name, members, {"patients": sorted(patients)})
            store.note(name, "order", {"tasks": [number]})
            store.point_to(name)
            if number % 3 == 0:
                store.point_to(store.versions()[0])  # a rollback
            store.retain(2)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        for number in range(12):
            archive = tmp_path / f"{number}.tar.gz"
            status, said = place.run("backup", archive)
            assert status == 0, said
            status, said = elsewhere.run("restore", archive, "--replace")
            assert status == 0, said
            store = Store(elsewhere.root, 3)
            current = store.current()
            assert current in store.versions()
            assert store.noted(current, "order")["tasks"]
            for name in store.versions():
                assert len(store.states(name)) in (2, 3)
                assert set(store.metadata(name).get("patients", [])) <= set(store.sides())
            seen.add(current)
    finally:
        ended.set()
        writer.join()
    assert len(seen) > 3  # much happened meanwhile


# -- the hospital's side --------------------------------------------------------------------------


def entries_of(key):
    return dict(Vault(vault_of(key), load_or_make_key(key)).entries())


@pytest.fixture
def hospital(elsewhere):
    """A key with its vault."""
    key = elsewhere.data / "importer.key"
    vault = Vault(vault_of(key), load_or_make_key(key))
    vault.keep("a pseudonym", {"PatientID": "4711"})
    vault.flush()
    return elsewhere


def test_the_key_and_the_vault_come_back_and_nothing_else_is_with_them(hospital, tmp_path):
    key, before = hospital.data / "importer.key", hospital.snapshot()
    status, said = hospital.run("backup", tmp_path / "h.tar.gz", "--hospital")
    assert status == 0 and "safe" in said
    assert names(tmp_path / "h.tar.gz") == {"importer.key", "importer.vault"}
    key.unlink()
    vault_of(key).unlink()
    assert hospital.run("restore", tmp_path / "h.tar.gz")[0] == 0
    assert hospital.snapshot() == before
    assert entries_of(key) == {"a pseudonym": {"PatientID": "4711"}}


def test_a_key_of_another_name_and_a_newer_one_are_handled(hospital, tmp_path):
    key = hospital.data / "importer.key"
    hospital.run("backup", tmp_path / "h.tar.gz", "--hospital")
    old, new = begin_rotation(key)
    Vault(vault_of(key), old).rewrite(new, lambda: end_rotation(key))
    status, said = hospital.run("restore", tmp_path / "h.tar.gz")
    assert status == 1 and "--replace" in said
    assert hospital.run("restore", tmp_path / "h.tar.gz", "--replace")[0] == 0
    assert load_or_make_key(key) == old and entries_of(key)
    other = tmp_path / "safe" / "ours"
    assert hospital.run("restore", tmp_path / "h.tar.gz", "--key", other)[0] == 0
    assert entries_of(other) == entries_of(key)
    assert hospital.run("backup", tmp_path / "o.tar.gz", "--hospital", "--key", other)[0] == 0


def test_nothing_is_restored_while_an_import_uses_the_key(hospital, tmp_path):
    """It would go on under the old key, and nobody could be revealed with the new one."""
    key = hospital.data / "importer.key"
    hospital.run("backup", tmp_path / "h.tar.gz", "--hospital")
    before = hospital.snapshot()
    with in_use(vault_of(key)):
        status, said = hospital.run("restore", tmp_path / "h.tar.gz", "--replace")
        assert status == 1 and "import" in said and "then restore" in said
        assert hospital.snapshot() == before
    assert hospital.run("restore", tmp_path / "h.tar.gz", "--replace")[0] == 0


@pytest.fixture
def key_alone(tmp_path, hospital):
    """A backup from before the first import, with a key and without a vault."""
    key = tmp_path / "first.key"
    load_or_make_key(key)
    assert hospital.run("backup", tmp_path / "k.tar.gz", "--hospital", "--key", key)[0] == 0
    return tmp_path / "k.tar.gz"


def test_a_vault_of_another_key_goes_aside_with_it(hospital, key_alone):
    key = hospital.data / "importer.key"
    vault = vault_of(key).read_bytes()
    status, said = hospital.run("restore", key_alone, "--replace")
    assert status == 0 and "no vault" in said
    assert not vault_of(key).exists()
    (aside,) = hospital.data.glob("importer.vault.before-restore-*")
    assert str(aside) in said and aside.read_bytes() == vault


def test_a_vault_that_went_aside_is_never_overwritten(hospital, key_alone, monkeypatch):
    """An import between an interrupted restore and its repetition begins another one."""
    vault = vault_of(hospital.data / "importer.key")
    before, rename = vault.read_bytes(), Path.rename

    def breaks(self, target):
        if self.name == "importer.key":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", breaks)
    with pytest.raises(KeyboardInterrupt):
        hospital.run("restore", key_alone, "--replace")
    monkeypatch.setattr(Path, "rename", rename)
    vault.write_bytes(b"of an import meanwhile\n")
    status, said = hospital.run("restore", key_alone, "--replace")
    assert status == 1 and "came back" in said
    (aside,) = hospital.data.glob("importer.vault.before-restore-*")
    assert aside.read_bytes() == before
    vault.unlink()
    assert hospital.run("restore", key_alone, "--replace")[0] == 0


def test_a_vault_that_the_key_does_not_open_is_no_backup(hospital, tmp_path, monkeypatch):
    monkeypatch.setattr("launcher.backup.reading._ATTEMPTS", 2)
    key = hospital.data / "importer.key"
    key.unlink()
    status, said = hospital.run("backup", tmp_path / "h.tar.gz", "--hospital")
    assert status == 1 and "there is no key file" in said
    load_or_make_key(key)
    status, said = hospital.run("backup", tmp_path / "h.tar.gz", "--hospital")
    assert status == 1 and "was not written with this key" in said
    assert not (tmp_path / "h.tar.gz").exists()


def test_a_redis_that_refuses_to_tell_is_not_taken_for_one_without_workers(
    place, archive, redis_url, tmp_path
):
    redis = Redis.from_url(redis_url)
    redis.acl_setuser("restorer", enabled=True, passwords=["+right"], commands=["+ping"])
    try:
        os.environ["QUORUM_REDIS_URL"] = redis_url.replace("://", "://restorer:wrong@", 1)
        status, said = place.run("restore", archive, "--replace")
        assert status == 1 and "cannot be asked" in said
        os.environ["QUORUM_REDIS_URL"] = f"unix://{tmp_path}/none.sock"  # it does not run
        assert place.run("restore", archive, "--replace")[0] == 0
    finally:
        redis.acl_deluser("restorer")


def test_a_pipe_that_somebody_left_in_the_folder_is_not_waited_for(place, tmp_path):
    os.mkfifo(tmp_path / ".quorum-backup-x")
    assert place.run("backup", tmp_path / "b.tar.gz")[0] == 0
