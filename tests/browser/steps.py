"""What visitors do, step by step, for more than one test."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .sample import PROJECT_ID, USER, Sample

PAGE = f"/progress/{PROJECT_ID}"
EMPTY = "/progress/5"  # nothing is kept of this one


def sign_in(page: Page, password: str) -> None:
    """Fill in the form that is shown."""
    page.get_by_label("User").fill(USER)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def open_page(page: Page, address: str = PAGE) -> None:
    """Go there by its address."""
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def confirm(page: Page, name: str) -> None:
    """Press the confirming button, in the dialog or on the page of its own."""
    form = page.locator("#confirm-form")
    expect(form).to_be_visible()
    form.get_by_role("button", name=name).click()
    page.wait_for_url(f"**{PAGE}")


def asked(sample: Sample) -> dict[str, tuple[str, list[str]]]:
    """What is asked for: by its slot, the function and its arguments."""
    waiting = sample.jobs.errands.waiting(PROJECT_ID)
    return {slot: (e["function"], e["arguments"]) for slot, e in waiting.items()}
