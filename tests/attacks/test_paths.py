"""Names that try to lead somewhere else: into and out of the store, the importer and exports."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from importer import import_dicom
from importer.segmentations.drawn import Export, ReturnError
from ml_backend.app import create_app
from ml_backend.export import ExportError, export_to
from ml_backend.export.archive import keep_download, whole
from ml_backend.export.nifti import file_stem, read_geometry
from ml_backend.settings import Settings
from ml_backend.store import Store, StoreError, project_ids
from ml_backend.store.places import objects_at
from tests.importer.files import CT, KEY
from tests.ml_backend.export.slices import Crowd

VERSION = "r0000-abcdef"
CLIMBING = [
    "../../evil",
    "..",
    "/etc/evil",
    "..\\..\\evil",
    "C:\\evil",
    "C:evil",
    "\\\\host\\share\\evil",
    "a/../../evil",
    "evil\0.png",
    "evil\n",
    "%2e%2e%2fevil",
    "..%2fevil",
    "․․/evil",
    "",
    ".",
    "~/evil",
    "x" * 5000,
]


def everything(folder):
    """Each file and folder below a folder, links not followed."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# The store


@pytest.mark.parametrize("name", CLIMBING, ids=repr)
def test_no_name_of_anything_leads_out_of_the_store(tmp_path, name):
    (tmp_path / "outside").mkdir()
    store = Store(tmp_path / "outside" / "store", 7)
    uses = [
        lambda: store.keep_figures(name, {}),
        lambda: store.figures(name),
        lambda: store.keep_picture(name, b"x"),
        lambda: store.picture(name),
        lambda: store.remove_picture(name),
        lambda: store.note(VERSION, name, {}),
        lambda: store.noted(VERSION, name),
        lambda: store.note(name, "order", {}),
        lambda: store.work(VERSION).put(name, b"x"),
        lambda: store.work(VERSION).get(name),
        lambda: store.work(name),
        lambda: store.publish(name, [], {}),
        lambda: store.metadata(name),
        lambda: store.states(name),
        lambda: store.point_to(name),
    ]
    for use in uses:
        with pytest.raises(StoreError, match=r"letters|looks like"):
            use()
    assert everything(tmp_path) == ["outside"]


@pytest.mark.parametrize("project", ["../../evil", "7/../8", "7 ", None, 1e400, [], "٧x"])
def test_a_project_is_a_number(tmp_path, project):
    if project == "7 ":
        assert Store(tmp_path, project)._prefix == "projects/7"
        return
    with pytest.raises((ValueError, TypeError, OverflowError)):
        Store(tmp_path, project)


def test_a_version_s_number_is_no_longer_than_a_round_s_can_be(tmp_path):
    """Python refuses to read numbers of more than 4,300 digits, and would say so with a fault."""
    store = Store(tmp_path, 7)
    for digits in (10, 5000):
        with pytest.raises(StoreError, match="looks like"):
            store.point_to(f"r{'9' * digits}-abcdef")
    objects_at(tmp_path).put(f"projects/7/versions/r{'9' * 200}-abcdef/manifest.json", b"{}")
    assert store.versions() == []


def test_only_numbers_are_projects(tmp_path):
    for name in ("7", "٧", "-1", "7.5", "..7"):
        (tmp_path / "projects" / name).mkdir(parents=True)
    assert project_ids(tmp_path) == [7]


# The importer


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"]
)
@pytest.mark.parametrize("value", ["../../evil", "/etc/evil", "..\\evil", "evil\0x", "x" * 5000])
def test_what_dicom_says_names_no_file(tmp_path, keyword, value):
    source = tmp_path / "source"
    source.mkdir()
    dataset = dcmread(CT)
    with_value = dataset.get_item(keyword)
    dataset[keyword] = with_value._replace(value=value.encode(), length=len(value))
    if keyword == "SOPInstanceUID":
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    try:
        dataset.save_as(source / "a.dcm")
    except Exception:
        pytest.skip("pydicom does not write it")
    before = {p.name for p in tmp_path.iterdir()}
    import_dicom(source, tmp_path / "out", KEY)
    assert {p.name for p in tmp_path.iterdir()} - before == {"out"}
    assert "evil" not in " ".join(everything(tmp_path / "out"))


def test_names_in_archives_and_in_a_directory_of_a_medium_name_no_file(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret.dcm").write_bytes(b"not asked for")
    with zipfile.ZipFile(source / "DICOMDIR.zip", "w") as packed:
        for name in ("../../evil.dcm", "/etc/evil.dcm", "C:\\evil.dcm", "evil\0.dcm"):
            packed.write(CT, name)
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "../../secret.dcm")
    (source / "DICOMDIR").write_bytes(dicomdir("..\\..\\secret.dcm"))
    report = import_dicom(source, tmp_path / "out", KEY)
    assert report.imported == 1
    assert {p.name for p in tmp_path.iterdir()} == {"source", "secret.dcm", "out"}
    assert "evil" not in " ".join(everything(tmp_path))


def dicomdir(reference):
    """Enough of a DICOMDIR for the reference to stand in it (PS3.3 F.3)."""
    name = reference.encode().ljust(len(reference) + len(reference) % 2)
    element = struct.pack("<HH2sH", 0x0004, 0x1500, b"CS", len(name)) + name
    return bytes(128) + b"DICM" + element


# The export


HOSTILE = {
    "series": "../../evil",
    "study": "..\\..\\evil",
    "patient": "/etc/evil",
    "instance": "C:\\evil",
    "slice": "evil\0",
    "slice_position_mm": 1.0,
    "title": "../../evil",
    "file_name": "../../evil.png",
}


@pytest.mark.parametrize("target", ["taken", "taken.zip"])
@pytest.mark.parametrize("name", ["png", "coco", "nifti", "label-studio"])
def test_no_value_of_a_task_and_no_label_names_a_file(tmp_path, name, target):
    project = Crowd(extra=HOSTILE)
    project.image = lambda url, task_id=None: Crowd.image(project, url)
    for task_id in (1, 2, 3):
        project.draw(task_id, project.reference(task_id))
    (tmp_path / "in").mkdir()
    settings = Settings(data_dir=tmp_path / "in" / "data")
    export_to(settings, project, 1, name, tmp_path / "in" / target)
    if target.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / "in" / target) as packed:
            names = packed.namelist()
            assert not any(entry.external_attr >> 16 & 0o170000 for entry in packed.infolist())
    else:
        names = everything(tmp_path / "in" / target)
    assert names
    for each in names:
        assert not each.startswith("/") and ".." not in each.split("/")
        assert not set(each) & set('\\:*?"<>|\0\n') and "evil" not in each
    assert {p.name for p in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize(
    "series",
    [*CLIMBING, "CON", "nul", "Com1", "LPT9", ".hidden", "a.b", "ä", "a b", "-rf"],
    ids=repr,
)
def test_a_series_whose_name_is_no_plain_one_gets_another(series):
    stem = file_stem(series, set())
    assert stem.startswith("series-") and stem[7:].isalnum() and len(stem) == 27


def test_two_series_never_share_a_file_even_where_case_does_not_count():
    used = set()
    stems = [file_stem(name, used) for name in ("abc", "ABC", "abc", "Abc")]
    assert len({stem.casefold() for stem in stems}) == 4


@pytest.mark.parametrize("path", [name for name in CLIMBING if "%" not in name], ids=repr)
def test_whatever_a_format_names_only_what_it_wrote_is_taken(tmp_path, path):
    (tmp_path / "evil").write_text("secret")
    with pytest.raises((ExportError, OSError, ValueError)), whole(tmp_path / "taken.zip") as sink:
        sink.add(path)
    assert not (tmp_path / "taken.zip").exists()
    assert (tmp_path / "evil").read_text() == "secret"


def test_a_folder_with_anything_like_a_manifest_is_not_replaced(tmp_path):
    for number, manifest in enumerate(["[" * 100_000, "null", "[]", "7", "\xff"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "manifest.json").write_text(manifest)
        with pytest.raises(ExportError, match="holds other files"), whole(folder):
            pass
        assert everything(folder) == ["manifest.json"]


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"planes": {"a": {"1e999": {}}}}', "{}", "\xff"]
)
def test_a_file_of_planes_that_is_none_is_told(tmp_path, content):
    (tmp_path / "planes.json").write_text(content)
    with pytest.raises(ExportError, match="no file of planes"):
        read_geometry(tmp_path / "planes.json")


@pytest.mark.parametrize(
    "name",
    [
        "../../../secret.zip",
        "..%2f..%2f..%2fsecret.zip",
        "%2e%2e/%2e%2e/secret.zip",
        "..\\..\\secret.zip",
        "..%5c..%5csecret.zip",
        "%2fetc%2fpasswd",
        "project-4-png-x.zip%00.png",
        "project-*.zip",
        ".",
        "",
    ],
)
def test_a_download_s_name_only_chooses_among_what_is_there(tmp_path, redis_url, name):
    settings = Settings(
        redis_url=redis_url,
        data_dir=tmp_path,
        basic_auth_user="quorum",
        basic_auth_password="correct horse",
        webhook_secret="battery staple",
    )
    (tmp_path / "secret.zip").write_text("secret")
    made = keep_download(settings, 4, "png")
    made.write_bytes(b"data set")
    Store(settings.store_root, 4).keep_figures("standing", {"project_id": 4, "counts": {}})
    asked = create_app(settings).test_client()
    account = ("quorum", "correct horse")
    right = asked.get(f"/progress/4/exports/{made.name}", auth=account)
    assert (right.status_code, right.data) == (200, b"data set")
    wrong = asked.get(f"/progress/4/exports/{name}", auth=account)
    assert wrong.status_code in (404, 308)
    assert b"secret" not in wrong.data.replace(name.encode(), b"")
    other = asked.get(f"/progress/5/exports/{made.name}", auth=account)
    assert other.status_code == 404


# What comes back into the hospital

PSEUDONYM = "0123456789abcdef0123"


def manifest(path="masks/a.png", **changes):
    entry = {"data": {"instance": PSEUDONYM, "frame": 0}, "files": {"mask": path}, "task": 1}
    return {"labels": {"1": "a"}, "made_at": "", "slices": [{**entry, **changes}]}


def mask_png():
    stream = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.uint8)).save(stream, "png")
    return stream.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


@pytest.mark.parametrize("name", [name for name in CLIMBING if name], ids=repr)
def test_an_archive_s_names_are_only_read_and_only_as_they_are_listed(tmp_path, name):
    (tmp_path / "evil").write_bytes(mask_png())
    (tmp_path / "in").mkdir()
    members = {"manifest.json": json.dumps(manifest(name)), "../evil": mask_png()}
    path = archive(tmp_path / "in" / "a.zip", members)
    before = everything(tmp_path)
    with Export(path) as export:
        (mask,) = export.masks.values()
        with pytest.raises(ValueError, match="missing or no grey PNG"):
            export.label_map(mask)
    assert everything(tmp_path) == before


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(mask_png())
    path = archive(tmp_path / "a.zip", {"manifest.json": json.dumps(manifest())})
    with zipfile.ZipFile(path, "a") as packed:
        link = zipfile.ZipInfo("masks/a.png")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, str(tmp_path / "secret.png"))
    with Export(path) as export, pytest.raises(ValueError, match="missing or no grey PNG"):
        export.label_map(next(iter(export.masks.values())))


@pytest.mark.parametrize("what", ["manifest", "mask", "pixels"])
def test_a_bomb_is_not_unfolded(tmp_path, what, monkeypatch):
    monkeypatch.setattr("importer.segmentations.drawn._MANIFEST_BYTES", 2**20)
    monkeypatch.setattr("importer.segmentations.drawn._MASK_BYTES", 2**20)
    text = json.dumps(manifest())
    stream = io.BytesIO()
    if what == "pixels":
        Image.new("1", (30_000, 30_000)).save(stream, "png")
    members = {
        "manifest.json": text + " " * 2**24 if what == "manifest" else text,
        "masks/a.png": bytes(2**24) if what == "mask" else stream.getvalue(),
    }
    path = archive(tmp_path / "a.zip", members)
    if what == "manifest":
        with pytest.raises(ReturnError, match="no export with masks"):
            Export(path)
        return
    with Export(path) as export, pytest.raises(ValueError, match="missing or no grey PNG"):
        export.label_map(next(iter(export.masks.values())))


def test_a_broken_archive_is_told_in_a_line(tmp_path):
    good = archive(tmp_path / "good.zip", {"manifest.json": json.dumps(manifest()) * 50})
    content = good.read_bytes()
    local, central = content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02")
    changed = {
        "encrypted": {local + 6: 1, central + 8: 1},
        "packed in an unknown way": {local + 8: 77, central + 10: 77},
        "damaged": {local + 60: content[local + 60] ^ 255, local + 70: content[local + 70] ^ 255},
        "short": {},
    }
    for name, changes in changed.items():
        broken = bytearray(content[: len(content) // 2] if name == "short" else content)
        for at, value in changes.items():
            broken[at] = value
        (tmp_path / "broken.zip").write_bytes(broken)
        with pytest.raises(ReturnError, match="no export with masks"):
            Export(tmp_path / "broken.zip")


@pytest.mark.parametrize(
    "entry",
    [
        {"data": {"instance": "../../evil"}},
        {"data": {"instance": PSEUDONYM, "frame": float("inf")}},
        {"data": {"instance": PSEUDONYM, "frame": "../x"}},
        {"data": [], "files": []},
        {"task": float("inf")},
        {"files": {"mask": 7}},
        {"made": "../../evil"},
    ],
    ids=str,
)
def test_an_entry_that_is_none_is_counted_and_no_more(tmp_path, entry):
    path = archive(tmp_path / "a.zip", {"manifest.json": json.dumps(manifest(**entry))})
    with Export(path) as export:
        assert (len(export.masks), export.unusable) == (0, 1)
