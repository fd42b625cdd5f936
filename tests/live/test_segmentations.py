"""From the PACS to Label Studio and back: masks drawn there open on the original study."""

import io
from dataclasses import replace

import numpy as np
import pytest
import requests
from pydicom import dcmread

from importer import import_dicom
from importer.cli import COMMANDS
from importer.tasks import send
from ml_backend.export import export_to
from ml_backend.masks import BrushConfig, to_regions

from ..importer.dicom_series import AXES, drawing, enhanced, positions, saved, single_frames
from ..importer.test_segmentations import errors, frames_of, label_maps_of, same
from .orthanc import PASSWORD, USER, Orthanc

LABELS = ("liver", "tumour")
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    '<Label value="liver"/><Label value="tumour"/></BrushLabels></View>'
)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def originals(orthanc):
    """Two studies in the PACS: an oblique series that is stored backwards, an enhanced image."""
    series = single_frames(AXES["oblique"], positions(AXES["oblique"])[::-1], seed=1)
    volume = enhanced(AXES["sagittal"], positions(AXES["sagittal"], 4), seed=2)
    for dataset in [*series, volume]:
        stream = io.BytesIO()
        dataset.save_as(stream)
        orthanc.store(stream.getvalue())
    return series, volume


@pytest.fixture(scope="module")
def labelled(running, annotators, originals, tmp_path_factory):
    """An export of all but one slice, the hospital's folder, and what was drawn by original."""
    series, volume = originals
    folder = tmp_path_factory.mktemp("hospital")
    source = saved([*series, volume], folder / "source")
    report = import_dicom(source, folder / "import", folder / "key", burned_in="off")
    server = running.label_studio
    project = server.create_project("Return", LABEL_CONFIG)
    assert send(report.tasks, folder / "import", server, project) == 10
    settings = replace(running.settings, data_dir=folder / "outside", store_url="")
    drawn = {}
    for number, task in enumerate(sorted(server.tasks(project), key=lambda one: one.id)):
        if number == 3:
            continue
        label_map = drawing(number)
        # Rows lie farther apart than columns, so the picture is higher than the stored matrix.
        rows = (np.arange(32) * 2 + 1) * 24 // (2 * 32)
        regions = to_regions(label_map[rows], BrushConfig.parse(LABEL_CONFIG))
        annotators[0].submit(project, task.id, regions, lead_time_s=5)
        drawn[task.data["slice"]] = label_map
    export = folder / "export.zip"
    export_to(settings, server, project, "png", export)
    return folder, export, by_original(originals, folder, drawn)


def by_original(originals, folder, drawn):
    """Label maps by original SOP Instance UID and frame, under the hospital's key."""
    from importer.keys import load_or_make_key
    from importer.pseudonyms import pseudonym

    key, (series, volume), found = load_or_make_key(folder / "key"), originals, {}
    frames = [(one, 0) for one in series] + [(volume, frame) for frame in range(4)]
    for dataset, frame in frames:
        instance = pseudonym(key, "instance", dataset.SOPInstanceUID)
        name = pseudonym(key, "slice", f"{instance}/{frame}")
        if name in drawn:
            found[dataset.SOPInstanceUID, frame] = drawn[name]
    assert len(found) == len(drawn)
    return found


def returned(labelled, *options):
    folder, export, _ = labelled
    arguments = [export, "--source", folder / "source", "--key", folder / "key"]
    arguments += ["--out", folder / "returned", *options]
    return COMMANDS["return"]([str(argument) for argument in arguments])


def stored(orthanc, study):
    """Series of a study in the PACS by modality, each a list of data sets."""
    with requests.Session() as session:
        session.auth, session.trust_env = (USER, PASSWORD), False

        def ask(path):
            answer = session.get(f"{orthanc.url}/{path}", timeout=30)
            answer.raise_for_status()
            return answer

        query = {"Level": "Study", "Query": {"StudyInstanceUID": study}}
        (found,) = session.post(f"{orthanc.url}/tools/find", json=query, timeout=30).json()
        series = {}
        for each in ask(f"studies/{found}/series").json():
            files = [ask(f"instances/{name}/file").content for name in each["Instances"]]
            modality = each["MainDicomTags"]["Modality"]
            series.setdefault(modality, []).append([dcmread(io.BytesIO(file)) for file in files])
        return series


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_masks_lie_beside_their_originals_in_the_pacs(
    way, orthanc, originals, labelled, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("QUORUM_DICOMWEB_USER", USER)
    monkeypatch.setenv("QUORUM_DICOMWEB_PASSWORD", PASSWORD)
    place = f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    options = ["--pacs", place] if way == "C-STORE" else ["--dicomweb", orthanc.dicomweb]
    assert returned(labelled, *options) == 0
    said = capfd.readouterr()
    assert "9 of 9 masks returned: 2 files" in said.out and "2 sent" in said.out
    assert "anari" not in said.out + said.err
    _, _, expected = labelled
    held = {}
    series, volume = originals
    for original in (series[0], volume):
        in_study = stored(orthanc, original.StudyInstanceUID)
        assert {modality: len(found) for modality, found in in_study.items()} == {"CT": 1, "SEG": 1}
        # Sent by the other way before, it is replaced, not doubled.
        ((segmentation,),) = in_study["SEG"]
        assert segmentation.PatientID == original.PatientID
        assert segmentation.PatientName == original.PatientName
        assert segmentation.FrameOfReferenceUID == original.FrameOfReferenceUID
        images = {one.SOPInstanceUID: one for one in in_study["CT"][0]}
        for _, instance, frame, position, _ in frames_of(segmentation):
            source = images[instance]
            groups = source.get("PerFrameFunctionalGroupsSequence")
            place = groups[frame].PlanePositionSequence[0] if groups else source
            assert position == [float(value) for value in place.ImagePositionPatient]
        held |= label_maps_of(segmentation)
        path = tmp_path / "from-the-pacs.dcm"
        segmentation.save_as(path)
        assert errors(path) == set()
    same(held, expected)
    assert sum(not label_map.any() for label_map in held.values()) == 2  # drawn as empty


def test_a_pacs_that_is_not_there_loses_nothing(labelled, capfd):
    assert returned(labelled, "--pacs", "NOBODY@127.0.0.1:1") == 1
    assert "not sent: the PACS does not answer" in capfd.readouterr().err
    folder, _, expected = labelled
    made = [dcmread(path) for path in (folder / "returned").glob("*.dcm")]
    held = {name: one for each in made for name, one in label_maps_of(each).items()}
    assert all(np.array_equal(held[name], label_map) for name, label_map in expected.items())


def test_a_wrong_account_is_told_with_its_remedy(labelled, orthanc, monkeypatch, capfd):
    monkeypatch.setenv("QUORUM_DICOMWEB_USER", USER)
    monkeypatch.setenv("QUORUM_DICOMWEB_PASSWORD", "wrong-Kanari")
    assert returned(labelled, "--dicomweb", orthanc.dicomweb) == 1
    said = capfd.readouterr()
    assert "check QUORUM_DICOMWEB_USER" in said.err
    assert "anari" not in said.out + said.err
