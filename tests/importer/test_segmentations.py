"""Masks that were drawn outside lie on the hospital's own images again, pixel by pixel."""

import json
import re
import shutil
import subprocess
import zipfile

import highdicom
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import dcmread

from dicom.planes import plane_of
from importer import import_dicom
from importer.cli import COMMANDS
from importer.journal import iter_tasks

from .dicom_series import (
    AXES,
    COLUMNS,
    LABELS,
    ROWS,
    SPACING,
    drawing,
    enhanced,
    export_of,
    positions,
    saved,
    single_frames,
)


class Hospital:
    """Original files, the import made of them, and the export that comes back."""

    def __init__(self, datasets, folder, only=None, **options):
        self.folder, self.key = folder, folder / "hospital.key"
        self.source = saved(datasets, folder / "source")
        report = import_dicom(self.source, folder / "import", self.key, burned_in="off", **options)
        assert report.complete
        self.tasks = list(iter_tasks(folder / "import"))
        self.maps = {
            task["data"]["slice"]: drawing(number)
            for number, task in enumerate(self.tasks)
            if only is None or number in only
        }

    def exported(self, **options):
        return export_of(self.tasks, self.folder / "export", self.maps, **options)

    def returned(self, *options, export=None, source=None):
        """Run the command; its exit status and the folder."""
        out = self.folder / "returned"
        arguments = [export or self.exported(), "--source", source or self.source]
        arguments += ["--key", self.key, "--out", out, *options]
        return COMMANDS["return"]([str(argument) for argument in arguments]), out

    def by_original(self):
        """The label maps by original SOP Instance UID and frame, through the positions."""
        names = {}
        for path in self.source.iterdir():
            dataset = dcmread(path, stop_before_pixels=True)
            for frame in range(int(dataset.get("NumberOfFrames") or 1)):
                names[position_of(dataset, frame)] = (dataset.SOPInstanceUID, frame)
        lowest = min(names)
        found = {}
        for task in self.tasks:
            data = task["data"]
            if data["slice"] in self.maps:
                offset = data["slice_position_mm"] + lowest
                nearest = min(names, key=lambda known: abs(known - offset))
                found[names[nearest]] = self.maps[data["slice"]]
        return found


def position_of(dataset, frame):
    plane = plane_of(dataset, frame)
    return round(plane.offset_mm, 3)


def frames_of(segmentation):
    """(segment number, SOP Instance UID, frame from 0, position, pixels) of each frame."""
    pixels = np.atleast_3d(segmentation.pixel_array)
    if segmentation.NumberOfFrames == 1:
        pixels = segmentation.pixel_array[None]
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    for group, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        holder = group if "SegmentIdentificationSequence" in group else shared
        position = group.get("PlanePositionSequence")
        yield (
            holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber,
            source.ReferencedSOPInstanceUID,
            int(source.get("ReferencedFrameNumber") or 1) - 1,
            [float(v) for v in position[0].ImagePositionPatient] if position else None,
            frame,
        )


def label_maps_of(*segmentations):
    """What segmentations hold, as label maps by (SOP Instance UID, frame)."""
    found = {}
    for segmentation in segmentations:
        for number, instance, frame, _, pixels in frames_of(segmentation):
            label_map = found.setdefault((instance, frame), np.zeros(pixels.shape, np.uint8))
            label_map[pixels > 0] = number
    return found


def errors(path):
    """What the validator calls an error, without the values that it quotes."""
    found = shutil.which("dciodvfy")
    if found is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    run = subprocess.run([found, str(path)], capture_output=True, timeout=60)
    lines = (run.stdout + run.stderr).decode("latin-1").splitlines()
    assert "Segmentation" in lines
    return {re.sub(r"<[0-9.]*>", "<>", line) for line in lines if "Error" in line}


def same(one, other):
    assert one.keys() == other.keys()
    for name, label_map in one.items():
        assert np.array_equal(label_map, other[name]), name


@pytest.fixture(params=sorted(AXES))
def axes(request):
    return AXES[request.param]


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_a_segmentation_lies_on_the_original_study(axes, order, tmp_path, capfd):
    places = positions(axes)
    sources = single_frames(axes, places if order == "rising" else places[::-1])
    hospital = Hospital(sources, tmp_path)
    status, out = hospital.returned()
    assert status == 0
    (path,) = out.glob("*.dcm")
    made, original = dcmread(path), sources[0]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert made[keyword].value == original[keyword].value
    assert made.SeriesInstanceUID != original.SeriesInstanceUID
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == original.SeriesInstanceUID
    by_uid = {source.SOPInstanceUID: source for source in sources}
    frames = list(frames_of(made))
    assert len(frames) == len(LABELS) * len(sources)
    for _, instance, _, position, _ in frames:
        assert position == [float(value) for value in by_uid[instance].ImagePositionPatient]
    shared = made.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert orientation == original.ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == SPACING
    assert float(shared.PixelMeasuresSequence[0].SpacingBetweenSlices) == pytest.approx(2.5)
    same(label_maps_of(made), hospital.by_original())
    assert errors(path) == set()
    said = capfd.readouterr()
    assert "anari" not in said.out + said.err and "4711" not in said.out + said.err
    assert not any("anari" in path.name for path in out.iterdir())


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_a_nifti_has_the_affine_that_simpleitk_reads(axes, order, tmp_path):
    places = positions(axes)
    sources = single_frames(axes, places if order == "rising" else places[::-1])
    hospital = Hospital(sources, tmp_path)
    status, out = hospital.returned("--format", "nifti")
    assert status == 0
    (path,) = out.glob("*_labels.nii.gz")
    volume = nibabel.load(path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(hospital.source)))
    source = reader.Execute()
    direction = np.array(source.GetDirection()).reshape(3, 3)
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = direction * source.GetSpacing(), source.GetOrigin()
    expected = np.diag([-1, -1, 1, 1]) @ lps
    assert volume.affine == pytest.approx(expected, abs=2e-5)
    assert volume.get_qform() == pytest.approx(expected, abs=2e-4)
    assert volume.shape == source.GetSize() == (COLUMNS, ROWS, len(places))
    assert volume.header["sform_code"] == 1
    read_back = sitk.ReadImage(str(path))
    assert np.allclose(read_back.GetOrigin(), source.GetOrigin(), atol=1e-3)
    assert np.allclose(read_back.GetDirection(), source.GetDirection(), atol=1e-4)
    maps = hospital.by_original()
    files = reader.GetGDCMSeriesFileNames(str(hospital.source))
    for plane, name in enumerate(files):
        drawn = maps[dcmread(name, stop_before_pixels=True).SOPInstanceUID, 0]
        assert np.array_equal(np.asarray(volume.dataobj)[:, :, plane].T, drawn)
    assert not list(out.glob("*_known*"))  # every slice has a mask


def test_slices_without_a_mask_are_told_apart_from_empty_ones(tmp_path):
    hospital = Hospital(
        single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path, only={1, 4}
    )
    status, out = hospital.returned("--format", "nifti")
    assert status == 0
    (labels,), (known,) = out.glob("*_labels.nii.gz"), out.glob("*_known.nii.gz")
    known = np.asarray(nibabel.load(known).dataobj)
    labels = np.asarray(nibabel.load(labels).dataobj)
    assert [int(known[:, :, plane].min()) for plane in range(6)] == [0, 1, 0, 0, 1, 0]
    assert np.array_equal(labels[:, :, 1].T, drawing(1)) and not labels[:, :, 4].any()
    (sidecar,) = out.glob("*.json")
    said = json.loads(sidecar.read_text())
    assert [one["HasMask"] for one in said["Slices"]] == [False, True, False, False, True, False]
    assert said["SpacingBetweenSlices"] == pytest.approx(2.5)
    status, out = hospital.returned(export=tmp_path / "export")
    (path,) = out.glob("*.dcm")
    same(label_maps_of(dcmread(path)), hospital.by_original())  # the empty one is there


@pytest.mark.parametrize("only", [None, {0, 2, 3}])
def test_frames_of_an_enhanced_image_are_referred_to_by_their_numbers(only, tmp_path):
    places = positions(AXES["oblique"])
    source = enhanced(AXES["oblique"], places)
    hospital = Hospital([source], tmp_path, only)
    status, out = hospital.returned()
    assert status == 0
    (path,) = out.glob("*.dcm")
    made = dcmread(path)
    same(label_maps_of(made), hospital.by_original())
    for _, instance, frame, position, _ in frames_of(made):
        assert instance == source.SOPInstanceUID
        assert position == pytest.approx(list(places[frame]), abs=1e-6)
    (reference,) = made.SourceImageSequence
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert errors(path) == set()
    status, out = hospital.returned("--format", "nifti", export=tmp_path / "export")
    (path,) = out.glob("*_labels.nii.gz")
    assert nibabel.load(path).affine[:3, 3] == pytest.approx(places[0] * [-1, -1, 1], abs=1e-4)


def test_highdicom_reads_what_was_drawn(tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    _, out = hospital.returned()
    (path,) = out.glob("*.dcm")
    made = highdicom.seg.segread(path)
    maps = hospital.by_original()
    uids = [instance for instance, _ in maps]
    read = made.get_pixels_by_source_instance(uids, combine_segments=True)
    assert np.array_equal(read, np.stack(list(maps.values())))


def test_stretched_pixels_are_brought_back_exactly(tmp_path):
    thick = single_frames(AXES["axial"], positions(AXES["axial"]), PixelSpacing=[2.0, 0.7])
    hospital = Hospital(thick, tmp_path)
    pictures = [Image.open(tmp_path / "import" / task["data"]["image"]) for task in hospital.tasks]
    shown = {picture.size for picture in pictures}
    assert shown == {(COLUMNS, 69)}
    expected = hospital.by_original()
    rows = (np.arange(69) * 2 + 1) * ROWS // (2 * 69)  # as a viewer would stretch a mask
    hospital.maps = {name: label_map[rows] for name, label_map in hospital.maps.items()}
    status, out = hospital.returned()
    assert status == 0
    (path,) = out.glob("*.dcm")
    same(label_maps_of(dcmread(path)), expected)


def test_one_bad_image_does_not_stop_the_others(tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    export = hospital.exported()
    first, second, *_ = sorted(hospital.source.iterdir())
    gone = {hospital_name(hospital, first), hospital_name(hospital, second)}
    first.unlink()
    second.write_bytes(second.read_bytes()[:400])
    (hospital.source / "Kanari notes.txt").write_text("Kanari")
    (export / "masks" / "task-6.png").write_bytes(b"no picture")
    status, out = hospital.returned("--json", export=export)
    assert status == 1
    said = capfd.readouterr()
    report = json.loads(said.out)
    assert set(report["missing"]) == gone
    assert report["masks"] == 6 and report["returned"] in (3, 4)
    assert "anari" not in said.out + said.err
    (path,) = out.glob("*.dcm")
    assert len(label_maps_of(dcmread(path))) == report["returned"]


@pytest.mark.parametrize("format_name", ["dicom-seg", "nifti", "geometry"])
@pytest.mark.parametrize("keyword", ["NumberOfFrames", "InstanceNumber"])
def test_two_values_where_one_belongs_stop_no_other_image(keyword, format_name, tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    expected = hospital.by_original()
    damaged = sorted(hospital.source.iterdir())[2]
    dataset = dcmread(damaged)
    setattr(dataset, keyword, ["1", "1"])
    dataset.save_as(damaged)
    status, out = hospital.returned("--format", format_name)
    assert status == 0
    if format_name == "dicom-seg":
        (path,) = out.glob("*.dcm")
        same(label_maps_of(dcmread(path)), expected)


@pytest.mark.parametrize(("form", "at_first", "then"), [("nifti", 5, 2), ("dicom-seg", 2, 1)])
def test_a_later_return_leaves_no_file_of_the_one_before(form, at_first, then, tmp_path):
    # Two stacks, one of them with a plane without a mask, become one that is whole.
    places = positions(AXES["axial"], 3)
    hospital = Hospital(single_frames(AXES["axial"], places + places), tmp_path, only=range(5))
    _, out = hospital.returned("--format", form)
    assert len(list(out.iterdir())) == at_first
    foreign = [out / "notes.json", out / "0123456789abcdef0123_labels.nii.gz"]
    for path in foreign:
        path.write_text("somebody's own")
    stack_of = {path: dcmread(path).InstanceNumber > 3 for path in hospital.source.iterdir()}
    (unmasked,) = (
        path
        for path in stack_of
        if hospital_name(hospital, path) == hospital.tasks[5]["data"]["instance"]
    )
    for path, stack in stack_of.items():
        if stack == stack_of[unmasked]:
            path.unlink()
    status, _ = hospital.returned("--format", form, export=tmp_path / "export")
    assert status == 1  # the images are gone
    kept = {path.name for path in out.iterdir()} - {path.name for path in foreign}
    assert len(kept) == then
    assert not any("-" in name or "known" in name for name in kept)
    assert all(path.read_text() == "somebody's own" for path in foreign)


def test_two_tasks_of_one_image_are_told_as_that(tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    export = hospital.exported()
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["slices"].append({**manifest["slices"][0], "task": 99})
    (export / "manifest.json").write_text(json.dumps(manifest))
    status, out = hospital.returned(export=export)
    said = capfd.readouterr()
    assert status == 1 and "6 of 7 masks" in said.out
    assert "1 slices of the export are second tasks of an image" in said.err
    assert "no DICOM image" not in said.err
    (path,) = out.glob("*.dcm")
    same(label_maps_of(dcmread(path)), hospital.by_original())


@pytest.mark.parametrize(("form", "told"), [("coco", "as coco"), ("x\nKanari", "another format")])
def test_an_export_in_another_format_is_told_with_the_remedy(form, told, tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"], 1)), tmp_path)
    export = hospital.exported()
    manifest = json.loads((export / "manifest.json").read_text())
    (export / "manifest.json").write_text(json.dumps({**manifest, "format": form}))
    assert hospital.returned(export=export)[0] == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert told in line and "--format png" in line and "Kanari" not in line


def hospital_name(hospital, path):
    from importer.keys import load_or_make_key
    from importer.pseudonyms import pseudonym

    uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
    return pseudonym(load_or_make_key(hospital.key), "instance", uid)


def test_another_key_finds_nothing_and_no_key_is_made(tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    export = hospital.exported()
    right, hospital.key = hospital.key, tmp_path / "other.key"
    assert hospital.returned(export=export)[0] == 2
    assert not hospital.key.exists() and "no key file" in capfd.readouterr().err
    hospital.key.write_text("ab" * 32)
    hospital.key.chmod(0o600)
    assert hospital.returned(export=export)[0] == 2
    hospital.key = right
    assert hospital.returned(export=export)[0] == 0


def test_after_a_change_of_key_the_vault_knows_the_old_names(tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    assert COMMANDS["rotate-key"](["--key", str(hospital.key)]) == 0
    status, out = hospital.returned()
    assert status == 0
    (path,) = out.glob("*.dcm")
    same(label_maps_of(dcmread(path)), hospital.by_original())


def test_zips_are_read_and_nothing_is_left_of_them(tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"])), tmp_path)
    export = hospital.exported()
    for folder in (export, hospital.source):
        with zipfile.ZipFile(tmp_path / f"{folder.name}.zip", "w") as packed:
            for path in folder.rglob("*.*"):
                packed.write(path, path.relative_to(folder))
    status, out = hospital.returned(export=tmp_path / "export.zip", source=tmp_path / "source.zip")
    assert status == 0
    (path,) = out.iterdir()  # the only thing there
    same(label_maps_of(dcmread(path)), hospital.by_original())


@pytest.mark.parametrize("way", ["../secret.png", "/etc/hostname", "masks/link.png", "a\\b", ""])
def test_a_name_that_leads_out_of_the_export_is_not_followed(way, tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"], 2)), tmp_path)
    export = hospital.exported()
    Image.fromarray(drawing(0)).save(tmp_path / "secret.png")
    (export / "masks" / "link.png").symlink_to(tmp_path / "secret.png")
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["slices"][0]["files"]["mask"] = way
    (export / "manifest.json").write_text(json.dumps(manifest))
    status, out = hospital.returned(export=export)
    assert status == 1 and "missing or no grey PNG" in capfd.readouterr().err
    (path,) = out.glob("*.dcm")
    assert len(label_maps_of(dcmread(path))) == 1


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"labels": {"2": "x"}, "slices": []}', "[" * 100_000]
)
def test_what_is_no_export_is_told_in_one_line(content, tmp_path, capfd):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"], 1)), tmp_path)
    export = tmp_path / "broken"
    export.mkdir()
    (export / "manifest.json").write_text(content)
    assert hospital.returned(export=export)[0] == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "no export with masks" in line


def test_names_in_every_script_survive(tmp_path):
    for number, (encoding, name) in enumerate(
        [
            ("ISO_IR 100", "Müller^Jörg"),
            (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
            ("ISO_IR 144", "Люкceмбypг"),
            ("GB18030", "Wang^XiaoDong=王^小东"),
        ]
    ):
        changes = {"SpecificCharacterSet": encoding, "PatientName": name}
        sources = single_frames(AXES["axial"], positions(AXES["axial"], 2), **changes)
        hospital = Hospital(sources, tmp_path / str(number))
        status, out = hospital.returned()
        assert status == 0
        (path,) = out.glob("*.dcm")
        made = dcmread(path)
        assert str(made.PatientName) == name
        assert [segment.SegmentLabel for segment in made.SegmentSequence] == list(LABELS)


def test_broken_headers_still_make_a_valid_segmentation(tmp_path):
    changes = {"PatientSex": "UNKNOWN", "StudyDate": "", "StudyTime": "", "AccessionNumber": None}
    sources = single_frames(AXES["axial"], positions(AXES["axial"], 2), **changes)
    for source in sources:
        del source.StudyID, source.ReferringPhysicianName, source.SliceThickness
    hospital = Hospital(sources, tmp_path)
    status, out = hospital.returned()
    assert status == 0
    (path,) = out.glob("*.dcm")
    assert errors(path) == set()
    measures = dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == pytest.approx(2.5)  # as far as they are apart


def test_a_distance_between_drawn_slices_is_no_thickness_where_others_lie_between(tmp_path):
    sources = single_frames(AXES["axial"], positions(AXES["axial"], 8, step=1.5))
    for source in sources:
        del source.SliceThickness
    hospital = Hospital(sources, tmp_path, only={0, 5})
    _, out = hospital.returned()
    (path,) = out.glob("*.dcm")
    measures = dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == 1  # stands for what nobody said
    assert float(measures.SpacingBetweenSlices) == pytest.approx(7.5)
    assert errors(path) == set()


def test_an_image_without_a_place_has_a_segmentation_of_its_own(tmp_path):
    sources = single_frames(AXES["axial"], positions(AXES["axial"], 2), Modality="DX")
    for source in sources:
        source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"):
            delattr(source, keyword)
    hospital = Hospital(sources, tmp_path)
    status, out = hospital.returned()
    assert status == 0
    made = [dcmread(path) for path in out.glob("*.dcm")]
    assert len(made) == 2 and len({dataset.SeriesInstanceUID for dataset in made}) == 1
    found = label_maps_of(*made)
    assert {instance for instance, _ in found} == {source.SOPInstanceUID for source in sources}
    for path in out.glob("*.dcm"):
        assert errors(path) == set()
    status, out = hospital.returned("--format", "nifti", export=tmp_path / "export")
    assert len(list(out.glob("*_labels.nii.gz"))) == 2


def test_slices_at_the_same_place_go_to_different_segmentations(tmp_path):
    places = positions(AXES["axial"], 3)
    hospital = Hospital(single_frames(AXES["axial"], places + places), tmp_path)
    status, out = hospital.returned()
    assert status == 0
    made = [dcmread(path) for path in out.glob("*.dcm")]
    assert sorted(len(label_maps_of(dataset)) for dataset in made) == [3, 3]
    status, out = hospital.returned("--format", "nifti", export=tmp_path / "export")
    assert [nibabel.load(path).shape[2] for path in out.glob("*_labels.nii.gz")] == [3, 3]


def test_the_same_masks_make_the_same_uid_and_others_another(tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"], 2)), tmp_path)
    export = hospital.exported()
    uids = []
    for changed in (False, False, True):
        if changed:
            Image.fromarray(drawing(3)).save(export / "masks" / "task-1.png")
        _, out = hospital.returned(export=export)
        (path,) = out.glob("*.dcm")
        uids.append(dcmread(path).SOPInstanceUID)
    assert uids[0] == uids[1] != uids[2]


def test_a_committees_masks_name_it(tmp_path):
    hospital = Hospital(single_frames(AXES["axial"], positions(AXES["axial"], 2)), tmp_path)
    export = hospital.exported(made={"by": "version", "version": "r0007-3f9c2a"})
    _, out = hospital.returned(export=export)
    (path,) = out.glob("*.dcm")
    for segment in dcmread(path).SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmVersion == "r0007-3f9c2a"
    assert errors(path) == set()
