"""How the page looks: on phones, light and dark, and to people who use other means."""

import re

import pytest
from playwright.sync_api import expect

from ml_backend.progress.wording import number
from ml_backend.rest.report import Report

from .accessibility import grave_findings, pale_chart_texts, undecided_contrasts
from .sample import PROJECT_ID
from .steps import EMPTY, PAGE, open_page, sign_in

PHONE = {"width": 360, "height": 740}

ADDRESSES = {
    "projects": "/progress",
    "project": PAGE,
    "empty": EMPTY,
    "confirm": f"{PAGE}/confirm/settings",
    "danger": f"{PAGE}/confirm/rollback",
    "missing": f"{PAGE}/confirm/nothing",
}


def wider_than_the_window(page):
    """Elements that reach beyond the window's right edge and can be scrolled to nowhere."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.body.querySelectorAll("*")].filter((node) => {
            if (node.getBoundingClientRect().right <= innerWidth + 1) return false;
            for (let up = node.parentElement; up; up = up.parentElement)
                if (getComputedStyle(up).overflowX !== "visible") return false;
            return true;
        }).slice(0, 10).map((n) => `${n.tagName}#${n.id}.${n.getAttribute("class")}`)"""
    )


def overlapping_texts(page):
    """Texts within one chart that cover each other."""
    return page.evaluate(
        """() => [...document.querySelectorAll("svg")].flatMap((chart) => {
            const texts = [...chart.querySelectorAll("text")].filter((t) => t.textContent.trim());
            const boxes = texts.map((t) => t.getBoundingClientRect());
            return boxes.flatMap((a, i) => boxes.slice(i + 1).flatMap((b, j) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
                ? [`${texts[i].textContent} / ${texts[i + 1 + j].textContent}`] : []));
        })"""
    )


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_text_of_a_chart_covers_another(width, visit, signed_in):
    page = visit(storage_state=signed_in, viewport={"width": width, "height": 800}).page
    open_page(page)
    assert overlapping_texts(page) == []


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_phone_need_not_scroll_sideways(name, visit, signed_in, sample):
    visitor = visit(storage_state=signed_in, viewport=PHONE)
    visitor.expected = ["404"]
    open_page(visitor.page, ADDRESSES[name])
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], (
        wider_than_the_window(visitor.page)
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_no_long_word_widens_the_page(width, visit, signed_in, sample, read_anew):
    standing = sample.store.figures("standing")
    word = "COVID19_CT_lesion_segmentation_radiology_2026_v2"
    reason = f"the image http://label-studio.invalid/data/{'1.2.840.113619.' * 12}png is away"
    problems = [{"task_id": 1, "reason": reason}]
    sample.store.keep_figures("standing", {**standing, "title": word, "problems": problems})
    read_anew()
    try:
        page = visit(storage_state=signed_in, viewport={"width": width, "height": 740}).page
        for address in (PAGE, "/progress"):
            open_page(page, address)
            expect(page.get_by_text(word).first).to_be_visible()
            assert wider_than_the_window(page) == []
    finally:
        sample.store.keep_figures("standing", standing)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_nothing_grave_is_found_by_axe(name, scheme, visit, signed_in, sample):
    round_number = sample.begin_round()
    sample.report(round_number, "train", 100, 400)
    visitor = visit(storage_state=signed_in, color_scheme=scheme)
    visitor.expected = ["404"]
    open_page(visitor.page, ADDRESSES[name])
    assert grave_findings(visitor.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_charts_can_be_read_and_axe_decides_on_all_others(scheme, visit, signed_in):
    page = visit(storage_state=signed_in, color_scheme=scheme).page
    open_page(page)
    assert undecided_contrasts(page) == []
    assert page.locator("svg text").count() > 20
    assert pale_chart_texts(page) == []
    page.locator("#quality svg text").first.evaluate("text => text.style.fill = '#777f88'")
    assert len(pale_chart_texts(page)) == 1


def test_a_table_that_goes_on_fades_at_its_right_edge_until_its_end_is_seen(visit, signed_in):
    page = visit(storage_state=signed_in, viewport=PHONE).page
    open_page(page)
    for name in ("Annotators", "Versions"):
        box = page.get_by_role("region", name=name, exact=True)
        expect(box).to_have_attribute("tabindex", "0")
        expect(box).to_have_css("mask-image", re.compile("linear-gradient"))
        box.evaluate("node => { node.scrollLeft = node.scrollWidth; }")
        expect(box).to_have_css("mask-image", "none")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator(".scroll.more").count() == 0


def test_the_forecast_has_its_labels_on_a_phone_too(visit, signed_in):
    page = visit(storage_state=signed_in, viewport=PHONE).page
    open_page(page)
    labels = page.request.get(f"/api{PAGE}/forecast").json()["target"]["labels"]["mean"]
    table = page.locator("#forecast table")
    assert number(labels) in table.inner_text()
    assert table.bounding_box()["width"] > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_grave_is_found_while_things_go_wrong(scheme, visit, signed_in, sample):
    round_number = sample.begin_round()
    sample.end_round(round_number, job_status="failed", error="Redis went away")
    sample.jobs.state(PROJECT_ID).looked(0.0, trouble="Label Studio refuses the token")
    report = Report.begin(sample.store, "predictions", sample.kept.versions[-1])
    report.end("failed", "Label Studio does not answer")
    visitor = visit(storage_state=signed_in, color_scheme=scheme)
    page = visitor.page
    open_page(page)
    assert grave_findings(page) == []
    page.get_by_role("link", name="Train now").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert grave_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_grave_is_found_where_people_sign_in(scheme, visit):
    visitor = visit(color_scheme=scheme)
    visitor.expected = ["401"]
    page = visitor.page
    open_page(page, "/sign-in")
    assert grave_findings(page) == []
    sign_in(page, "wrong again")
    expect(page.get_by_role("alert")).to_be_visible()
    assert grave_findings(page) == []


def test_light_and_dark_differ(visit, signed_in):
    backgrounds = set()
    for scheme in ("light", "dark"):
        page = visit(storage_state=signed_in, color_scheme=scheme).page
        open_page(page)
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2
