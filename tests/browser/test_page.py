"""The project manager's page shows what is kept, and moves while one looks."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from ml_backend.progress.glance import parts
from ml_backend.progress.wording import duration, hours, number, percent
from ml_backend.settings import Settings

from .sample import PROJECT_ID
from .steps import EMPTY, PAGE, open_page


@pytest.fixture
def figures(manager):
    """What the API says, panel by panel."""
    return manager.request.get(f"/api{PAGE}").json()


def test_now_shows_the_counts_the_workers_and_what_was_left_out(manager, figures, sample):
    now = figures["now"]
    counts = now["counts"]
    found = sample.kept.found
    assert counts["slices"] == len(found.tasks)
    assert counts["labelled"] == sum(task.annotations > 0 for task in found.tasks)
    open_page(manager)
    panel = manager.locator("#now")
    shown = {
        row.get_attribute("data-count"): int(row.inner_text().replace(",", ""))
        for row in panel.locator("[data-count]").all()
    }
    wanted = {
        "labelled": counts["labelled"] - counts["auto"] - counts["partly"],
        "partly": counts["partly"],
        "auto": counts["auto"],
        "pool": counts["pool"],
        "held": counts["waiting"] - counts["pool"],
        "skipped": counts["skipped"],
    }
    assert {k: n for k, n in shown.items() if n} == {k: n for k, n in wanted.items() if n}
    assert sum(shown.values()) == counts["slices"]
    for worker in now["workers"]:
        row = panel.locator(".workers li").filter(has_text=worker["name"])
        expect(row.first).to_contain_text(worker["device"])
    for problem in now["problems"]:
        expect(panel).to_contain_text(f"Task {problem['task_id']}")


def test_next_shows_each_slice_with_its_picture_and_the_reason(manager, figures, sample):
    entries = figures["now"]["next"]
    assert [e["rank"] for e in entries] == list(range(1, Settings().k + 1))
    open_page(manager)
    rows = manager.locator("#next li").filter(has=manager.locator("img"))
    assert rows.count() == len(entries)
    for row, entry in zip(rows.all(), entries, strict=True):
        row.scroll_into_view_if_needed()
        expect(row).to_contain_text(f"Task {entry['task']}")
        expect(row).to_contain_text(entry["reason"])
        assert row.get_by_role("link").get_attribute("href") == entry["address"]
        picture = row.locator("img")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") == 192
        assert str(entry["task"]) in picture.get_attribute("alt")


def test_quality_shows_every_version_with_its_interval(manager, figures):
    versions = figures["quality"]["versions"]
    assert len(versions) == 12
    open_page(manager)
    panel = manager.locator("#quality")
    panel.get_by_text("older", exact=False).first.click()
    for version in versions:
        row = panel.get_by_role("row").filter(has_text=version["version"])
        expect(row).to_contain_text(number(version["labels"]))
        if version["mean_iou"]["mean"] is not None:
            for value in version["mean_iou"].values():
                expect(row).to_contain_text(number(value, 3))
            expect(row).to_contain_text(number(version["dice"], 3))
    current = next(v for v in versions if v["current"])
    for of_class in current["classes"]:
        row = panel.get_by_role("row").filter(has_text=of_class["name"])
        expect(row).to_contain_text(number(of_class["iou"], 2))
        expect(row).to_contain_text(number(of_class["dice"], 2))
    expect(panel.locator("figure svg").first).to_be_visible()


def test_forecast_people_trial_and_data_show_what_was_kept(manager, figures):
    open_page(manager)
    forecast, panel = figures["forecast"], manager.locator("#forecast")
    for goal in ("target", "budget", "all"):
        expect(panel).to_contain_text(number(forecast[goal]["labels"]["mean"]))
        expect(panel).to_contain_text(hours(forecast[goal]["hours"]["mean"]))
    expect(panel).to_contain_text(hours(forecast["saved_h"]["mean"]))

    listed, panel = figures["people"], manager.locator("#people")
    assert len(listed["people"]) == 20
    for person in listed["people"]:
        cells = panel.get_by_role("row").filter(
            has=manager.get_by_role("rowheader", name=re.compile(f"^{person['name']}( |$)"))
        )
        expect(cells).to_contain_text(number(person["slices"]))
        expect(cells).to_contain_text(duration(person["median_s"]))
        expect(cells).to_contain_text(number(person["dice"]["mean"], 2))
        expect(cells).to_contain_text(percent(person["changed"]["mean"]))
    suspected = [p for p in listed["people"] if p["suspected"]]
    assert suspected and panel.locator(".suspect").count() == len(suspected)
    expect(panel).to_contain_text(f"Task {listed['adjudicate'][0]['task']}")

    trial, panel = figures["trial"], manager.locator("#trial")
    expect(panel).to_contain_text(trial["verdict"].split(".")[0])
    for arm in ("with", "without"):
        expect(panel).to_contain_text(duration(trial[arm]["median_s"]))
        expect(panel).to_contain_text(number(trial[arm]["slices"]))

    data, panel = figures["data"], manager.locator("#data")
    for modality in data["by"]["modality"]:
        expect(panel).to_contain_text(
            f"{number(modality['labelled'])} of {number(modality['slices'])}"
        )
    for of_class in data["classes"]:
        row = panel.get_by_role("row").filter(has_text=of_class["name"])
        expect(row).to_contain_text(number(of_class["slices"]))
    for reason in data["quarantined"]["reasons"]:
        expect(panel).to_contain_text(reason["reason"])


def test_a_project_without_any_figures_says_so_and_nothing_breaks(manager):
    open_page(manager, EMPTY)
    expect(manager.locator("#quality")).to_contain_text("No version yet")
    # Nobody knows of a slice: that is not the same as nothing left to do.
    expect(manager.locator("main")).not_to_contain_text("very slice is labelled")
    expect(manager.locator("#glance")).not_to_contain_text("0 labels")
    text = manager.locator("main").inner_text()
    assert not re.search(r"\b(None|null|nan|undefined|NaN)\b", text)


def test_no_page_shows_what_is_only_meant_for_programs(manager):
    open_page(manager)
    text = manager.locator("main").inner_text()
    assert not re.search(r"\b(None|null|nan|undefined|NaN|True|False)\b|\{\{|&[a-z]+;", text)


def test_the_bar_of_a_round_moves_without_loading_the_page_again(manager, sample):
    open_page(manager)
    manager.evaluate("window.loadedOnce = true")
    round_number = sample.begin_round()
    sample.report(round_number, "train", 100, 400)
    bar = manager.locator('[data-phase="train"] progress')
    expect(bar).to_have_js_property("value", 0.25)
    expect(manager.locator("[data-round-says]")).to_contain_text("100 of 400")
    sample.report(round_number, "train", 300, 400)
    expect(bar).to_have_js_property("value", 0.75)
    sample.report(round_number, "score", 500, 2000)
    expect(manager.locator('[data-phase="score"] progress')).to_have_js_property("value", 0.25)
    expect(bar).to_have_js_property("value", 1)
    sample.end_round(round_number)
    expect(manager.locator("[data-round-status]")).to_contain_text("finished")
    assert manager.evaluate("window.loadedOnce")


def test_what_happens_just_after_the_page_was_made_is_shown_too(manager, sample):
    round_number = sample.begin_round()
    open_page(manager)
    expect(manager.locator("[data-round-status]")).to_contain_text("running")
    # Before the page has asked for the first time.
    sample.end_round(round_number)
    expect(manager.locator("[data-round-status]")).to_contain_text("finished", timeout=12_000)


def test_another_version_that_drafts_is_shown_though_nothing_else_changes(manager, sample):
    """Panels that were made a moment before it are shown for a moment more, but not for good."""
    drafting = manager.locator("#quality tr", has_text="drafts now")
    current, older = sample.kept.versions[-1], sample.kept.versions[-2]
    open_page(manager)
    expect(drafting).to_contain_text(current)
    sample.store.point_to(older)
    expect(drafting).to_contain_text(older, timeout=20_000)


def test_what_held_the_focus_is_renewed_once_it_is_left_though_nothing_newer_comes(manager, sample):
    open_page(manager)
    top = manager.locator("#glance")
    top.get_by_role("link").first.focus()
    sample.jobs.state(PROJECT_ID).looked(0.0, trouble="Label Studio refuses the token")
    expect(manager.locator("#now")).to_contain_text("refuses the token", timeout=12_000)
    expect(top).not_to_contain_text("refuses the token")
    manager.route(f"**/api{PAGE}/now", lambda route: route.fulfill(status=304))
    with manager.expect_response(f"**/api{PAGE}/now"):
        pass
    manager.evaluate("document.activeElement.blur()")
    expect(top).to_contain_text("refuses the token", timeout=12_000)


def test_a_page_to_which_nothing_has_happened_is_not_asked_for_again(manager):
    asked_for = []
    manager.on("request", lambda request: asked_for.append(urlsplit(request.url).path))
    with manager.expect_response(f"**/api{PAGE}/now"):
        open_page(manager)
    manager.wait_for_timeout(300)
    assert asked_for.count(PAGE) == 1


def test_the_script_counts_the_parts_of_a_project_as_the_server_does(manager, figures):
    now = figures["now"]
    now["counts"] |= {"partly": 17, "auto": 23, "pool": 3001, "waiting": 3411, "skipped": 99}
    manager.route(f"**/api{PAGE}/now", lambda route: route.fulfill(json=now))
    open_page(manager)
    # What is seen is the script's own: the page cannot be made anew.
    manager.route(f"**{PAGE}", lambda route: route.fulfill(body=""))
    expect(manager.locator('[data-count="skipped"]')).to_have_text("99")
    for name, _, count in parts(now["counts"]):
        shown = manager.locator(f'[data-count="{name}"]')
        if shown.count():
            expect(shown).to_have_text(number(count))
    widths = manager.locator(".counts [data-part]").evaluate_all(
        "parts => parts.map((part) => [part.dataset.part, parseFloat(part.getAttribute('width'))])"
    )
    found = {name: count for name, _, count in parts(now["counts"])}
    total = sum(found.values())
    assert dict(widths) == pytest.approx({name: 100 * found[name] / total for name, _ in widths})


def test_a_failed_round_says_why_and_what_to_do(manager, sample):
    round_number = sample.begin_round()
    error = "Label Studio answered GET /api/projects/4 with HTTP 502: does it run?"
    sample.end_round(round_number, job_status="failed", error=error)
    open_page(manager)
    expect(manager.locator("#now")).to_contain_text(error)
    expect(manager.locator("#now")).to_contain_text("Look whether Label Studio runs")
