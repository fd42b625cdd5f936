"""How the page looks: on phones, light and dark, and to people who use other means."""

import pytest
from playwright.sync_api import expect

from ml_backend.rest.report import Report

from .accessibility import grave_findings
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
