"""The command line: exit status, what it says, and what it never says."""

import json

import pytest

from ml_backend.export import main

from .slices import Crowd, standing_in


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("QUORUM_PATIENCE_S", "0")


def test_it_says_how_many_slices_there_are_and_where(monkeypatch, tmp_path, capsys):
    project = Crowd(extra={"site": "north"})
    project.draw(1, project.reference(1))
    out = tmp_path / "taken"
    with standing_in(monkeypatch, project):
        assert main(["1", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert f"1 slices in {out}" in said.out
    assert "site" in said.err and "--data known" in said.err
    assert json.loads((out / "manifest.json").read_text())["format"] == "png"


def test_problems_are_told_but_no_flood_of_them(monkeypatch, tmp_path, capsys):
    project = Crowd(patients=[f"p{n}" for n in range(16)])
    project.draw(31, project.reference(31))
    for task_id in range(1, 31):
        project.draw(task_id, project.reference(task_id), regions=[{"type": "brushlabels"}])
    with standing_in(monkeypatch, project):
        assert main(["1", "--out", str(tmp_path / "t.zip"), "--format", "coco"]) == 1
    said = capsys.readouterr().err
    assert said.count("is left out") == 20 and "and 10 more" in said
    assert "30 slices were left out" in said


def test_an_annotation_that_another_stands_in_for_leaves_no_slice_out(
    monkeypatch, tmp_path, capsys
):
    project = Crowd()
    project.draw(1, project.reference(1))
    project.draw(1, project.reference(1), who=2, regions=[{"type": "brushlabels"}])
    with standing_in(monkeypatch, project):
        assert main(["1", "--out", str(tmp_path / "t")]) == 0
    assert "is left out" in capsys.readouterr().err


def test_slices_without_any_mask_are_told_where_all_are_asked_for(monkeypatch, tmp_path, capsys):
    project = Crowd(patients=[f"p{n}" for n in range(3)])
    project.draw(1, project.reference(1))
    with standing_in(monkeypatch, project):
        assert main(["1", "--out", str(tmp_path / "t")]) == 0
        assert "not in it" not in capsys.readouterr().err
        assert main(["1", "--out", str(tmp_path / "all"), "--include", "all"]) == 0
    said = capsys.readouterr()
    assert "1 slices in" in said.out and "5 slices are not in it: nobody has" in said.err
    manifest = json.loads((tmp_path / "all" / "manifest.json").read_text())
    assert manifest["without_mask"] == [2, 3, 4, 5, 6]
    assert "5 slices of the project have no mask" in (tmp_path / "all" / "README.md").read_text()


def test_a_server_that_is_down_ends_it_with_a_remedy(tmp_path, capsys):
    assert main(["1", "--out", str(tmp_path / "t")]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached: check LABEL_STUDIO_URL" in said and "Traceback" not in said
    assert not (tmp_path / "t").exists()


def test_a_place_that_cannot_be_used_is_told_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    assert main(["1", "--out", str(tmp_path / "mine")]) == 1
    assert "holds other files" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["1", "--out", str(tmp_path / "file" / "below")]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--format", "tiff"], ["--include", "most"], ["--data", "x"]])
def test_a_wrong_choice_is_a_usage_error(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["1", "--out", str(tmp_path / "t"), *wrong])
    assert caught.value.code == 2 and "invalid choice" in capsys.readouterr().err
