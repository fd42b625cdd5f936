"""The progress page over the real stack: it shows what Label Studio holds, and it acts."""

import io
import re
import zipfile

import httpx
import pytest
from PIL import Image

from demo.run import reference_of
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.store import number_of

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@pytest.fixture(scope="module")
def config(running):
    return BrushConfig.parse(running.label_studio.project(running.project_id)["label_config"])


@pytest.fixture(scope="module")
def api(running):
    """Label Studio's API as a plain client sees it."""
    headers = {"Authorization": f"Token {running.account.token}"}
    with httpx.Client(base_url=running.label_studio.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def page(running):
    """The project's page as a browser would ask for it, after the form to sign in."""
    settings = running.settings
    with httpx.Client(
        base_url=running.backend_url, timeout=60, headers={"Accept": "text/html"}
    ) as client:
        form = client.get("/sign-in").text
        answer = client.post(
            "/sign-in",
            data={
                "csrf": _CSRF.search(form)[1],
                "user": settings.basic_auth_user,
                "password": settings.basic_auth_password,
                "next": f"/progress/{running.project_id}",
            },
        )
        assert answer.status_code == 303
        yield client


@pytest.fixture(scope="module")
def figures(page, running):
    """The page's figures, panel by panel."""
    return lambda: page.get(f"/api/progress/{running.project_id}").json()


def act(page, running, name, **fields):
    """Confirm an action as the page's form does."""
    path = f"/progress/{running.project_id}"
    form = page.get(f"{path}/confirm/{name}").text
    answer = page.post(f"{path}/actions/{name}", data={"csrf": _CSRF.search(form)[1], **fields})
    assert answer.status_code == 303, answer.text


def label(running, config, annotators, count):
    """So many slices, taken in the order in which Label Studio serves them; who drew which."""
    draw, drawn = reference_of(running.key), []
    for number in range(count):
        who = annotators[number % len(annotators)]
        task = who.next_task(running.project_id)
        regions = to_regions(draw(task["data"]), config) if "BRAIN" in str(task["data"]) else []
        who.submit(running.project_id, task["id"], regions, lead_time_s=20 + number)
        drawn.append((who.email, task["id"]))
    return drawn


def test_two_rounds_are_labelled(running, store, config, annotators, eventually):
    eventually(store.current, "the first order")
    for _ in range(2):
        before = store.current()
        wanted = 9 if number_of(before) == 0 else 6
        label(running, config, annotators, wanted)
        eventually(lambda: store.current() != before, "the next version")  # noqa: B023


def annotations_of(api, tasks):
    """Each labelled task's submitted annotations, as Label Studio tells them."""
    found = {}
    for task in tasks:
        listed = api.get(f"/api/tasks/{task}/annotations/").json()
        found[task] = [a for a in listed if not a["was_cancelled"]]
    return found


def test_the_counts_are_label_studios(running, figures, api, eventually):
    project = api.get(f"/api/projects/{running.project_id}/").json()
    eventually(
        lambda: figures()["now"]["counts"]["labelled"] == project["num_tasks_with_annotations"],
        "the labels that Label Studio counts",
    )
    now = figures()["now"]
    assert now["counts"]["slices"] == project["task_number"]
    assert now["title"] == project["title"]
    assert now["trouble"] is None
    assert {worker["device"] for worker in now["workers"]} >= {"cpu"}


def test_people_have_the_slices_that_they_submitted(running, figures, api, annotators, eventually):
    listed = list(running.label_studio.tasks(running.project_id))
    held = annotations_of(api, [task.id for task in listed if task.annotations])
    wanted = {}
    for task, annotations in held.items():
        for annotation in annotations:
            wanted.setdefault(annotation["completed_by"], set()).add(task)
    wanted = {who: len(tasks) for who, tasks in wanted.items()}

    def shown():
        people = figures()["people"]["people"]
        return people if {p["annotator"]: p["slices"] for p in people} == wanted else None

    people = eventually(shown, "everybody's slices")
    assert len(people) >= len(annotators)
    emails = {u["id"]: u["email"] for u in api.get("/api/users/").json()}
    ours = {annotator.email for annotator in annotators}
    for person in people:
        if emails[person["annotator"]] in ours:
            assert 19 < person["median_s"] < 40
            assert person["drafts"] > 0
    data = figures()["data"]
    assert data["annotated"] == len(held)


def test_versions_are_the_stores_and_the_next_slices_have_pictures(
    running, store, figures, page, eventually
):
    quality = eventually(
        lambda: (
            (found := figures()["quality"])["versions"][-1:]
            and found["versions"][-1]["version"] == store.current()
            and found
        ),
        "the newest version",
    )
    assert [v["version"] for v in quality["versions"]] == store.versions()
    metadata = store.metadata(store.current())
    newest = quality["versions"][-1]
    assert newest["current"] and newest["training"] == len(metadata["training_tasks"])
    assert newest["dice"] == metadata["quality"]["dice"]

    def pictured():
        entries = figures()["now"]["next"]
        ready = entries and all(e["picture"] and e["version"] == store.current() for e in entries)
        return entries if ready else None

    entries = eventually(pictured, "pictures of the next slices")
    open_now = {t.id for t in running.label_studio.tasks(running.project_id) if not t.is_labeled}
    order = [t for t in store.noted(store.current(), "order")["tasks"] if t in open_now]
    assert [entry["task"] for entry in entries] == order[: len(entries)]
    for entry in entries:
        answer = page.get(f"/progress/{running.project_id}/pictures/{entry['picture']}.png")
        assert answer.headers["content-type"] == "image/png"
        assert max(Image.open(io.BytesIO(answer.content)).size) <= 192
    shown = page.get(f"/progress/{running.project_id}").text
    assert all(f"Task {entry['task']}" in shown for entry in entries)


def test_train_now_on_the_page_makes_a_round(
    running, store, config, annotators, page, figures, jobs, eventually
):
    before = store.current()
    drawn = label(running, config, annotators, 1)
    act(page, running, "train")
    version = eventually(
        lambda: store.current() if store.current() != before else None, "the round asked for"
    )
    metadata = store.metadata(version)
    assert drawn[0][1] in {*metadata["training_tasks"], *metadata["evaluation_tasks"]}
    eventually(lambda: (figures()["now"]["round"] or {}).get("job_status") == "finished", "its end")
    done = figures()["history"]["actions"][0]
    assert (done["what"], done["who"]) == ("train", running.settings.basic_auth_user)


def test_going_back_on_the_page_makes_label_studio_follow(
    running, store, page, figures, eventually
):
    older = store.versions()[-2]
    act(page, running, "rollback", version=older)
    eventually(lambda: store.current() == older, "the older version")
    eventually(
        lambda: running.label_studio.project(running.project_id)["model_version"] == older,
        "Label Studio's order",
    )
    eventually(
        lambda: [v["version"] for v in figures()["quality"]["versions"] if v["current"]] == [older],
        "the page",
    )


def test_a_data_set_asked_for_on_the_page_can_be_downloaded(running, page, api, eventually):
    act(page, running, "export", format="png")
    address = re.compile(rf'href="(/progress/{running.project_id}/exports/[^"]+\.zip)"')
    found = eventually(
        lambda: address.search(page.get(f"/progress/{running.project_id}").text), "the download"
    )
    content = page.get(found[1]).content
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        names = packed.namelist()
    project = api.get(f"/api/projects/{running.project_id}/").json()
    assert "manifest.json" in names
    masks = [name for name in names if name.startswith("masks/")]
    assert len(masks) >= project["num_tasks_with_annotations"] - 1
