"""What a person is shown of a held object, and that a release lets nothing else go."""

import numpy as np
import pytest
from PIL import Image

from importer import contact_sheet, import_dicom, quarantine, release, showing
from importer.objects import process
from importer.recipe import Recipe

from .burned_in.drawing import written
from .files import KEY, image_file, image_of, region

AS_STORED = {"WindowCenter": 128, "WindowWidth": 256}


def sheet(held, kind):
    """The contact sheet's pictures of the one object that is held, "before" or "after"."""
    paths = sorted(held.glob(f"*/*-{kind}.png"), key=lambda path: int(path.name.split("-")[0]))
    return [np.asarray(Image.open(path)) for path in paths]


@pytest.mark.parametrize("dicom_out", [False, True])
@pytest.mark.parametrize(
    ("top", "bottom", "header"),
    [
        (28, 26, {"Modality": "NM", "Manufacturer": "SIEMENS NM"}),
        (26, 0, {"Modality": "US", "Manufacturer": "PHILIPS",
                 "SequenceOfUltrasoundRegions": [region(20, 6, 299, 199)]}),
    ],
)  # fmt: skip
def test_what_is_released_is_what_the_person_saw(tmp_path, top, bottom, header, dicom_out):
    image = np.full((256, 320), 60, np.uint8)
    image[:, 160:] = 90
    image, line = written(image, "HOLM, Ana 1950", 120, 60, 20)
    image, outside = written(image, "ID 4711-0815", 222, 100, 14)
    kind = ["ORIGINAL", "PRIMARY"]
    source = image_file(tmp_path / "1.dcm", image, ImageType=kind, **AS_STORED, **header)
    out, held = tmp_path / "out", tmp_path / "quarantine"
    copies = tmp_path / "copies" if dicom_out else None
    options = {"quarantine": held, "burned_in": "quarantine", "dicom_out": copies}
    report = import_dicom(source, out, KEY, **options)
    assert report.quarantined
    after = sheet(held, "after")[0]
    assert not after[:top].any() and not after[256 - bottom :].any()
    assert all(not after[r0:r1, c0:c1].any() for r0, c0, r1, c1 in (line, outside))
    assert after[top + 4 : 100, 30:290].all()

    (place,) = [path for path in held.iterdir() if path.is_dir()]
    recipe = Recipe(key=KEY, images=out / "images", quarantine=held, copies=copies)
    (task,) = release([place.name], out, recipe).tasks
    assert np.array_equal(image_of(out, task), after)


@pytest.mark.parametrize(("frame_step", "shown"), [(1, [0, 4, 7, 8, 12, 16]), (7, [0, 7, 14])])
def test_the_frame_that_was_doubtful_is_shown_among_those_that_would_leave(
    tmp_path, frame_step, shown
):
    frames = np.zeros((20, 256, 320), np.uint8)
    frames[:, 60:] = np.arange(100, 120)[:, None, None]
    frames[7], _ = written(frames[7], "NOT FOR DIAGNOSIS", 120, 20, 28)
    source = image_file(tmp_path / "sc.dcm", frames, Modality="OT", **AS_STORED)
    held = tmp_path / "quarantine"
    import_dicom(source, tmp_path / "out", KEY, quarantine=held, frame_step=frame_step)
    before = sheet(held, "before")
    assert len(before) == len(shown)
    assert all(
        np.array_equal(image, frames[number]) for image, number in zip(before, shown, strict=True)
    )


def cine(tmp_path, texts):
    """An object of 20 frames, some with a line at a row, and where each line stands."""
    frames = np.zeros((20, 256, 320), np.uint8)
    frames[:, 60:] = np.arange(100, 120)[:, None, None]
    places = {}
    for number, (text, row, column) in texts.items():
        frames[number], places[number] = written(frames[number], text, row, column, 28)
    return image_file(tmp_path / "sc.dcm", frames, Modality="OT", **AS_STORED), places


def test_a_release_asks_again_about_frames_that_the_sheet_did_not_show(tmp_path):
    source, places = cine(
        tmp_path, {7: ("NOT FOR DIAGNOSIS", 120, 20), 9: ("HOLM, ANA 1950", 180, 40)}
    )
    out, held = tmp_path / "out", tmp_path / "quarantine"
    import_dicom(source, out, KEY, quarantine=held)
    assert len(sheet(held, "before")) == 6
    (place,) = [path for path in held.iterdir() if path.is_dir()]
    recipe = Recipe(key=KEY, images=out / "images", quarantine=held)

    report = release([place.name], out, recipe)
    assert [problem.reason for problem in report.quarantined] == ["other-frames"]
    assert "./quorum release once more" in report.summary() and not report.tasks
    assert str(report.contact_sheet) in report.summary()
    assert [entry.reason for entry in quarantine.held(held)] == ["other-frames"]
    assert len(sheet(held, "before")) == 7  # in the order of the frames
    r0, c0, r1, c1 = places[9]
    assert sheet(held, "before")[4][r0:r1, c0:c1].max() == 255
    assert all(not after[r0:r1, c0:c1].any() for after in sheet(held, "after"))

    tasks = release([place.name], out, recipe).tasks
    assert len(tasks) == 20 and not quarantine.held(held)
    for task in tasks:
        assert not image_of(out, task)[r0:r1, c0:c1].any()


def test_of_many_frames_with_other_text_some_are_shown_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(showing, "_TELLING", 1)
    rows = {7: 120, 9: 150, 10: 180, 11: 210}
    source, _ = cine(tmp_path, {n: ("NOT FOR DIAGNOSIS", row, 20) for n, row in rows.items()})
    out, held = tmp_path / "out", tmp_path / "quarantine"
    (tmp_path / "out" / "images").mkdir(parents=True)
    recipe = Recipe(key=KEY, images=out / "images", quarantine=held)
    assert process(None, str(source), recipe).reason == "text-in-the-picture"
    assert process(None, str(source), recipe, "redacted").reason == "other-frames"
    page = contact_sheet.write(held).read_text()
    assert page.count("<figure>") == 8  # 0, 4, 7, 8, 12, 16, the doubtful 9, and one more
    assert "Frames with other text that are not shown: 1." in page
    assert process(None, str(source), recipe, "redacted").kind == "slices"


def test_what_one_frame_shows_is_black_on_the_sheet_s_other_frames_as_it_will_be(tmp_path):
    texts = {4: ("NOT FOR", 120, 20), 8: ("NOT FOR DIAGNOSIS", 122, 24)}
    source, _ = cine(tmp_path, texts)
    out, held = tmp_path / "out", tmp_path / "quarantine"
    import_dicom(source, out, KEY, quarantine=held, burned_in="quarantine")
    after = sheet(held, "after")
    (place,) = [path for path in held.iterdir() if path.is_dir()]
    recipe = Recipe(key=KEY, images=out / "images", quarantine=held)
    tasks = release([place.name], out, recipe).tasks
    by_frame = {task["data"]["frame"]: image_of(out, task) for task in tasks}
    for number, picture in zip((0, 4, 8, 12, 16), after, strict=True):
        assert np.array_equal(by_frame[number], picture)


def test_what_is_held_is_shown_in_every_window_that_would_leave(tmp_path):
    letters, _ = written(np.zeros((256, 320), np.uint8), "HOLM, Ana 1950", 120, 60, 20)
    stored = np.full((256, 320), 170, np.uint16)  # white in the lung window, as the text is
    stored[letters > 127] = 1000
    source = image_file(tmp_path / "ct.dcm", stored, Modality="CT")
    options = {"windows": ["lung", "mediastinum"]}
    (task,) = import_dicom(source, tmp_path / "all", KEY, burned_in="off", **options).tasks
    lung, soft = (image_of(tmp_path / "all", task, k) for k in ("image", "image_mediastinum"))
    assert np.ptp(lung) == 0 < np.ptp(soft)

    out, held = tmp_path / "out", tmp_path / "quarantine"
    report = import_dicom(source, out, KEY, quarantine=held, burned_in="quarantine", **options)
    assert report.quarantined
    before = sheet(held, "before")
    assert len(before) == 2
    assert np.array_equal(before[0], lung) and np.array_equal(before[1], soft)
    assert report.contact_sheet.read_text().count("<figure>") == 2

    after = sheet(held, "after")
    (place,) = [path for path in held.iterdir() if path.is_dir()]
    recipe = Recipe(
        key=KEY, images=out / "images", quarantine=held, windows=("lung", "mediastinum")
    )
    (task,) = release([place.name], out, recipe).tasks
    for key, picture in zip(("image", "image_mediastinum"), after, strict=True):
        assert np.array_equal(image_of(out, task, key), picture)
