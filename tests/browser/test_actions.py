"""What is done from the page is confirmed, asked for, and kept in the history."""

import json
import zipfile

from playwright.sync_api import expect

from ml_backend.export.archive import MANIFEST, keep_download, whole
from ml_backend.rest.report import Report

from .sample import OWN, PROJECT_ID
from .steps import PAGE, asked, confirm, open_page


def test_an_older_version_drafts_again_once_that_is_confirmed(manager, sample, read_anew):
    older = sample.kept.versions[-3]
    open_page(manager)
    manager.get_by_role("link", name=f"Roll back to {older}").click()
    dialog = manager.get_by_role("dialog")
    expect(dialog).to_contain_text(older)
    dialog.get_by_text("Leave it").click()
    expect(dialog).to_be_hidden()
    assert asked(sample) == {}
    manager.get_by_role("link", name=f"Roll back to {older}").click()
    confirm(manager, "Roll back")
    assert asked(sample) == {"rollback": ("rollback_job", [older])}
    expect(manager.get_by_role("status").first).to_contain_text(older)
    expect(manager.locator("#history tbody tr").first).to_contain_text(older)
    # What the worker does once Label Studio has followed.
    sample.store.point_to(older)
    sample.jobs.errands.done(PROJECT_ID, "rollback")
    read_anew()
    manager.reload()
    expect(manager.locator("#quality tr.current")).to_contain_text(older)


def test_the_rest_is_annotated_once_that_is_confirmed_and_its_bar_moves(manager, sample):
    open_page(manager)
    manager.get_by_role("link", name="Annotate the rest").click()
    manager.get_by_role("dialog").get_by_label("Make them").select_option("annotations")
    confirm(manager, "Annotate the rest")
    assert asked(sample) == {"rest": ("rest_job", ["annotations"])}
    assert sample.store.overrides()["rest_as"] == "annotations"
    report = Report.begin(sample.store, "annotations", sample.kept.versions[-1])
    report.done, report.total = 2000, 8000
    report.keep()
    bar = manager.locator("progress[data-rest]")
    expect(bar).to_have_js_property("value", 2000)
    report.done = 6000
    report.keep()
    expect(bar).to_have_js_property("value", 6000)
    expect(manager.locator("[data-rest-says]")).to_contain_text("6,000 of 8,000")
    report.end("done")
    sample.jobs.errands.done(PROJECT_ID, "rest")
    expect(manager.get_by_role("link", name="Take the rest back")).to_be_visible()


def test_a_data_set_is_asked_for_and_taken_home(manager, sample, settings):
    open_page(manager)
    manager.get_by_label("Format").select_option("coco")
    manager.get_by_role("button", name="Prepare the data set").click()
    confirm(manager, "Prepare it")
    assert asked(sample) == {"export": ("export_job", ["coco", "labelled"])}
    target = keep_download(settings, PROJECT_ID, "coco")
    with whole(target) as sink:
        sink.add_text(MANIFEST, json.dumps({"quorum": "made by a test"}))
    manager.reload()
    with manager.expect_download() as taken:
        manager.get_by_role("link", name=target.name).click()
    path = taken.value.path()
    assert path.read_bytes() == target.read_bytes()
    assert taken.value.suggested_filename == target.name
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == [MANIFEST]


def test_a_round_is_started_paused_and_resumed(manager, sample):
    open_page(manager)
    manager.get_by_role("link", name="Train now").click()
    confirm(manager, "Train now")
    assert sample.jobs.state(PROJECT_ID).waits
    expect(manager.locator("[data-round-status]")).to_contain_text("waits")
    manager.get_by_role("link", name="Pause").click()
    confirm(manager, "Pause")
    assert sample.store.overrides()["paused"] is True
    expect(manager.locator("#now")).to_contain_text("paused")
    manager.get_by_role("link", name="Resume").click()
    confirm(manager, "Resume")
    assert not sample.store.overrides().get("paused")


def test_settings_are_kept_and_a_value_out_of_its_bounds_is_refused(visit, signed_in, sample):
    visitor = visit(storage_state=signed_in)
    visitor.expected = ["422"]
    manager = visitor.page
    open_page(manager)
    manager.get_by_label("Slices of a batch (k)").fill("16")
    manager.get_by_role("button", name="Review and keep").click()
    confirm(manager, "Keep these settings")
    assert sample.store.overrides() == {**OWN, "k": 16}
    manager.goto(f"{PAGE}/confirm/settings?k=64")
    manager.locator("#confirm-form").get_by_role("button", name="Keep").click()
    expect(manager.get_by_role("alert")).to_contain_text("at least")
    assert sample.store.overrides()["k"] == 16
