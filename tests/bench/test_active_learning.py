"""The benchmark: labelled sets from folders, runs through the served code, resuming, the page."""

import io
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import nn

from bench.active_learning import main
from bench.active_learning.data import DataError, load
from bench.active_learning.figures import FiguresError, measured_quality
from bench.active_learning.project import PROJECT_ID, InMemoryProject
from bench.active_learning.rows import Rows, RowsError
from bench.pages import replace_section
from ml_backend.label_studio import LabelStudioError
from ml_backend.masks import to_label_map
from ml_backend.rounds import run_round
from ml_backend.settings import Settings
from ml_backend.store import Store
from tests.ml_backend.projects import quick_settings

SIDE = 24


def blob(number):
    """A slice with one bright disc of one of two classes, and its label map."""
    generator = np.random.default_rng(number)
    y, x, radius = generator.uniform(8, 16), generator.uniform(8, 16), generator.uniform(3, 6)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    image = generator.normal(60, 10, (SIDE, SIDE)) + inside * (80 + 60 * (number % 2))
    label_map = inside * np.uint8(1 + number % 2)
    return image.clip(0, 255).astype(np.uint8), label_map.astype(np.uint8)


def save(folder, name, image, label_map):
    for kind, pixels in (("images", image), ("masks", label_map)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{name}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve slices to label and four to test with."""
    folder = tmp_path_factory.mktemp("sets") / "blobs"
    for number in range(16):
        save(folder / ("train" if number < 12 else "test"), str(number), *blob(number))
    return folder


def arguments(folder, out, *more):
    return [
        *f"--data {folder} --out {out} --seeds 2 --budgets 0.25,0.5 --edition cpu".split(),
        *"--steps 5 --width 4 --scales 2 --members 2 --batch-size 2 --side 16".split(),
        *more,
    ]


TIMES = ("train_s", "score_s", "select_s", "round_s")


def untimed(rows):
    return sorted(
        (json.dumps({k: v for k, v in row.items() if k not in TIMES}, sort_keys=True))
        for row in rows
    )


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    assert main(arguments(folder, out)) == 0
    return out, Rows(out).read()


def test_a_grid_has_each_row_once_and_full_labels_beside_it(run):
    _, rows = run
    found = [(r["strategy"], r["seed"], r["labels"]) for r in rows]
    assert len(set(found)) == len(found) == 2 * (1 + 2 + 2)
    assert {labels for strategy, _, labels in found if strategy == "full"} == {12}
    assert {labels for strategy, _, labels in found if strategy != "full"} == {3, 6}


def test_rows_hold_each_class_and_what_they_were_measured_with(run):
    _, rows = run
    for row in rows:
        assert set(row["classes"]) == {"class 1", "class 2"}
        for figures in row["classes"].values():
            assert 0 <= figures["iou"] <= figures["dice"] <= 1
            assert figures["hd95_px"] >= 0
        assert np.sum(row["confusion"]) == 4 * SIDE * SIDE
        assert row["edition"] == "cpu" and row["hardware"] and row["commit"]


def test_strategies_of_a_seed_begin_alike_and_never_see_the_test_set(run):
    _, rows = run
    for seed in range(2):
        first = [r for r in rows if (r["seed"], r["round"]) == (seed, 0) and r["labels"] == 3]
        assert len(first) == 2
        assert first[0]["picks"] == first[1]["picks"]
        assert first[0]["mean_iou"] == first[1]["mean_iou"]
    assert all(pick.startswith("train/") for row in rows for pick in row["picks"])


def test_a_slice_is_picked_once_in_the_order_that_was_served(run):
    _, rows = run
    for row in rows:
        if row["strategy"] != "full" and row["round"] == 1:
            before = next(
                r
                for r in rows
                if (r["strategy"], r["seed"], r["round"]) == (row["strategy"], row["seed"], 0)
            )
            assert row["picks"] == before["next"]
            assert not set(row["picks"]) & set(before["picks"])


def test_a_finished_run_is_not_run_again(run, folder, capsys):
    out, rows = run
    assert main(arguments(folder, out)) == 0
    assert "0 rows added" in capsys.readouterr().out
    assert Rows(out).read() == rows


def test_a_stopped_run_goes_on_to_the_same_rows(run, folder, tmp_path):
    _, rows = run
    # Cut down to the first round of each simulation, and a line that a crash cut short.
    kept = [row for row in rows if row["round"] == 0 and row["seed"] == 0]
    lines = [json.dumps(row) for row in kept]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + '\n{"data": "blo')
    assert main(arguments(folder, tmp_path)) == 0
    assert untimed(Rows(tmp_path).read()) == untimed(rows)


def test_other_settings_are_other_rows(run, folder, tmp_path):
    out, rows = run
    (tmp_path / "rows.jsonl").write_text((out / "rows.jsonl").read_text())
    more = ["--strategies", "random", "--first", "random", "--seeds", "1"]
    assert main(arguments(folder, tmp_path, *more)) == 0
    added = Rows(tmp_path).read()[len(rows) :]
    assert len(added) == 3
    assert {r["fingerprint"] for r in added}.isdisjoint(r["fingerprint"] for r in rows)


def test_a_variant_with_a_cold_start_begins_with_it_beside_those_that_begin_at_random(
    folder, tmp_path
):
    page = tmp_path / "page.md"
    variant = f"{Settings.strategy}+cold_start=thumbnails"
    more = ["--strategies", "random", "two-stage", variant, "--first", "random", "--page", page]
    assert main(arguments(folder, tmp_path / "out", *map(str, more))) == 0
    for seed in (0, 1):
        begun = {
            r["strategy"]: r["picks"]
            for r in Rows(tmp_path / "out").read()
            if (r["seed"], r["round"]) == (seed, 0)
        }
        assert begun["random"] == begun["two-stage"] != begun[variant]
    assert f"begin with the same batch, but for {variant}: what differs" in page.read_text()
    assert f"### Less {variant}, paired by seed" in page.read_text()


@pytest.mark.parametrize(
    ("more", "seed"), [(["--jobs", "2"], 0), (["--first-seed", "1"], 1)], ids=["parallel", "apart"]
)
def test_seeds_run_in_parallel_or_apart_give_the_same_rows(run, folder, tmp_path, more, seed):
    _, rows = run
    one = ["--strategies", "random", "--seeds", "1", *more]
    assert main(arguments(folder, tmp_path, *one)) == 0
    wanted = [r for r in rows if r["strategy"] in ("full", "random") and r["seed"] == seed]
    assert untimed(Rows(tmp_path).read()) == untimed(wanted)


def test_the_first_committee_of_a_seed_is_trained_once_and_is_the_one_of_every_strategy(
    run, folder, tmp_path
):
    out, rows = run
    assert len({r["strategy"] for r in rows} - {"full"}) == 2
    assert len(list((out / "first-committees").glob("*.lock"))) == 2  # one a seed
    first = [r for r in rows if r["round"] == 0 and r["strategy"] != "full"]
    for seed in (0, 1):
        (seconds,) = {r["train_s"] for r in first if r["seed"] == seed}
        assert seconds > 0
    last = [r["strategy"] for r in rows if r["strategy"] != "full"][-1]  # it trained none itself
    assert main(arguments(folder, tmp_path, "--strategies", last, "--seeds", "1")) == 0
    wanted = [r for r in rows if r["strategy"] in ("full", last) and r["seed"] == 0]
    assert untimed(Rows(tmp_path).read()) == untimed(wanted)


def test_a_variant_changes_its_own_settings_alone(folder, tmp_path):
    variant = "random+bootstrap_over=patients"
    more = ["--strategies", "full", "random", variant, "random-foreground", "--seeds", "1"]
    assert main(arguments(folder, tmp_path, *more)) == 0
    rows = Rows(tmp_path).read()
    assert len(rows) == 1 + 3 * 2  # full labels once, though they were asked for too
    recipes = {r["strategy"]: r["recipe"]["bootstrap_over"] for r in rows}
    assert recipes["random"] == "none" and recipes[variant] == "patients"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[::-1]))
    assert main(arguments(folder, tmp_path, *more, "--page-only")) == 0
    assert "bootstrap_over none" in (tmp_path / "benchmarks.md").read_text()


def test_the_page_holds_tables_curves_and_the_command(run):
    out, _ = run
    page = (out / "benchmarks.md").read_text()
    for wanted in (
        "two-stage",
        "random",
        "AUBC",
        "HD95",
        "### Less random, paired by seed\n\n| strategy | AUBC | p (Holm) | 6 (50%) | p (Holm) |",
        f"### Less {Settings.strategy}, paired by seed",
        "./quorum bench",
        "--steps 5",
    ):
        assert wanted in page
    with Image.open(out / "benchmarks-blobs-cpu.png") as picture:
        assert picture.format == "PNG"


def test_the_page_of_a_stopped_run_is_of_what_is_complete(run, folder, tmp_path):
    _, rows = run
    begun = [r for r in rows if not (r["strategy"] == "random" and r["round"])]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in begun))
    assert main(arguments(folder, tmp_path, "--page-only")) == 0
    page = (tmp_path / "benchmarks.md").read_text()
    assert f"| {Settings.strategy} |" in page and "| random |" not in page


class Background(nn.Module):
    """It drafts background, whatever it has learnt."""

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.Conv2d(width, classes, 1))

    def forward(self, x):
        logits = self.layers(x)
        return torch.cat([logits[:, :1] + 1e6, logits[:, 1:]], dim=1), x.mean(dim=(2, 3))


def test_a_network_of_one_s_own_is_measured_as_any_other(folder, tmp_path):
    network = f"{__name__}:Background"
    more = ["--network", network, "--strategies", "random", "--seeds", "1"]
    assert main(arguments(folder, tmp_path, *more)) == 0
    assert {row["network"] for row in Rows(tmp_path).read()} == {network}


def test_quality_without_any_foreground_is_told(folder, tmp_path):
    data = load(folder)
    for n in data.test:
        data.slices[n] = replace(data.slices[n], label_map=np.zeros((SIDE, SIDE), np.uint8))
    project = InMemoryProject(data)
    settings = quick_settings(tmp_path, network=f"{__name__}:Background", width=1)
    Store(settings.store_root, PROJECT_ID).keep_sides(project.sides())
    project.annotate(range(len(data.slices)))
    version = run_round(settings, project, PROJECT_ID)["version"]
    with pytest.raises(FiguresError, match="the test slices hold no foreground"):
        measured_quality(settings, project, version)


def test_a_titled_page_stands_beside_the_other(run, folder, tmp_path):
    out, _ = run
    (tmp_path / "rows.jsonl").write_text((out / "rows.jsonl").read_text())
    page = tmp_path / "benchmarks.md"
    for title in ([], ["--title", "blobs, all of them"]):
        assert main(arguments(folder, tmp_path, "--page-only", *title)) == 0
    text = page.read_text()
    assert "<!-- active-learning blobs-cpu -->" in text
    assert "## blobs, all of them, CPU edition" in text
    assert text.count("### Less random") == 2
    assert (tmp_path / "benchmarks-blobs-all-of-them-cpu.png").exists()


def test_a_single_budget_has_no_curve(folder, tmp_path):
    more = ["--strategies", "random", "--seeds", "1", "--budgets", "0.5"]
    assert main(arguments(folder, tmp_path, *more)) == 0
    page = (tmp_path / "benchmarks.md").read_text()
    assert "### Mean IoU at each budget" in page and ".png" not in page
    assert not list(tmp_path.glob("*.png"))


def test_a_section_is_replaced_and_the_rest_of_the_page_left_alone():
    page = replace_section("# Title\n\nProse.\n", "active-learning a-cpu", "old")
    page = replace_section(page, "active-learning a-gpu", "other edition")
    again = replace_section(page, "active-learning a-cpu", "new")
    assert "old" not in again and "new" in again
    assert "Prose." in again and "other edition" in again
    assert again.count("<!-- active-learning a-cpu -->") == 1


def test_two_runs_cannot_write_to_one_folder(tmp_path):
    with Rows(tmp_path).held(), pytest.raises(RowsError, match="another run"):  # noqa: SIM117
        with Rows(tmp_path).held():
            pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_run_leaves_nobody_behind_who_writes_rows(folder, tmp_path):
    long = arguments(folder, tmp_path, "--jobs", "2", "--steps", "100000")
    run = subprocess.Popen(
        [sys.executable, "-m", "bench.active_learning", *long], stdout=subprocess.DEVNULL
    )
    began, started = time.monotonic(), []
    try:
        # Two that compute, beside multiprocessing's own that tracks resources.
        while len(started) < 3 and time.monotonic() < began + 60:
            time.sleep(0.1)
            started = psutil.Process(run.pid).children(recursive=True)
        assert len(started) >= 3
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    for process in alive:
        process.kill()
    assert not alive


def test_a_damaged_row_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text("nonsense\n{}\n")
    with pytest.raises(RowsError, match=r"rows\.jsonl holds a damaged line"):
        Rows(tmp_path).read()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strategies", "tea-leaves"], "no strategy 'tea-leaves'"),
        (["--budgets", "0.5,0.1"], "give [6, 1] labels"),
        (["--set", "colour=red"], "is no setting"),
        (["--set", "K=3"], "K is the plan's to decide: see --candidates"),
        (["--strategies", "two-stage+seed=7"], "see --seeds"),
        (["--seeds", "0"], "at least 1"),
        (["--first-seed", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_run_is_said_without_a_traceback(folder, tmp_path, capsys, more, said):
    assert main(arguments(folder, tmp_path, *more)) == 2
    assert said in capsys.readouterr().err


# -- the project in memory ------------------------------------------------------------------------


def test_annotations_are_the_reference_masks_as_brush_regions(folder):
    project = InMemoryProject(load(folder))
    project.annotate([3])
    (annotation,) = project.annotations(PROJECT_ID, [3, 4])
    assert annotation.task_id == 4
    drawn = to_label_map(annotation.regions, project.config, SIDE, SIDE)
    assert (drawn == project.data.slices[3].label_map).all()
    assert [task.id for task in project.tasks(PROJECT_ID) if task.is_labeled] == [4]


def test_slices_are_served_by_rising_score_of_the_version_in_use(folder):
    project = InMemoryProject(load(folder))
    for version, scores in (("r1", [0.1, 0.5, 0.3]), ("r2", [0.9, 0.2, 0.4])):
        pushed = [
            {"task": n + 1, "score": score, "model_version": version, "result": []}
            for n, score in enumerate(scores)
        ]
        project.push_predictions(PROJECT_ID, pushed, 10, 0)
    project.serve_order_of(PROJECT_ID, "r2")
    assert project.next_slices(2) == [1, 2]
    project.annotate([1])
    assert project.next_slices(3) == [2, 0]


def test_what_the_project_lacks_is_refused_not_made_up(folder):
    with pytest.raises(LabelStudioError, match="teach it"):
        InMemoryProject(load(folder)).whoami()


# -- labelled sets --------------------------------------------------------------------------------


def test_a_set_with_its_own_division_keeps_it(folder):
    data = load(folder, classes=["a", "b"])
    assert (len(data.pool), len(data.test)) == (12, 4)
    assert data.class_names == ("a", "b")
    assert [data.slices[i].name for i in data.test] == [f"test/{n}" for n in range(12, 16)]


def test_volumes_are_patients_that_stay_whole(tmp_path):
    import nibabel

    for number in range(4):
        pairs = [blob(10 * number + z) for z in range(6)]
        for kind, stack in zip(("images", "labels"), zip(*pairs, strict=True), strict=True):
            (tmp_path / kind).mkdir(exist_ok=True)
            volume = nibabel.Nifti1Image(np.stack(stack, axis=-1), np.diag([1, 1, 3, 1]))
            nibabel.save(volume, tmp_path / kind / f"v{number}.nii.gz")
    data = load(tmp_path, every=2, volumes=4)
    assert len(data.slices) == 12
    by_side = [{data.slices[i].patient for i in side} for side in (data.pool, data.test)]
    assert len(by_side[1]) == 1 and not by_side[0] & by_side[1]
    first = data.slices[0]
    assert (first.name, first.position_mm) == ("v0/001", 3.0)
    with Image.open(io.BytesIO(first.content)) as image:
        bright = np.asarray(image)[first.label_map > 0].mean()
        assert bright > np.asarray(image)[first.label_map == 0].mean()  # turned alike
    assert len(load(tmp_path, volumes=3, every=2).slices) == 9


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_do_not_blacken_a_volume(tmp_path, hole):
    import nibabel

    for number in range(4):
        image, label_map = blob(number)
        voxels = np.stack([image] * 3, axis=-1).astype(np.float32)
        voxels[:2] = hole  # outside of the head, as some programs write it
        for kind, stack in (("images", voxels), ("labels", np.stack([label_map] * 3, axis=-1))):
            (tmp_path / kind).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(stack, np.eye(4)), tmp_path / kind / f"v{number}.nii")
    for piece in load(tmp_path, every=1).slices:
        assert np.ptp(np.asarray(Image.open(io.BytesIO(piece.content)))) > 100
    nowhere = nibabel.Nifti1Image(np.full_like(voxels, hole), np.eye(4))
    nibabel.save(nowhere, tmp_path / "images" / "v1.nii")
    with pytest.raises(DataError, match=r"v1\.nii holds no voxel that is a number"):
        load(tmp_path)


def test_a_single_class_may_be_255(tmp_path):
    for number in range(6):
        image, label_map = blob(number)
        save(tmp_path, str(number), image, (label_map > 0).astype(np.uint8) * 255)
    assert load(tmp_path).class_names == ("class 1",)


def _no_mask(folder):
    (folder / "masks" / "1.png").unlink()


def _wrong_size(folder):
    Image.new("L", (5, 5)).save(folder / "masks" / "1.png")


def _colour(folder):
    Image.new("RGB", (SIDE, SIDE)).save(folder / "masks" / "1.png")


def _damaged(folder):
    (folder / "images" / "1.png").write_bytes(b"no picture")


def _grey_levels(folder):
    Image.new("L", (SIDE, SIDE), 90).save(folder / "masks" / "1.png")


def _no_masks(folder):
    (folder / "masks").rename(folder / "annotations")


def _half_divided(folder):
    (folder / "train").mkdir()


def _nothing_to_test(folder):
    for side in ("train", "test"):
        for number in range(6):
            image, label_map = blob(number)
            save(folder / side, str(number), image, label_map * (side == "train"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_mask, r"1\.png has no mask: expected .*masks/1\.png"),
        (_wrong_size, r"masks/1\.png is \(5, 5\)"),
        (_colour, "colour picture"),
        (_damaged, r"1\.png or its mask is damaged"),
        (_grey_levels, "must be class numbers"),
        (_no_masks, "lacks masks/ or labels/"),
        (_half_divided, "one of train/ and test/"),
        (_nothing_to_test, "no slice to test with shows a class"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, spoil, said):
    for number in range(6):
        save(tmp_path, str(number), *blob(number))
    spoil(tmp_path)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_a_missing_folder_and_wrong_class_names_are_named(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="2 classes, but 1 are named"):
        load(folder, classes=["a"])
