"""Who may see the page and act: by password, by link, without JavaScript, by keyboard alone."""

import re

from playwright.sync_api import expect

from ml_backend.progress.wording import number

from .sample import PASSWORD, PROJECT_ID, USER
from .steps import EMPTY, PAGE, asked, confirm, open_page, sign_in


def test_who_knows_the_password_gets_in_and_out_again(visit):
    visitor = visit()
    visitor.expected = ["401"]
    page = visitor.page
    page.goto(PAGE)
    expect(page).to_have_title(re.compile("Sign in"))
    sign_in(page, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert page.request.get(f"/api{PAGE}").status == 401
    sign_in(page, PASSWORD)
    page.wait_for_url(f"**{PAGE}")
    assert page.request.get(f"/api{PAGE}").status == 200
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(PAGE)
    expect(page).to_have_title(re.compile("Sign in"))
    assert page.request.get(f"/api{PAGE}").status == 401


def test_the_projects_lead_to_their_pages(manager, sample):
    open_page(manager, "/progress")
    row = manager.get_by_role("listitem").filter(has_text="Liver, portal phase").first
    expect(row).to_contain_text(number(len(sample.kept.found.tasks)))
    row.get_by_role("link", name="Liver, portal phase").click()
    manager.wait_for_url(f"**{PAGE}")


def read_only_link(page):
    open_page(page)
    page.get_by_role("link", name="Read-only link").click()
    confirm(page, "Make a link")
    return page.get_by_label("Read-only link").input_value()


def test_a_read_only_link_shows_the_project_and_nobody_can_act(manager, visit, sample):
    link = read_only_link(manager)
    visitor = visit()
    visitor.expected = ["403", "400"]
    page = visitor.page
    page.goto(link)
    page.wait_for_url(f"**{PAGE}")
    expect(page.locator("#quality")).to_contain_text(sample.kept.versions[-1])
    expect(page.get_by_text("Read only")).to_be_visible()
    assert page.locator("form, a[data-dialog], button[type=submit]").count() == 0
    assert page.goto(f"{PAGE}/confirm/train").status == 403
    answer = page.request.post(f"{PAGE}/actions/train", form={"csrf": ""})
    assert answer.status == 403
    assert page.request.get(f"/api{EMPTY}").status == 403
    assert not sample.jobs.state(PROJECT_ID).waits
    open_page(manager)
    manager.get_by_role("link", name="End all links").click()
    confirm(manager, "End all links")
    page.goto(PAGE)
    expect(page).to_have_title(re.compile("Sign in"))


def test_without_javascript_all_of_it_works(visit, sample):
    page = visit(java_script_enabled=False).page
    page.goto(PAGE)
    sign_in(page, PASSWORD)
    page.wait_for_url(f"**{PAGE}")
    expect(page.locator("#quality")).to_contain_text(sample.kept.versions[-1])
    older = sample.kept.versions[-4]
    page.get_by_role("link", name=f"Roll back to {older}").click()
    page.wait_for_url("**/confirm/rollback?**")
    confirm(page, "Roll back")
    assert asked(sample) == {"rollback": ("rollback_job", [older])}
    page.get_by_role("link", name="Annotate the rest").click()
    page.get_by_label("Make them").select_option("predictions")
    confirm(page, "Annotate the rest")
    assert asked(sample)["rest"] == ("rest_job", ["predictions"])
    page.get_by_label("Format").select_option("png")
    page.get_by_role("button", name="Prepare the data set").click()
    confirm(page, "Prepare it")
    assert asked(sample)["export"] == ("export_job", ["png", "labelled"])
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")


def focus(page, locator, tabs=120):
    """Move the focus with the tab key alone."""
    for _ in range(tabs):
        if locator.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key does not reach {locator}")


def test_the_keyboard_alone_is_enough_to_sign_in_and_roll_back(visit, sample):
    page = visit().page
    page.goto(PAGE)
    focus(page, page.get_by_label("User"))
    page.keyboard.type(USER)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAGE}")
    older = sample.kept.versions[-2]
    opener = page.get_by_role("link", name=f"Roll back to {older}")
    focus(page, opener)
    assert opener.evaluate("node => getComputedStyle(node).outlineStyle") != "none"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    focus(page, dialog.get_by_role("button", name="Roll back"), tabs=8)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAGE}")
    expect(page.get_by_role("status").first).to_contain_text(older)
    assert asked(sample) == {"rollback": ("rollback_job", [older])}
