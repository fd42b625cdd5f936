"""Files, folders, media and hostile archives."""

import io
import multiprocessing
import os
import zipfile
from pathlib import Path

import pytest

from importer import import_dicom
from importer.limits import Limits
from importer.sources import LeftOut, iter_objects

from ..files import CT, KEY, MR


def listed(*sources, limits=None):
    return [(Path(o.path).name, o.problem) for o in iter_objects(sources, limits)]


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_medium_is_walked_whole_and_what_its_directory_names_is_not_followed(tmp_path):
    (tmp_path / "DICOM" / "A").mkdir(parents=True)
    (tmp_path / "DICOMDIR").write_bytes(b"names ../../etc/passwd")
    (tmp_path / "DICOM" / "A" / "I1").write_bytes(Path(CT).read_bytes())
    found = listed(tmp_path / "DICOMDIR")
    assert found == [("DICOMDIR", None), ("I1", None)]


def test_files_come_in_one_order_and_links_are_not_followed(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(MR)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert listed(tmp_path) == [("a", None), ("b", None), ("c", None)]


def test_plain_files_are_left_to_the_worker_to_read():
    (found,) = iter_objects([Path(CT)])
    assert found.content is None and found.size_bytes == Path(CT).stat().st_size


@pytest.mark.parametrize(
    ("members", "limits", "problem"),
    [
        ([("a", b"\0" * 2**22)], Limits(), "archive-too-large"),  # its ratio
        ([("a", bytes(range(256)))] , Limits(object_bytes=100), "archive-too-large"),
        ([("a", b"1"), ("b", b"2")], Limits(archive_members=1), "archive-too-large"),
        ([("a", b"1" * 50), ("b", b"2" * 51)], Limits(archive_bytes=100), "archive-too-large"),
        ([("a.zip", zipped(("b.zip", zipped(("c.zip", zipped(("d", b"x")))))))], Limits(),
         "nested-too-deep"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_before_it_unfolds(tmp_path, members, limits, problem):
    (tmp_path / "bomb.zip").write_bytes(zipped(*members))
    assert [found for _, found in listed(tmp_path / "bomb.zip", limits=limits)] == [problem]


def test_a_size_that_lies_does_not_unfold_further(tmp_path):
    content = bytearray(zipped(("a", b"\0" * 2**20), compression=zipfile.ZIP_DEFLATED))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = (1000).to_bytes(4, "little")  # uncompressed size
    (tmp_path / "lies.zip").write_bytes(content)
    (found,) = iter_objects([tmp_path / "lies.zip"])
    assert found.problem == "damaged-archive" or len(found.content) <= 1001


def test_a_member_that_climbs_out_is_only_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.zip").write_bytes(zipped(("../../evil", b"x"), ("/etc/evil", b"y")))
    assert [found.content for found in iter_objects([tmp_path / "in"])] == [b"x", b"y"]
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "a.zip"}


def test_an_encrypted_or_damaged_archive_is_told_and_the_rest_goes_on(tmp_path):
    (tmp_path / "1.zip").write_bytes(b"PK\x03\x04" + b"\0" * 40)
    (tmp_path / "2").write_bytes(b"x")
    assert listed(tmp_path) == [("1.zip", "damaged-archive"), ("2", None)]


@pytest.mark.parametrize(
    ("compression", "old", "new"),
    [
        (zipfile.ZIP_LZMA, b"\x5d\0\0", b"\xff\xff\xff"),  # the codec's own properties
        (zipfile.ZIP_STORED, "é".encode(), b"\xff\xff"),  # a name that is no UTF-8
    ],
)
def test_whatever_is_wrong_in_an_archive_the_rest_goes_on(tmp_path, compression, old, new):
    content = zipped(("é", b"1" * 100), ("b", b"2"), compression=compression)
    (tmp_path / "1.zip").write_bytes(content.replace(old, new, 1))
    found = listed(tmp_path)
    assert found[0][1] == "damaged-archive" and len(found) == 2


def test_a_member_without_a_name_is_told_and_the_rest_goes_on(tmp_path):
    with zipfile.ZipFile(tmp_path / "1.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("b", b"2")
        archive.infolist()[0].filename = ""
    assert [problem for _, problem in listed(tmp_path)] == ["damaged-archive", None]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path):
    """In another process, as a user without rights: root may list everything."""
    tmp_path.chmod(0o755)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_bytes(b"x")
    (tmp_path / "a").chmod(0o755)  # whatever the umask is
    (tmp_path / "a" / "1").chmod(0o644)
    (tmp_path / "closed" / "below").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    try:
        with multiprocessing.get_context("fork").Pool(1, _without_rights, (tmp_path,)) as pool:
            found = pool.apply(listed, (Path(), Path("closed", "below")))
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert found == [("1", None), ("closed", "cannot-be-read"), ("below", "cannot-be-read")]


def _without_rights(folder):
    os.chdir(folder)
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_what_an_import_has_made_below_its_source_is_left_out(tmp_path):
    source = tmp_path / "study"
    for path in (source / "out" / "1.png", source / "a" / "deid" / "2.dcm", source / "a" / "3.dcm"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "link").symlink_to(source)
    left_out = LeftOut(
        [tmp_path / "link" / "out", source / "a" / "deid", source, tmp_path / "none"]
    )
    found = [Path(o.path).name for o in iter_objects([source], left_out=left_out)]
    assert found == ["3.dcm"]  # the source itself was named, and is walked


@pytest.mark.parametrize("original", [CT, MR])
def test_a_copy_in_a_folder_is_left_out_and_taken_if_it_is_named(tmp_path, original):
    import_dicom(original, tmp_path / "out", KEY, dicom_out=tmp_path / "study")
    (copy,) = (tmp_path / "study").iterdir()
    (tmp_path / "study" / "original").write_bytes(Path(original).read_bytes())
    left_out = LeftOut()
    found = [Path(o.path).name for o in iter_objects([tmp_path / "study"], left_out=left_out)]
    assert (found, left_out.copies) == (["original"], 1)
    assert len(list(iter_objects([copy], left_out=left_out))) == 1
    assert len(list(iter_objects([tmp_path / "study"]))) == 2  # a receiver leaves nothing out
