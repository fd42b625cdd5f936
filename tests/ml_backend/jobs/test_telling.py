"""How a look leaves Label Studio alone after it has brought the figures up to date."""

from types import SimpleNamespace

from ml_backend.jobs import work
from ml_backend.store import Store
from tests.ml_backend.projects import Project, in_place_of_label_studio, sides


def test_the_rest_between_looks_covers_the_figures_too(jobs, settings, monkeypatch):
    project = Project()
    Store(settings.store_root, 1).keep_sides(sides(project))
    clock, given = [1000.0], []

    def tell(context, found, took_s):
        given.append(took_s)
        clock[0] += 100.0
        return False

    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(work, "_tell", tell)
    with in_place_of_label_studio(monkeypatch, project):
        work.look_job(1)
    assert given == [0.0]  # the clock stood still while the project was read
    assert 90_000 < jobs.redis.pttl("quorum:project:1:rest") <= 100_000
