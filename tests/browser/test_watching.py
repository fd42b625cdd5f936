"""The watch that all browser tests rely on sees what it is there to see."""

import pytest

from .accessibility import grave_findings
from .steps import open_page

FAULTS = {
    "console error": "console.error('something broke')",
    "error: ": "setTimeout(() => { throw new Error('something broke'); })",
    "style-src": "document.body.setAttribute('style', 'margin: 0')",
    "img-src": "document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/a.png'}))",
    "connect-src": "fetch('http://192.0.2.1/').catch(() => null)",
    "status 404": "fetch('/progress/4/pictures/none.png')",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_page_is_seen(fault, visit, signed_in):
    visitor = visit(storage_state=signed_in)
    open_page(visitor.page)
    assert visitor.faults == []
    visitor.page.evaluate(f"() => {{ {FAULTS[fault]} }}")
    visitor.page.wait_for_timeout(200)
    assert any(fault in found for found in visitor.faults), visitor.faults
    visitor.expected = [""]  # all of it was provoked


def test_another_host_is_seen_where_no_policy_forbids_it(visit, signed_in):
    visitor = visit(storage_state=signed_in, bypass_csp=True)
    open_page(visitor.page)
    visitor.page.evaluate("() => { fetch('http://192.0.2.1/').catch(() => null); }")
    visitor.page.wait_for_timeout(200)
    assert any("another host: http://192.0.2.1/" in found for found in visitor.faults)
    visitor.expected = [""]


def test_a_picture_without_words_and_a_pale_text_are_found(visit, signed_in):
    page = visit(storage_state=signed_in).page
    open_page(page)
    page.evaluate("() => { document.querySelector('#next img').removeAttribute('alt'); }")
    page.evaluate("() => { document.querySelector('h1').style.color = '#ddd'; }")
    found = grave_findings(page)
    assert any("image-alt" in finding for finding in found)
    assert any("color-contrast" in finding for finding in found)
