"""The receiver against a real sender, pynetdicom's, and against bare sockets that misbehave."""

import errno
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config
from pynetdicom.sop_class import CTImageStorage, Verification

from importer.sources.receiver import Receiver, ReceiverError, _close_batch, receive

CT = get_testdata_file("CT_small.dcm")
CLONE = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def sender_sends_files_as_they_are(monkeypatch):
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "inbox", 0, min_free_bytes=0) as running:
        yield running


def associate(receiver, *paths, calling="PACS", called="QUORUM"):
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = 10
    entity.add_requested_context(Verification)
    for path in {str(path) for path in paths}:
        meta = read_file_meta_info(path)
        entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    return entity.associate("127.0.0.1", receiver.port, ae_title=called)


def push(receiver, *paths, **titles):
    """The statuses of a push; None where the association ended."""
    association = associate(receiver, *paths, **titles)
    assert association.is_established
    statuses = []
    for path in paths:
        statuses.append(association.send_c_store(path).get("Status"))
        if statuses[-1] is None:
            break
    association.release()
    return statuses


def objects(receiver):
    return sorted(receiver.inbox.glob("*.dcm"))


def data_set(path):
    """The bytes behind the file meta information."""
    content = Path(path).read_bytes()
    return content[144 + struct.unpack("<L", content[140:144])[0] :]


def until(condition, timeout_s=15.0):
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "it did not come in time"
        time.sleep(0.05)


def test_a_peer_can_verify_the_connection(receiver):
    association = associate(receiver)
    assert association.send_c_echo().Status == 0
    association.release()


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEG2000.dcm",
        "JPGExtended.dcm",
        "image_dfl.dcm",
        "test-SR.dcm",
    ],
)
def test_objects_arrive_unchanged_in_their_own_transfer_syntax(receiver, name):
    path = get_testdata_file(name)
    assert push(receiver, path) == [0]
    (stored,) = objects(receiver)
    assert data_set(stored) == data_set(path)
    sent, kept = read_file_meta_info(path), read_file_meta_info(stored)
    for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
        assert kept[keyword].value == sent[keyword].value


def test_every_class_of_storage_is_accepted_the_retired_ones_too(receiver):
    entity = AE("PACS")
    retired = (
        "1.2.840.10008.5.1.4.1.1.3",
        "1.2.840.10008.5.1.4.1.1.6",
        "1.2.840.10008.5.1.4.1.1.5",
    )
    for uid in (*retired, CTImageStorage, "1.2.840.10008.5.1.4.1.1.104.1"):
        entity.add_requested_context(uid)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="QUORUM")
    assert len(association.accepted_contexts) == 5
    dataset = pydicom.dcmread(CT)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = retired[1]
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    assert association.send_c_store(dataset).Status == 0
    association.release()


def test_files_are_private_and_their_names_say_nothing(receiver):
    push(receiver, CT)
    (stored,) = objects(receiver)
    assert stored.stat().st_mode & 0o777 == 0o600
    assert receiver.inbox.stat().st_mode & 0o777 == 0o700
    assert len(stored.stem) == 32 and int(stored.stem, 16)


def test_a_title_that_is_not_allowed_is_refused(tmp_path):
    with Receiver(tmp_path, 0, allowed_calling=["PACS"], min_free_bytes=0) as receiver:
        assert push(receiver, CT, calling="PACS") == [0]
        assert associate(receiver, calling="STRANGER").is_rejected
        assert associate(receiver, calling="PACS", called="SOMEONE").is_rejected
        assert len(objects(receiver)) == 1


@pytest.mark.parametrize("title", ["", " ", "SEVENTEEN-LETTERS", "BACK\\SLASH", "ÄE"])
def test_a_title_that_is_none_is_told_at_once(tmp_path, title):
    with pytest.raises(ValueError, match="AE title"):
        Receiver(tmp_path, 0, ae_title=title)


def test_a_huge_object_costs_its_association_and_nothing_else(tmp_path):
    with Receiver(tmp_path, 0, max_object_bytes=20_000, min_free_bytes=0) as receiver:
        small = get_testdata_file("MR_small_RLE.dcm")
        assert Path(small).stat().st_size < 20_000 < Path(CT).stat().st_size
        assert push(receiver, CT, small) == [None]
        assert receiver.refused == 1 and objects(receiver) == []
        assert push(receiver, small) == [0]


def test_what_many_send_together_is_bounded(tmp_path):
    with Receiver(tmp_path, 0, max_pending_bytes=60_000, min_free_bytes=0) as receiver:
        # The first one sends 30,000 bytes of an object, and then nothing more.
        slow = associate(receiver, CT)
        command, data = store_request(slow, CT)
        slow.dul.socket.send(command + p_data(1, 0, data[:30_000], slow))
        time.sleep(0.5)
        assert push(receiver, CT) == [None]  # 39 KB more are too much
        slow.abort()
        time.sleep(0.5)
        assert push(receiver, CT) == [0]


def test_two_peers_push_at_once(receiver):
    mr = get_testdata_file("MR_small.dcm")
    statuses = {}

    def send(title):
        statuses[title] = push(receiver, *([CT, mr] * 10), calling=title)

    threads = [threading.Thread(target=send, args=(title,)) for title in ("CT-ROOM", "MR-ROOM")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == {"CT-ROOM": [0] * 20, "MR-ROOM": [0] * 20}
    assert len(objects(receiver)) == receiver.received == 40


def test_more_peers_than_allowed_are_told_to_come_later(tmp_path):
    with Receiver(tmp_path, 0, max_associations=2, min_free_bytes=0) as receiver:
        first, second = associate(receiver), associate(receiver)
        assert associate(receiver).is_rejected
        first.release()
        second.release()
        until(lambda: associate(receiver).is_established)


def test_a_full_disk_is_answered_with_out_of_resources(tmp_path):
    with Receiver(tmp_path, 0, min_free_bytes=2**62) as receiver:
        assert push(receiver, CT) == [0xA700]
        assert receiver.refused == 1 and objects(receiver) == []


@pytest.fixture
def recorded(monkeypatch):
    """Renames, and the inodes of what is synced, in their order."""
    calls, fsync, rename = [], os.fsync, Path.rename

    def syncing(handle):
        calls.append(os.fstat(handle).st_ino)
        fsync(handle)

    def renaming(path, target):
        calls.append(f"rename to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "rename", renaming)
    return calls


def test_a_sender_is_told_once_the_object_and_its_name_are_on_the_disk(
    receiver, recorded, monkeypatch
):
    told = []
    store = receiver._pending.done  # what _store does last, before it answers
    monkeypatch.setattr(
        receiver._pending, "done", lambda *what: (told.append(list(recorded)), store(*what))
    )
    assert push(receiver, CT) == [0]
    (stored,) = objects(receiver)
    inode, folder = stored.stat().st_ino, receiver.inbox.stat().st_ino
    assert told == [[inode, f"rename to {stored.name}", folder]]


def test_an_object_whose_name_cannot_be_synced_is_refused_and_not_kept(receiver, monkeypatch):
    fsync = os.fsync

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    assert push(receiver, CT) == [0xA700]
    assert receiver.refused == 1 and not list(receiver.inbox.glob("*.dcm*"))


def test_a_batch_is_on_the_disk_before_it_is_handed_over(tmp_path, recorded):
    name = f"{'a' * 32}.dcm"
    (tmp_path / name).write_bytes(b"whole")
    batch = _close_batch(tmp_path)
    inode, inbox = batch.stat().st_ino, tmp_path.stat().st_ino
    assert recorded == [f"rename to {name}", inode, "rename to batch-1", inbox]


def test_an_inbox_that_goes_away_is_answered_with_out_of_resources(receiver):
    (receiver.inbox / "receiver.lock").unlink()
    receiver.inbox.rmdir()
    assert push(receiver, CT) == [0xA700]


def p_data(context_id, control, value, association):
    """One P-DATA-TF PDU for each 16,000 bytes (PS3.8 9.3.5); control 1 is a command, 2 the last."""
    pdus = b""
    for start in range(0, len(value), 16_000):
        part = value[start : start + 16_000]
        last = control if start + 16_000 >= len(value) else control & 1
        item = struct.pack(">LBB", len(part) + 2, context_id, last) + part
        pdus += struct.pack(">BxL", 4, len(item)) + item
    return pdus


def store_request(association, path):
    """A C-STORE request's command as PDUs, and its data set (PS3.7 9.3.1)."""
    meta = read_file_meta_info(path)
    context = next(
        context.context_id
        for context in association.accepted_contexts
        if context.abstract_syntax == meta.MediaStorageSOPClassUID
    )
    command = b""
    for element, value in (
        (0x0002, (meta.MediaStorageSOPClassUID + "\0").encode()),
        (0x0100, struct.pack("<H", 1)),
        (0x0110, struct.pack("<H", 7)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 1)),
        (0x1000, (meta.MediaStorageSOPInstanceUID + "\0").encode()),
    ):
        value = value[: len(value) // 2 * 2]
        command += struct.pack("<HHL", 0, element, len(value)) + value
    command = struct.pack("<HHLL", 0, 0, 4, len(command)) + command
    return p_data(context, 3, command, association), data_set(path)


def test_half_an_object_is_not_kept(receiver):
    association = associate(receiver, CT)
    command, data = store_request(association, CT)
    association.dul.socket.send(command + p_data(3, 0, data[:20_000], association))
    time.sleep(0.3)
    association.abort()
    assert push(receiver, CT) == [0]
    assert len(objects(receiver)) == 1 and not list(receiver.inbox.glob("*.part"))


@pytest.mark.parametrize("kind", [1, 4, 7])
def test_a_pdu_of_an_absurd_length_ends_the_connection(receiver, kind):
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer:
        peer.sendall(struct.pack(">BxL", kind, 0xFFFFFFF0) + b"\0" * 5000)
        closed(peer)
    assert push(receiver, CT) == [0]


def closed(peer):
    """Wait until the other side has closed; a reset is as good."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionError:
        pass


@pytest.mark.parametrize("begun", [b"", b"\x01\x00\x00", struct.pack(">BxL", 1, 500) + b"\0" * 20])
def test_a_peer_that_falls_silent_is_dropped(tmp_path, begun):
    with (
        Receiver(tmp_path, 0, idle_s=1, min_free_bytes=0) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer,
    ):
        peer.sendall(begun)
        closed(peer)


def test_a_peer_that_drips_is_dropped(tmp_path):
    with (
        Receiver(tmp_path, 0, idle_s=1, min_free_bytes=0) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer,
    ):
        peer.sendall(struct.pack(">BxL", 1, 500))
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - start < 10:
                peer.sendall(b"\0")
                time.sleep(0.1)


def test_nothing_that_identifies_is_written_to_any_log(tmp_path):
    program = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
        "from pathlib import Path; from importer.sources.receiver import Receiver\n"
        "with Receiver(Path(sys.argv[1]), 0, allowed_calling=['PACS', 'KANARI'],"
        " max_object_bytes=60_000, min_free_bytes=0) as r:\n"
        "    logging.getLogger('test').debug('it logs'); print(r.port, flush=True)\n"
        "    sys.stdin.read(); print(r.received, r.refused)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CLONE,
    )
    try:

        class Started:
            port = int(process.stdout.readline())

        hostile = pydicom.dcmread(CT)
        hostile.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        hostile.PatientName = hostile.PatientID = "KANARI"
        hostile.SOPInstanceUID = "1.2.KANARI"
        path = tmp_path / "hostile.KANARI"
        hostile.save_as(path)
        association = associate(Started, path, calling="KANARI")
        association.send_c_store(path)
        association.release()
        hostile.PixelData = bytes(100_000)  # too large
        hostile.save_as(path)
        association = associate(Started, path, calling="KANARI")
        association.send_c_store(path)
        # A command that is none, in an association, and after it something that is no PDU.
        for junk in (p_data(1, 3, b"KANARI^KANARI" * 20, None), b"\x09KANARI" * 20):
            association = associate(Started, path, calling="KANARI")
            association.dul.socket.send(junk)
            until(lambda association=association: not association.is_established)
        assert associate(Started, path, calling="KANARI-STRANGER").is_rejected
        out, err = process.communicate("", timeout=30)
    finally:
        process.kill()
        process.wait()
    assert out.split()[1] == "1", out + err  # the second object was refused
    assert "it logs" in err and "KANARI" not in out + err


def test_what_comes_is_handed_over_in_batches(tmp_path):
    batches, running, stop = [], [], threading.Event()

    def take(batch):
        batches.append((batch.name, len(list(batch.glob("*.dcm")))))
        for path in batch.iterdir():
            path.unlink()
        batch.rmdir()

    loop = threading.Thread(
        target=receive,
        args=(tmp_path, 0),
        kwargs={
            "on_idle": take,
            "on_start": running.append,
            "quiet_s": 0.5,
            "stop": stop,
            "min_free_bytes": 0,
        },
    )
    loop.start()
    try:
        until(lambda: running)
        push(running[0], CT, CT, CT)
        until(lambda: batches == [("batch-1", 3)])
        push(running[0], CT)
        until(lambda: batches == [("batch-1", 3), ("batch-1", 1)])
        push(running[0], CT, CT)
    finally:
        stop.set()
        loop.join(20)
    assert not loop.is_alive()
    assert batches[2:] == [("batch-1", 2)]
    assert [path.name for path in tmp_path.iterdir()] == ["receiver.lock"]


def test_a_batch_is_closed_in_time_though_objects_keep_coming(tmp_path):
    batches, running, stop = [], [], threading.Event()
    options = {"quiet_s": 30, "longest_wait_s": 1.0, "stop": stop, "min_free_bytes": 0}
    loop = threading.Thread(
        target=receive,
        args=(tmp_path, 0),
        kwargs={"on_idle": batches.append, "on_start": running.append, **options},
    )
    loop.start()
    try:
        until(lambda: running)
        push(running[0], CT)
        until(lambda: len(batches) == 1)
    finally:
        stop.set()
        loop.join(20)
    assert [len(list(batch.iterdir())) for batch in batches] == [1]


def test_what_an_interrupted_run_left_is_taken_up(tmp_path):
    (tmp_path / "batch-7").mkdir()
    (tmp_path / "batch-7" / f"{'a' * 32}.dcm").write_bytes(b"left")
    (tmp_path / f"{'b' * 32}.dcm").write_bytes(b"waiting")
    (tmp_path / f"{'c' * 32}.dcm.part").write_bytes(b"half")
    (tmp_path / "collecting.part").mkdir()
    (tmp_path / "collecting.part" / f"{'d' * 32}.dcm").write_bytes(b"collected")
    stop, batches = threading.Event(), []

    def take(batch):
        batches.append((batch.name, sorted(path.name[0] for path in batch.iterdir())))
        stop.set()

    receive(tmp_path, 0, on_idle=take, stop=stop, min_free_bytes=0)
    assert batches == [("batch-7", ["a"]), ("batch-8", ["b", "d"])]
    assert not list(tmp_path.glob("*.part"))


def test_a_port_or_an_inbox_in_use_is_told(receiver, tmp_path):
    with pytest.raises(ReceiverError, match="another receiver"):
        Receiver(receiver.inbox, 0).start()
    with pytest.raises(ReceiverError, match="port"):
        Receiver(tmp_path / "other", receiver.port).start()
    Receiver(tmp_path / "other", 0, min_free_bytes=0).start()  # its lock was given back


def test_stopping_leaves_no_thread_and_no_port(tmp_path):
    before = set(threading.enumerate())
    with Receiver(tmp_path, 0, min_free_bytes=0) as receiver:
        left_open = associate(receiver, CT)
        port = receiver.port
    until(lambda: left_open.is_aborted)
    until(lambda: not (set(threading.enumerate()) - before))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    assert [path.name for path in tmp_path.iterdir()] == ["receiver.lock"]
