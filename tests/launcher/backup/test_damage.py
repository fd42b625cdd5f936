"""Archives that are damaged or hostile, and commands that are killed or meet a full disk."""

import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import sys
import tarfile

import pytest

from launcher.backup import COMMANDS
from launcher.backup.archive import BackupError, contents, verify
from launcher.data_lock import DataLock

from .conftest import told

EVERYTHING = 1 << 40


# -- damaged --------------------------------------------------------------------------------------


def test_an_archive_cut_anywhere_is_refused(archive, tmp_path):
    content, cut = archive.read_bytes(), tmp_path / "cut"
    for length in [*range(0, len(content), 1000), len(content) - 8, len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(BackupError):
            verify(cut, EVERYTHING)


def test_a_flipped_bit_is_found_or_changes_nothing(archive, tmp_path):
    content, flipped = archive.read_bytes(), tmp_path / "flipped"
    whole = verify(archive, EVERYTHING)
    files, found = dict(contents(archive, whole)), 0
    unpacked = gzip.decompress(content)
    for position in [
        *range(16),
        *range(16, len(content), 997),
        *range(len(content) - 8, len(content)),
    ]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        flipped.write_bytes(damaged)
        try:
            same = dict(contents(flipped, verify(flipped, EVERYTHING)))
        except BackupError:
            found += 1
        else:
            assert same == files
            # gzip's own header (time and system), or bits that fill up a byte before stored ones.
            assert position < 10 or gzip.decompress(damaged) == unpacked
    assert found > len(content) // 997


def test_a_damaged_archive_changes_nothing_and_says_so(place, archive):
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    # More than the bits that mean nothing before a stored block of gzip.
    content[middle : middle + 16] = bytes(byte ^ 255 for byte in content[middle : middle + 16])
    archive.write_bytes(content)
    before = place.snapshot()
    status, said = place.run("restore", archive, "--replace")
    assert status == 1 and "take another" in said and "Traceback" not in said
    assert place.snapshot() == before


def test_an_archive_that_is_replaced_between_checking_and_reading_is_noticed(archive, tmp_path):
    whole, other = verify(archive, EVERYTHING), tmp_path / "other"
    for changed in ({"secrets.json": b"{}"}, {}):
        other.write_bytes(made(changed))
        with pytest.raises(BackupError, match="changed meanwhile"):
            dict(contents(other, whole))


# -- hostile --------------------------------------------------------------------------------------


def made(files, kind="backend", listed=None, extra=(), **about):
    """An archive by Python's own tarfile; `extra` are TarInfo with content, before the manifest."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            add(tar, tarfile.TarInfo(name), content)
        for header, content in extra:
            add(tar, header, content)
        if listed is None:
            listed = {n: [len(c), hashlib.sha256(c).hexdigest()] for n, c in files.items()}
        manifest = {"format": 1, "kind": kind, "files": listed, **about}
        add(tar, tarfile.TarInfo("manifest.json"), json.dumps(manifest).encode())
    return stream.getvalue()


def add(tar, header, content):
    if header.isreg() and header.size == 0:
        header.size = len(content)
    tar.addfile(header, io.BytesIO(content))


def special(kind, name="secrets.json", link=""):
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, link
    return header, b""


def begins_with(name, size, kind=tarfile.REGTYPE, content=b""):
    """A tar whose first header says so."""
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, size
    block = header.tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(block + content + bytes(-len(content) % 512 + 1024))


GOOD = {"secrets.json": b"{}", "store/projects/3/current": b"r0000-abcde0"}
BAD_NAMES = [
    "/etc/passwd",
    "../secrets.json",
    "store/projects/3/../../../x",
    "store/projects/3/versions/../../x",
    "store/projects/3/.hidden",
    "store/projects/3/work/r0000-abcdef/gathered",
    "store/projects/03/current",
    "store/projects/x/current",
    "store/other/3/current",
    "store/projects/3/a/b/c/d",
    "store/projects/3/current\n",
    "store//projects/3/current",
    "./secrets.json",
    "importer.key",
    "running.json",
    "lock",
    "C:\\x",
    "store/projects/3/cürrent",
    "store/projects/3/" + "n" * 101,
]


def test_the_attacks_below_are_refused_for_what_is_wrong_with_them(tmp_path):
    path = tmp_path / "good"
    path.write_bytes(made(GOOD))
    assert set(verify(path, EVERYTHING).files) == set(GOOD)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_backup_has_is_refused(name, tmp_path):
    path = tmp_path / "hostile"
    path.write_bytes(made({**GOOD, name: b"x"}))
    with pytest.raises(BackupError):
        verify(path, EVERYTHING)


HOSTILE = {
    "a symbolic link": made(GOOD, extra=[special(tarfile.SYMTYPE, link="/etc/passwd")]),
    "a hard link": made(GOOD, extra=[special(tarfile.LNKTYPE, link="secrets.json")]),
    "a folder": made(GOOD, extra=[special(tarfile.DIRTYPE, "store/projects/3/versions")]),
    "a pipe": made(GOOD, extra=[special(tarfile.FIFOTYPE, "page.key")]),
    "a device": made(GOOD, extra=[special(tarfile.CHRTYPE, "page.key")]),
    "a header of 1 GB": begins_with("x", 1 << 30, tarfile.XHDTYPE),
    "a name of 1 GB": begins_with("x", 1 << 30, tarfile.GNUTYPE_LONGNAME),
    "a file said to have 4 EB": begins_with("page.key", 1 << 62),
    "a file said to have less than nothing": begins_with("page.key", -1),
    "a name twice": made(GOOD, extra=[(tarfile.TarInfo("secrets.json"), b"[]")]),
    "a file that is not listed": made(GOOD, extra=[(tarfile.TarInfo("page.key"), b"x")]),
    "a file that is missing": made({}, listed={"page.key": [1, "0" * 64]}),
    "another content": made(GOOD, listed={name: [2, "0" * 64] for name in GOOD}),
    "a list of numbers": made(GOOD, listed=[1, 2]),
    "a size in words": made(GOOD, listed={name: ["many", "0" * 64] for name in GOOD}),
    "another kind": made(GOOD, kind="everything"),
    "the hospital's key in the backend's": made({**GOOD, "importer.key": b"x"}),
    "the backend's secrets in the hospital's": made(GOOD, kind="hospital"),
    "of a newer release": made(GOOD, format=2),
    "a format of its own": made(GOOD, format="1"),
    "a manifest of brackets": begins_with("manifest.json", 102_400, content=b"[" * 102_400),
    "a manifest said to have 4 GB": begins_with("manifest.json", 4 << 30),
    "two manifests": made(GOOD, extra=[(tarfile.TarInfo("manifest.json"), b"{}")]),
    "something behind its end": made(GOOD) + gzip.compress(b"x" * 100),
    "garbage behind its end": made(GOOD) + b"x" * 100,
    "no tar": gzip.compress(b"x" * 10_000),
    "no gzip": b"x" * 10_000,
    "nothing": b"",
    "an empty gzip": gzip.compress(b""),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_in_words_and_writes_nothing(what, elsewhere, tmp_path):
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[what])
    status, said = elsewhere.run("restore", path)
    assert status == 1 and said.startswith("quorum restore: ") and "Traceback" not in said
    assert not elsewhere.data.exists()


def test_a_file_in_a_folder_s_place_changes_nothing(place, tmp_path):
    path, before = tmp_path / "hostile", place.snapshot()
    path.write_bytes(made({**GOOD, "store/projects/3/a": b"x", "store/projects/3/a/b": b"x"}))
    assert place.run("restore", path, "--replace")[0] == 1
    assert place.snapshot() == before


def test_a_bomb_is_stopped_at_what_is_free_and_needs_no_memory(tmp_path):
    path = tmp_path / "bomb"
    header = tarfile.TarInfo("store/projects/3/current")
    header.size = 3 << 30
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.tobuf())
        for _ in range(64):
            stream.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BackupError, match="make room"):
        verify(path, 1 << 30)
    with pytest.raises(BackupError, match="cut short"):
        verify(path, 1 << 32)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # kB


# -- killed, and full disks -----------------------------------------------------------------------

_WRITES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")


def in_a_child(place, arguments, kill_at=None, most_bytes=None):
    """A command in a forked process: its exit status, negative if it was killed; its changes.

    kill -9 comes just before its kill_at-th change to a disk.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if child:
        os.close(writes)
        with os.fdopen(reads) as stream:
            changes = len(stream.read())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), changes
    try:
        os.environ["QUORUM_DATA_DIR"] = str(place.data)
        count = 0

        def watch(event, details):
            nonlocal count
            opened = event == "open" and isinstance(details[2], int) and details[2] & 3
            if opened or event in _WRITES:
                count += 1
                os.write(writes, b".")
                if count == kill_at:
                    os.kill(os.getpid(), 9)

        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        sys.addaudithook(watch)
        status = COMMANDS[arguments[0]]([str(argument) for argument in arguments[1:]])
        sys.stdout.flush()
        os._exit(status)
    finally:
        os._exit(99)


def test_a_backup_killed_anywhere_leaves_a_whole_archive_or_none(place, tmp_path):
    before = told(place.root)
    for kill_at in range(1, 40):
        archive = tmp_path / f"{kill_at}.tar.gz"
        status, _ = in_a_child(place, ["backup", archive], kill_at)
        assert status in (0, -9)
        assert not archive.exists() or verify(archive, EVERYTHING)
        if status == 0:
            break
    assert kill_at > 3 and status == 0 and archive.exists()
    assert told(place.root) == before


def test_what_killed_backups_left_is_removed_once_it_is_old(place, tmp_path):
    left, fresh = tmp_path / ".quorum-backup-x", tmp_path / ".quorum-backup-y"
    for path in (left, fresh):
        path.write_bytes(b"secrets")
    os.utime(left, (1, 1))
    assert place.run("backup", tmp_path / "b.tar.gz")[0] == 0
    assert sorted(path.name for path in tmp_path.glob(".quorum*")) == [fresh.name]


@pytest.mark.parametrize("replace", [False, True], ids=["into nothing", "over another"])
def test_a_restore_killed_anywhere_is_done_by_the_same_command_again(
    place, archive, elsewhere, replace
):
    wanted = told(place.root)
    command = ["restore", archive, *(["--replace"] if replace else [])]

    def fresh():
        shutil.rmtree(elsewhere.data, ignore_errors=True)
        if replace:
            assert elsewhere.run("restore", archive)[0] == 0
            (elsewhere.data / "page.key").write_text("cd" * 32)

    fresh()
    status, changes = in_a_child(elsewhere, command)
    assert status == 0 and changes > 40
    # Some moments of the staging, and every one of the moving.
    for kill_at in [1, 2, changes // 4, changes // 2, *range(changes - 14, changes + 1)]:
        fresh()
        assert in_a_child(elsewhere, command, kill_at)[0] == -9
        if not (elsewhere.data / "restoring.json").exists() and told(elsewhere.root):
            assert told(elsewhere.root) == wanted  # before it or after it
        status, said = elsewhere.run(*command)
        finished = not replace and status == 1 and "there already: " in said
        assert status == 0 or finished, (kill_at, said)
        assert told(elsewhere.root) == wanted
        assert (elsewhere.data / "page.key").read_text() == "ab" * 32
        if replace:
            kept = elsewhere.data.glob("page.key.before-restore-*")
            assert "cd" * 32 in [path.read_text() for path in kept]
        DataLock(elsewhere.data).release()
        assert list(elsewhere.data.rglob(".restoring*")) == []


@pytest.mark.parametrize("most_bytes", [100, 5_000, 15_000, 60_000])
def test_a_full_disk_leaves_no_half_backup_and_no_half_restore(
    place, archive, elsewhere, tmp_path, most_bytes
):
    before = place.snapshot()
    assert in_a_child(place, ["backup", tmp_path / "b.tar.gz"], most_bytes=most_bytes)[0] == 1
    assert [path.name for path in tmp_path.glob("*b.tar*")] == []
    assert list(tmp_path.glob(".quorum-backup-*")) == []
    assert place.snapshot() == before
    if most_bytes < 20_000:  # a member's weights
        assert in_a_child(place, ["restore", archive, "--replace"], most_bytes=most_bytes)[0] == 1
        assert place.snapshot() == before
        assert in_a_child(elsewhere, ["restore", archive], most_bytes=most_bytes)[0] == 1
        assert elsewhere.snapshot() == {}
    assert elsewhere.run("restore", archive)[0] == 0
    assert told(elsewhere.root) == told(place.root)
