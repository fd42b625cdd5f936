"""The pages: every empty state, nothing unescaped, nothing inline, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, render_template

from ml_backend.progress import glance, wording

from .sample_panels import action, first_day, under_way

FOLDER = Path(wording.__file__).parent
EVIL = "<script>alert('x')</script>\"><img src=x onerror=y>"
COMMON: dict[str, Any] = {
    "csrf": "a-token",
    "user": "manager",
    "may_act": True,
    "flashes": [],
}


@pytest.fixture(scope="module")
def app() -> Flask:
    """The templates alone, as the server registers them."""
    pages = Blueprint(
        "progress",
        __name__,
        template_folder=str(FOLDER / "templates"),
        static_folder=str(FOLDER / "static"),
        static_url_path="/progress/static",
    )
    wording.register(pages)
    made = Flask(__name__)
    made.register_blueprint(pages)
    return made


class Page(HTMLParser):
    """A page's elements, its ids and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def rendered(app: Flask, template: str, **variables: Any) -> str:
    with app.test_request_context():
        return render_template(template, **{**COMMON, **variables})


def project(app: Flask, panels: dict[str, Any], **variables: Any) -> str:
    addresses = {"actions_url": "/progress/8/actions/", "confirm_url": "/progress/8/confirm/"}
    return rendered(app, "progress.html", **addresses, **panels, **variables)


def every_page(app: Flask, text: str = "") -> dict[str, str]:
    """Each template, filled and empty; `text` is in all that comes from outside."""
    flashes = [{"kind": "done", "text": f"Done{text}", "link": f"http://127.0.0.1/view/a{text}"}]
    row = {
        "project_id": 8,
        "title": f"Organs{text}",
        "address": "/progress/8",
        "counts": {"slices": 10, "labelled": 4, "waiting": 6, "pool": 6},
        "round_status": "started",
        "trouble": f"no answer{text}",
        "mean_iou": {"mean": 0.8, "low": 0.7, "high": 0.9},
        "updated_at": "2026-03-01T12:00:00Z",
    }
    bare = {**row, "title": None, "counts": {}, "trouble": None, "mean_iou": None}
    sent = {"project_id": 8, "post_to": "/progress/8/actions/x", "back": "/progress/8"}
    unnamed = {"user": None, "may_act": False}
    return {
        "under way": project(app, under_way(text), flashes=flashes),
        "first day": project(app, first_day()),
        "read only": project(app, {**under_way(text), "actions": {}, "exports": []}, **unnamed),
        "projects": rendered(app, "projects.html", projects=[row, bare]),
        "no projects": rendered(app, "projects.html", projects=[]),
        "sign in": rendered(
            app, "sign_in.html", next="/progress/8", error=f"wrong{text}", name=text, **unnamed
        ),
        "confirm": rendered(
            app,
            "confirm.html",
            title=f"Organs{text}",
            action=action("settings", text=text),
            error=f"no value{text}",
            **sent,
        ),
        "roll back": rendered(
            app,
            "confirm.html",
            title=None,
            action=action("rollback", False, text),
            error=None,
            **sent,
        ),
        "error": rendered(
            app, "error.html", status=404, title="Not found", message=f"Gone{text}", back=None
        ),
    }


NAMES = (
    "under way",
    "first day",
    "read only",
    "projects",
    "no projects",
    "sign in",
    "confirm",
    "roll back",
    "error",
)


@pytest.fixture(scope="module")
def pages(app: Flask) -> dict[str, str]:
    """Every page with hostile text in all that comes from outside."""
    return every_page(app, EVIL)


@pytest.mark.parametrize("name", NAMES)
def test_text_from_outside_stays_text(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert [a for a in page.all("script") if a.get("src") != "/progress/static/page.js"] == []
    assert all(str(a["src"]).startswith("/progress/") for a in page.all("img"))
    handlers = [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert handlers == []


def test_hostile_text_is_there_to_be_escaped(pages: dict[str, str]) -> None:
    """The test above can fail: each of these pages holds the text, escaped."""
    for name in set(NAMES) - {"first day", "no projects"}:
        assert "&lt;script&gt;" in pages[name], name


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    pages: dict[str, str], name: str
) -> None:
    page = Page(pages[name])
    assert page.all("style") == []
    for tag, attributes in page.elements:
        assert "style" not in attributes, (tag, attributes)
        loaded = [attributes.get("src"), attributes.get("action"), attributes.get("poster")]
        loaded += [attributes.get("href")] if tag in ("link", "use", "image") else []
        assert all(address.startswith("/") for address in loaded if address), (tag, attributes)
        assert not str(attributes.get("src")).startswith("data:")


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_what_refers_to_one_finds_it(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    ids = Counter(a["id"] for _, a in page.elements if a.get("id"))
    assert [i for i, count in ids.items() if count > 1] == []
    for tag, attributes in page.elements:
        referred = [attributes.get("for"), *str(attributes.get("aria-describedby") or "").split()]
        # The dialog's title comes with what page.js puts into it.
        if tag != "dialog":
            referred += str(attributes.get("aria-labelledby") or "").split()
        if tag == "a" and str(attributes.get("href")).startswith("#"):
            referred.append(str(attributes["href"])[1:])
        assert [r for r in referred if r and r not in ids] == [], (tag, attributes)


@pytest.mark.parametrize("name", NAMES)
def test_headings_come_in_order_under_one_title(pages: dict[str, str], name: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(pages[name]).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_label_and_every_post_its_token(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    labels = {a.get("for") for a in page.all("label")}
    for tag in ("input", "select"):
        for field in page.all(tag):
            assert field.get("type") == "hidden" or field.get("id") in labels, field
    posts = [a for a in page.all("form") if a.get("method") == "post"]
    tokens = [a for a in page.all("input") if a.get("name") == "csrf" and a["value"] == "a-token"]
    assert len(tokens) == len(posts)


def test_the_first_day_says_what_each_panel_will_show(app: Flask) -> None:
    text = Page(project(app, first_day())).text
    for words in (
        "No slices yet",
        "No order yet",
        "No version yet",
        "Nothing to go by yet",
        "Not measured yet",
        "Nobody has labelled yet",
        "No worker is running",
        "No data set has been prepared yet",
        "Nothing yet",
        "The first round begins by itself",
    ):
        assert words in text, words
    assert "None" not in text
    assert "nan" not in text.split()


def test_a_project_of_which_nothing_is_open_is_not_said_to_wait_for_an_order(app: Flask) -> None:
    panels = under_way()
    panels["now"].update(next=[])
    panels["now"]["counts"].update(slices=100, waiting=0)
    text = Page(project(app, panels)).text
    assert "Nothing is waiting" in text and "No order yet" not in text
    panels["now"]["counts"].update(waiting=3)
    assert "No order yet" in Page(project(app, panels)).text


def test_a_project_with_versions_but_without_bounds_is_shown(app: Flask) -> None:
    found = under_way()
    for version in found["quality"]["versions"]:
        version.update(mean_iou={"mean": 0.7, "low": None, "high": None}, classes=[], dice=None)
        version["current"] = False
    found["quality"].update(distance=None, stopping=None, random=None)
    found["forecast"]["target"] = {
        "labels": {"mean": None, "low": None, "high": None},
        "hours": {"mean": None, "low": None, "high": None},
        "says": "too early to say",
    }
    text = Page(project(app, found)).text
    assert "no interval yet" in text
    assert "Too early to say." in text
    assert "No class has been evaluated yet" in text


def test_an_order_without_a_committee_is_not_said_to_draft(app: Flask) -> None:
    found = under_way()
    assert "drafts now" in Page(project(app, found)).text
    for version in found["quality"]["versions"]:
        version["training"] = 0
    text = Page(project(app, found)).text
    assert "first order, without drafts" in text and "drafts now" not in text


def test_an_open_end_of_a_forecast_is_shown(app: Flask) -> None:
    found = under_way()
    found["forecast"]["target"]["labels"]["high"] = None
    found["forecast"]["target"]["hours"]["high"] = None
    assert "3.0 h" in Page(project(app, found)).text


def test_a_read_only_page_offers_nothing_to_do(pages: dict[str, str]) -> None:
    page = Page(pages["read only"])
    assert page.all("form") == []
    assert [a for a in page.all("a") if "/confirm/" in str(a.get("href"))] == []
    assert "Read only" in page.text


def test_what_cannot_be_done_now_is_disabled_and_says_why(app: Flask) -> None:
    page = Page(project(app, first_day()))
    links = [str(a.get("href")) for a in page.all("a")]
    assert "/progress/8/confirm/train" in links
    assert "/progress/8/confirm/annotate-rest" not in links
    assert "not now" in page.text


def test_each_older_version_can_be_rolled_back_to_and_the_current_one_cannot(app: Flask) -> None:
    page = Page(project(app, under_way()))
    links = [str(a.get("href")) for a in page.all("a")]
    back = sorted(link.partition("=")[2] for link in links if "rollback" in link)
    assert back == [f"r000{n}" for n in range(1, 9) if n != 4]


def test_going_back_is_shown_while_it_is_done_and_when_it_failed(app: Flask) -> None:
    panels = under_way()
    panels["now"].update(rest=None)
    text = Page(project(app, panels)).text
    assert text.count("Going back to r0002 failed: damaged weights") == 2  # at the top, too
    panels["now"]["rollback"].update(state="running", error=None)
    assert "until that is done the version below drafts" in Page(project(app, panels)).text
    panels["now"]["rollback"].update(state="done")
    assert "Going back" not in Page(project(app, panels)).text


def test_the_top_says_what_is_wrong_or_that_all_is_well(app: Flask) -> None:
    page = Page(project(app, under_way())).text
    assert "The project could not be read: no answer" in page
    well = under_way()
    well["now"].update(trouble=None, problems=[], rest=None, rollback=None)
    well["now"]["round"].update(error=None, remedy=None)
    well["now"]["workers"][0]["silent_s"] = 1.0
    well["people"].update(people=[], adjudicate=[])
    well["data"]["quarantined"] = None
    assert "All is well" in Page(project(app, well)).text


def test_workers_that_cannot_train_are_shown_with_how_to_start_one_that_does(app: Flask) -> None:
    panels = under_way()
    assert "is running. Start one" not in Page(project(app, panels)).text
    for worker in panels["now"]["workers"]:
        worker["device"] = "attendant"
    text = Page(project(app, panels)).text
    assert "No worker that trains is running. Start one with ./quorum up" in text


def test_a_class_s_distance_has_the_unit_it_was_measured_in(app: Flask) -> None:
    panels = under_way()
    assert "4.2 px" in Page(project(app, panels)).text
    for version in panels["quality"]["versions"]:
        version["classes"] = [{"name": "liver", "iou": 0.7, "dice": 0.8, "hd95_mm": 6.5}]
    assert "6.5 mm" in Page(project(app, panels)).text


def test_a_crowd_is_shown_with_its_first_rows_and_a_sum(app: Flask) -> None:
    panels = under_way()
    row = panels["people"]["people"][0]
    crowd = [{**row, "name": f"Reader {n}", "slices": 7, "reviewed": 2} for n in range(1000)]
    panels["people"].update(people=crowd)
    page = project(app, panels)
    assert "and 950 more 6,650 and 1,900 reviewed" in Page(page).text
    assert page.count("Reader ") == 50


def test_what_the_committee_labelled_is_not_counted_as_labelled_in_the_list(app: Flask) -> None:
    counts = {"slices": 1000, "labelled": 1000, "auto": 900, "waiting": 0, "pool": 0}
    row = {"project_id": 8, "title": "Hearts", "address": "/progress/8", "counts": counts}
    text = Page(rendered(app, "projects.html", projects=[row])).text
    assert "Labelled 100 of 1,000 slices; 900 more by the committee" in text
    panels = first_day()
    panels["now"].update(counts=counts)
    assert "100 of 1,000 slices" in Page(project(app, panels)).text


@pytest.mark.parametrize("evaluation, waits", [(0, True), (1, False)])
def test_a_round_is_said_to_wait_for_a_held_out_label(
    app: Flask, evaluation: int, waits: bool
) -> None:
    panels = under_way()
    panels["now"]["counts"].update(held_out=20, evaluation=evaluation)
    text = Page(project(app, panels)).text
    assert ("The next round waits for the first such label" in text) == waits


def test_pictures_are_lazy_and_say_what_they_show(app: Flask) -> None:
    pictures = [a for a in Page(project(app, under_way())).all("img") if "pictures" in str(a)]
    assert [(p["src"], p["loading"], p["alt"]) for p in pictures] == [
        ("/progress/8/pictures/next-5.png", "lazy", "Slice 5 with its draft")
    ]


def test_static_files_ask_nothing_of_other_sites() -> None:
    for name in ("page.css", "page.js", "icon.svg"):
        content = (FOLDER / "static" / name).read_text()
        addresses = re.findall(r"https?://[^\s\"')]+|@import|url\([^)]*\)", content)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, name
    script = (FOLDER / "static" / "page.js").read_text()
    assert re.findall(r"(?:inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|eval\(", script) == []


def test_pages_and_what_they_load_are_small(pages: dict[str, str]) -> None:
    assert len(pages["under way"]) < 200_000
    assert sum(f.stat().st_size for f in (FOLDER / "static").iterdir()) < 60_000


def test_the_script_is_handed_what_the_page_was_made_from(app: Flask) -> None:
    panels = under_way(EVIL)
    body = Page(project(app, panels)).all("body")[0]
    given = {name: json.loads(str(body[f"data-{name}"])) for name in ("steps", "phases", "shown")}
    assert given["steps"] == dict(glance.STEPS)
    assert given["phases"] == [[name, title, list(s)] for name, title, s in glance.PHASES]
    assert given["shown"] == glance.outline(panels["now"])


def test_a_rounds_step_keeps_the_capitals_of_names(app: Flask) -> None:
    panels = under_way()
    panels["now"]["round"]["step"] = "push"
    text = Page(project(app, panels)).text
    assert "Sending drafts and the order to Label Studio: 25 of 100" in text


def test_bars_are_as_wide_as_the_largest_single_value_and_a_sum_of_others_has_none(
    app: Flask,
) -> None:
    panels = under_way()
    rows = [{"value": f"p{n}", "slices": 10 - n, "labelled": 5} for n in range(3)]
    rows.append({"value": "others", "slices": 9000, "labelled": 700, "values": 12})
    panels["data"]["by"] = {"patient": rows}
    page = project(app, panels)
    bars = re.search(r'<ul class="bars">.*?</ul>', page, re.DOTALL)
    assert bars
    assert re.findall(r'fill pool" width="([0-9.]+)%', bars[0]) == ["100.0", "90.0", "80.0"]
    assert "others (12)" in bars[0] and "700 of 9,000" in bars[0]
    panels["data"]["by"] = {"patient": rows[-1:]}
    assert "others (12)" in project(app, panels)


def test_the_plots_figures_are_in_tables_too(app: Flask) -> None:
    text = Page(project(app, under_way())).text
    for title in ("To the target", "To the budget", "To every slice"):
        assert f"{title} 100 50 to 200 3.0 h 1.5 to 6.0 h" in text
    assert "Time for a slice 0.50 0.40 to 0.60" in text
    assert "Area drawn 1.02 0.90 to 1.10" in text


def test_a_link_is_said_to_show_names_unless_they_are_hidden(app: Flask) -> None:
    panels = under_way()
    assert "names the annotators" not in project(app, panels)
    panels["people"]["pseudonymous"] = False
    assert "names the annotators" in project(app, panels)


def test_percent_signs_stand_apart_from_their_numbers() -> None:
    for path in (FOLDER / "templates").rglob("*.html"):
        words = re.sub(r"<[^>]*>|\{%.*?%\}", "", path.read_text())
        assert re.findall(r"(?:[0-9]|\}\})%(?!\})", words) == [], path.name
