"""DICOM over the network, against a real Orthanc: fetched by DICOMweb, and pushed by C-STORE."""

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from importer.sources.dicomweb import Failure, iter_dicomweb
from importer.sources.receiver import Receiver

from .orthanc import PASSWORD, USER, Orthanc

# Uncompressed, JPEG 2000, 12-bit JPEG, RLE, deflated, multi-frame color, and a report.
NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "JPEG2000.dcm",
    "JPGExtended.dcm",
    "SC_rgb_rle_2frame.dcm",
    "image_dfl.dcm",
    "test-SR.dcm",
)
ACCOUNT = {"QUORUM_DICOMWEB_USER": USER, "QUORUM_DICOMWEB_PASSWORD": PASSWORD}


def read(content):
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture(scope="module")
def sent():
    """Part 10 bytes by SOP Instance UID."""
    contents = [Path(get_testdata_file(name)).read_bytes() for name in NAMES]
    return {read(content).SOPInstanceUID: content for content in contents}


@pytest.fixture(scope="module")
def orthanc(sent, tmp_path_factory):
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        server.instances = [server.store(content) for content in sent.values()]
        yield server
    finally:
        server.stop()


def fetch(orthanc, **options):
    return list(iter_dicomweb(orthanc.dicomweb, **{"environment": ACCOUNT, **options}))


@pytest.mark.parametrize("page", [2, 200])
def test_every_object_of_an_archive_comes_as_it_is_stored(orthanc, sent, page):
    brought = fetch(orthanc, page=page)
    assert not [item for item in brought if isinstance(item, Failure)]
    assert len(brought) == len(sent) == len(NAMES)
    for content in brought:
        came = read(content)
        original = read(sent[came.SOPInstanceUID])
        assert came.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert came.get("PixelData") == original.get("PixelData")
        assert came == original


def test_a_study_a_series_and_a_query_bring_theirs_and_no_more(orthanc, sent):
    ct = read(next(iter(sent.values())))
    study, series = ct.StudyInstanceUID, ct.SeriesInstanceUID
    for options in (
        {"study": study},
        {"study": study, "series": series},
        {"query": {"PatientID": ct.PatientID}},
        {"query": {"PatientName": "Comp*", "Modality": "CT"}},
        {"study": study, "query": {"PatientName": "*", "Modality": "CT"}},
    ):
        (content,) = fetch(orthanc, **options)
        assert read(content).SOPInstanceUID == ct.SOPInstanceUID
    assert fetch(orthanc, query={"PatientID": "NOBODY"}) == []
    assert fetch(orthanc, study=study, query={"Modality": "MR"}) == []


@pytest.mark.parametrize(
    "account",
    [{}, {"QUORUM_DICOMWEB_TOKEN": "Kanari"}, {**ACCOUNT, "QUORUM_DICOMWEB_PASSWORD": "Kanari"}],
    ids=["none", "token", "wrong password"],
)
def test_a_wrong_account_is_refused_and_not_repeated(orthanc, account, capfd):
    brought = fetch(orthanc, environment=account)
    assert brought == [Failure("refused")]
    said = capfd.readouterr()
    assert "Kanari" not in repr(brought) + said.out + said.err


def test_a_wrong_address_is_a_reason(orthanc):
    server = orthanc.url
    assert list(iter_dicomweb(f"{server}/pacs", environment=ACCOUNT)) == [Failure("not-found")]
    assert fetch(orthanc, study="1.2.3", series="1.2.3.4") in ([], [Failure("not-found")])


def test_a_server_that_dies_in_the_middle_leaves_what_came_and_a_reason(sent, tmp_path):
    server = Orthanc(tmp_path)
    try:
        for content in sent.values():
            server.store(content)
        objects = iter_dicomweb(server.dicomweb, environment=ACCOUNT)
        came = [next(objects), next(objects)]
        server.stop()
        came += objects
    finally:
        server.stop()
    assert [isinstance(item, bytes) for item in came] == [True, True, False]
    assert came[2] == Failure("server-unreachable")


def test_orthanc_pushes_into_the_inbox(orthanc, sent, tmp_path):
    with Receiver(tmp_path / "inbox", 0, allowed_calling=["ORTHANC"], min_free_bytes=0) as receiver:
        assert orthanc.echo("QUORUM", receiver.port)
        assert not orthanc.echo("SOMEONE", receiver.port)
        assert orthanc.push(orthanc.instances, "QUORUM", receiver.port)
        stored = [path.read_bytes() for path in (tmp_path / "inbox").glob("*.dcm")]
        assert receiver.received == len(stored) == len(sent) and receiver.refused == 0
    for content in stored:
        came = read(content)
        original = read(sent[came.SOPInstanceUID])
        assert came.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert came.get("PixelData") == original.get("PixelData")
        original.pop("DataSetTrailingPadding", None)  # DCMTK, within Orthanc, does not send it
        assert came == original


def test_orthanc_is_told_that_the_disk_is_full(orthanc, tmp_path):
    with Receiver(tmp_path / "inbox", 0, min_free_bytes=2**62) as receiver:
        assert not orthanc.push(orthanc.instances[:1], "QUORUM", receiver.port)
        assert receiver.refused == 1 and not list((tmp_path / "inbox").glob("*.dcm"))
