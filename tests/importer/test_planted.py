"""Identity planted in every place that can hold it: none of it comes out, and the search would
have told."""

import base64
import gzip
import io
import json
import logging
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from bench.canaries import Mint
from bench.canaries import survivors as search
from bench.planted import (
    OUTSIDE,
    PLACES,
    TABLE,
    outside_rows,
    plant,
    survivors,
    table_rows,
    to_bytes,
)
from importer import import_dicom
from importer.cli import import_command
from importer.explicit_vr import quick_read

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted") / "corpus", seed=3)


def test_nothing_planted_survives_an_import_without_copies(planted, tmp_path, capfd):
    # Without copies headers are read by another, quicker reader.
    quick = [
        path
        for path in planted.folder.rglob("*")
        if path.is_file() and quick_read(path.read_bytes()) is not None
    ]
    assert len(quick) > 30
    out, keys = tmp_path / "out", tmp_path / "keys"
    arguments = [str(planted.folder), "--out", str(out), "--key", str(keys / "key")]
    assert import_command([*arguments, "--burned-in", "off", "--workers", "2"]) == 1
    streams = capfd.readouterr()
    found = survivors(planted, out, keys, (streams.out + streams.err).encode())
    assert not [canary.where for canary in found]
    assert len(json.loads((out / "tasks.json").read_text())) >= planted.slices


def test_nothing_planted_survives_the_import(planted, tmp_path, capfd, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    out, copies, keys = tmp_path / "out", tmp_path / "copies", tmp_path / "keys"
    arguments = [
        *(str(planted.folder), "--out", str(out), "--dicom-out", str(copies)),
        *("--key", str(keys / "key"), "--burned-in", "off", "--workers", "2"),
    ]
    capfd.readouterr()
    for more in ([], ["--json"], ["--dry-run"]):
        assert import_command([*arguments, *more]) == 1  # the damaged files
    streams = capfd.readouterr()
    said = (streams.out + streams.err + caplog.text).encode()
    found = survivors(planted, out, copies, keys, temporary, said)
    assert not [canary.where for canary in found]
    assert len(json.loads((out / "tasks.json").read_text())) >= planted.slices
    assert len(list(copies.rglob("*.dcm"))) > 30
    assert (keys / "key").exists() and len(list(keys.iterdir())) > 1  # the vault was searched


def test_every_sound_image_of_the_corpus_comes_in(planted, tmp_path):
    sound = tmp_path / "sound"
    shutil.copytree(planted.folder, sound)
    shutil.rmtree(sound / "odd")
    for damaged in sound.glob("damaged-*"):
        damaged.unlink()
    report = import_dicom(sound, tmp_path / "out", b"k" * 32, burned_in="off")
    assert report.complete, report.summary(show_paths=True)
    assert report.imported == planted.slices


def test_bits_above_bits_stored_do_not_show(planted, tmp_path):
    """The same image with and without them renders alike."""
    images = []
    dataset = dcmread(planted.folder / "overlays.dcm")
    for name in ("planted", "clean"):
        if name == "clean":
            words = np.frombuffer(dataset.PixelData[: 64 * 64 * 2], dtype="<u2")
            dataset.PixelData = (words & 0x0FFF).tobytes()
        (tmp_path / f"{name}.dcm").write_bytes(to_bytes(dataset))
        import_dicom(tmp_path / f"{name}.dcm", tmp_path / name, b"k" * 32, burned_in="off")
        (image,) = (tmp_path / name / "images").iterdir()
        images.append(image.read_bytes())
    assert images[0] == images[1]


def test_a_plain_copy_keeps_every_canary(planted, tmp_path):
    """Else a place was never planted, and its absence elsewhere would say nothing."""
    missing = set(planted.canaries) - set(survivors(planted, planted.folder))
    assert not [canary.where for canary in missing]
    assert {canary.place for canary in planted.canaries} == set(PLACES)
    # What stays if a tool renames the files and changes nothing else.
    for number, path in enumerate(sorted(planted.folder.rglob("*.dcm"))):
        (tmp_path / f"{number}").write_bytes(path.read_bytes())
    places = {canary.place for canary in survivors(planted, tmp_path)}
    assert places == set(PLACES) - {"names, other files"}


def test_every_row_of_the_table_and_all_text_outside_it_is_planted(planted):
    rows = table_rows()
    assert len(rows) == 653
    meta, there = {0x00020003}, set()
    for name in ("table-ct.dcm", "table-mr.dcm", "below.dcm", "command.dcm"):
        there |= {int(e.tag) for e in dcmread(planted.folder / name).iterall()}
    assert set(rows) - there <= meta  # the file meta's own SOP Instance UID
    outside = {int(e.tag) for e in dcmread(planted.folder / "outside.dcm")}
    assert set(outside_rows()) <= outside and len(outside_rows()) > 450
    assert not set(outside_rows()) & set(rows)


def test_one_seed_gives_the_same_canaries_and_another_gives_none_of_them(planted, tmp_path):
    same, other = plant(tmp_path / "same", seed=3), plant(tmp_path / "other", seed=4)
    assert same.canaries == planted.canaries
    found = survivors(planted, tmp_path / "other")
    # Dates repeat by century, and a short value is only a number: both mean their own corpus.
    assert not [c for c in found if c.element is None and len(c.needles[0]) > 10]
    assert len(other.canaries) == len(planted.canaries)


def _png(token):
    stream, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 50 + token, zip=True)
    Image.new("L", (9, 9)).save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def _pixels(token):
    stream = io.BytesIO()
    width = len(token)
    Image.frombytes("L", (width, 2), token.encode() * 2).save(stream, "PNG", compress_level=9)
    return stream.getvalue()


def _zip(token):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", gzip.compress(b"." * 99 + token.encode()))
    return stream.getvalue()


def _deflated(token, keyword="PatientName"):
    dataset = Dataset()
    setattr(dataset, keyword, token)
    dataset.file_meta, dataset.preamble = FileMetaDataset(), b"\0" * 128
    dataset.file_meta.FileMetaInformationGroupLength = 0  # filled in when it is written
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return to_bytes(dataset)


def _base64(content):
    return base64.b64encode(content)


@pytest.mark.parametrize(
    "hide",
    [
        lambda token: token.encode(),
        lambda token: token.lower().encode(),
        lambda token: b"\xff" * 9_000_001 + token.encode("utf-16-le"),
        lambda token: token.encode("utf-16-be"),
        lambda token: json.dumps([{"a": {token: 1}}]).encode(),
        lambda token: token.encode().hex().encode(),
        lambda token: b'{"image": "data:image/png;base64,' + _base64(_png(token)) + b'"}',
        lambda token: _base64(b"Smith " + token.encode() + b" ..."),
        lambda token: gzip.compress(b"0" * 99 + token.encode()),
        _png,
        _pixels,
        _zip,
        _deflated,
    ],
)
def test_the_search_finds_a_token_wherever_it_is_folded_up(hide):
    mint = Mint(1)
    token = mint.text(TABLE, "here")
    mint.text(TABLE, "nowhere")
    assert [canary.where for canary in search(mint.canaries, hide(token))] == ["here"]


@pytest.mark.parametrize("vr", ["DA", "DT", "TM", "UI", "IS", "DS", "PN", "UR", "OB"])
def test_the_search_finds_a_value_of_each_kind_and_not_its_neighbour(vr):
    mint = Mint(1)
    value, _ = mint.value(TABLE, "here", vr), mint.value(TABLE, "nowhere", vr)
    text = value if isinstance(value, bytes) else str(value).encode()
    assert [c.where for c in search(mint.canaries, b"<" + text + b">")] == ["here"]


def test_the_search_finds_a_date_written_another_way():
    mint = Mint(1)
    date = mint.value(OUTSIDE, "here", "DA")
    written = f"{date[:4]}-{date[4:6]}-{date[6:]}T00:00:00".encode()
    assert [c.where for c in search(mint.canaries, written)] == ["here"]


def test_the_search_finds_other_scripts_escaped_or_not():
    mint = Mint(1)
    name = mint.native(OUTSIDE, "here", "山田太郎", ["iso2022_jp", "shift_jis"])
    for hidden in (name.encode(), name.encode("shift_jis"), name.encode("iso2022_jp")):
        assert search(mint.canaries, b"<" + hidden + b">")
    assert search(mint.canaries, json.dumps({"a": name}).encode())
    assert search(mint.canaries, repr(name.encode()).encode())


def test_the_search_finds_names_of_files_and_folders(tmp_path):
    mint = Mint(1)
    folder, file = mint.text(TABLE, "folder"), mint.text(TABLE, "file")
    (tmp_path / folder).mkdir()
    (tmp_path / folder / f"{file}.png").touch()
    assert [c.where for c in search(mint.canaries, tmp_path)] == ["folder", "file"]


def test_a_short_value_is_found_at_its_own_tag_alone():
    mint = Mint(1)
    age = mint.value(TABLE, "age", "AS", 0x00101010)
    assert not search(mint.canaries, _deflated(age, "PatientComments"))
    assert [c.where for c in search(mint.canaries, _deflated(age, "PatientAge"))] == ["age"]
