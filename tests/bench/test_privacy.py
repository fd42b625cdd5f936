"""The bench that says what survives: ours must leave nothing, and a tool that leaks must show."""

import json
import sys

import pytest

from bench import peers
from bench.canaries import Canary
from bench.canaries import survivors as search
from bench.planted import NAMES, PLACES, Planted, plant, survivors
from bench.privacy import Row, main, table


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("privacy") / "corpus", seed=5)


def test_nothing_survives_our_importer_and_all_sound_images_come_in(tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert main(["--no-peers", "--corpora", "0", "--seed", "2", "--json", str(figures)]) == 0
    written = json.loads(figures.read_text())
    (tool,) = written["tools"]
    assert not any(tool["survived"].values())
    assert written["slices"] >= written["sound_slices"] > 30
    assert tool["came_out"] > 30  # DICOM copies: an empty output must not look good
    assert set(written["planted"]) == set(PLACES)
    assert "| 0/" in capsys.readouterr().out


def test_a_tool_that_only_copies_is_seen_to_leak_all(planted, tmp_path):
    convert = "import shutil\ndef convert(path, folder, name):\n    shutil.copy(path, folder)\n"
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    out.mkdir()
    temporary.mkdir()
    peer = peers.Peer("copy", "none", convert)
    run = peers.run(peer, sys.executable, planted.folder, out, temporary)
    assert run.failed == 0 and run.converted == planted.files - 1  # the zip's member is not read
    lost = set(planted.canaries) - set(survivors(planted, out))
    assert {canary.place for canary in lost} <= {NAMES, PLACES[0]}
    assert len(lost) < 15


def test_a_file_that_a_tool_cannot_take_is_counted_and_does_not_stop_it(planted, tmp_path):
    convert = "def convert(path, folder, name):\n    raise ValueError('Smith')\n"
    run = peers.run(
        peers.Peer("none", "none", convert), sys.executable, planted.folder, tmp_path, tmp_path
    )
    assert (run.converted, run.failed) == (0, planted.files - 1)
    assert b"Smith" in run.said  # what it says is searched too


def test_the_table_gives_surviving_of_planted_for_each_place(tmp_path):
    canaries = tuple(Canary(place, "x", (b"%d" % n,)) for n, place in enumerate(PLACES))
    row = Row("tool", dict.fromkeys(PLACES, 1), 3, 12.4, ())
    lines = table([row], Planted(tmp_path, canaries, files=4, slices=4)).splitlines()
    assert lines[2] == "| tool " + "| 1/1 " * len(PLACES) + "| 3/4 | 12 |"
    assert len({line.count("|") for line in lines}) == 1


def test_digits_of_a_hashed_uid_are_no_date_and_the_same_digits_anywhere_else_are():
    date = Canary("x", "a date", (b"31420523",))
    uid = b"2.25.1170431420523" + b"7" * 25
    assert not search([date], uid)
    for leak in (
        b"31420523",
        b"31420523143000.123456",
        b"id1170431420523",
        b'"31420523"',
        uid[:20],
    ):
        assert search([date], leak), leak
