"""Steps that learn, ended early and begun again."""

from dataclasses import replace

import pytest
import torch

from ml_backend.rounds import Context, begin, run_step
from ml_backend.rounds.graph import Step
from ml_backend.store import Store
from tests.learning.shapes import one_thread  # noqa: F401
from tests.ml_backend.projects import Project, quick_settings, sides

STEPS = 60  # long enough, mostly, that the members are not all ready at once


class Killed(BaseException):
    """What ends a process, and is no error of the step's."""


@pytest.fixture
def settings(tmp_path):
    return quick_settings(tmp_path, members=3, steps=STEPS, semi_supervised=True)


class Training:
    """A round of a project whose steps learn, in a store of its own."""

    def __init__(self, settings):
        self.settings, self.project = settings, Project()
        self.store = Store(settings.store_root, 1)
        self.store.keep_sides(sides(self.project))
        self.project.annotate([*self.project.data.test[:2], 0, 1, 2])
        self.version = begin(Context.of(settings, self.project, 1))

    def run(self, kind, progress=lambda *_: None):
        context = Context.of(self.settings, self.project, 1, progress=progress)
        run_step(context, self.version, Step(kind, 0))

    def kept(self, prefix):
        """Artefacts of that name, by name."""
        work = self.store.work(self.version)
        return {name: work.get(name) for name in work.names() if name.startswith(prefix)}


def test_a_training_that_is_killed_keeps_members_that_are_ready_and_goes_on_with_the_rest(
    settings, tmp_path
):
    whole = Training(replace(settings, data_dir=tmp_path / "whole"))
    killed = Training(settings)
    for kind, prefix in (("train", "member"), ("further", "final")):
        whole.run(kind)
        told = []

        def kill(step, done, total, kind=kind, told=told):
            told.append((done, total))
            # The first member was ready a while ago, and the second is being trained.
            if done >= total / 2:
                raise Killed

        with pytest.raises(Killed):
            killed.run(kind, kill)
        ready = killed.kept(prefix)
        assert f"{prefix}-0" in ready
        totals = set()
        killed.run(kind, lambda step, done, total, totals=totals: totals.add(total))
        _, steps = told[-1]
        assert totals <= {steps // 3 * (3 - len(ready))}
        both = whole.kept(prefix), killed.kept(prefix)
        assert both[0] == both[1] and len(both[1]) == 3
        assert ready.items() <= both[1].items()
    assert torch.get_num_threads() == 1
