"""docs/operations.md says what is served."""

import re

from launcher import CLONE
from ml_backend.figures.quality import refresh_quality

from .conftest import CURRENT, PASSWORD, USER

TEXT = (CLONE / "docs" / "operations.md").read_text()


def test_the_metrics_listed_are_those_that_are_served_with_their_labels(app, store):
    refresh_quality(store)
    store.note(CURRENT, "round", {"train_s": 12.5})
    served = {}
    for line in app.test_client().get("/metrics", auth=(USER, PASSWORD)).text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition(" ")[0].partition("{")
            served[name] = sorted(re.findall(r'(\w+)="', labels))
    rows = re.findall(r"^\| `(quorum_\w+)` \| ([\w, ]*?) ?\|", TEXT, re.MULTILINE)
    listed = {name: sorted(labels.replace(",", " ").split()) for name, labels in rows}
    assert served and listed == served


def test_every_alert_is_on_a_metric_that_there_is():
    used = set(re.findall(r"quorum_\w+", TEXT))
    assert used == set(re.findall(r"^\| `(quorum_\w+)`", TEXT, re.MULTILINE)) and len(used) > 10


def test_every_file_that_is_linked_to_is_there():
    for link in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (CLONE / "docs" / link).resolve().exists(), link
