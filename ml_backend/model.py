"""CommitteeModel: Label Studio's model contract over the committee and the queue of rounds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from .committees import CommitteeCache
from .gathering import Problem
from .jobs import Jobs
from .label_studio import LabelStudio, Task
from .masks import BrushConfig, to_regions
from .order import late_score
from .pool import held_back, scored_tasks
from .settings import Settings
from .store import Store

log = logging.getLogger(__name__)

# After these a round may be due; the round itself reads from the API what really changed.
ROUND_EVENTS = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "TASKS_CREATED",
        "TASKS_DELETED",
        "PROJECT_UPDATED",
        "START_TRAINING",
    }
)
# A task without a draft goes behind all others: it must not displace the selected batch.
_LAST = 1.0


@lru_cache(maxsize=4)
def _connection(settings: Settings) -> LabelStudio:
    """One that stays open: to make one takes about as long as to draft a slice."""
    return LabelStudio.of(settings)


class CommitteeModel(LabelStudioMLBase):
    """The committee of one project, as Label Studio asks for it."""

    def __init__(
        self,
        label_config: str | None = None,
        *,
        settings: Settings,
        project_id: int,
        cache: CommitteeCache | None = None,
        **kwargs: Any,
    ) -> None:
        # The base class would parse label_config with a parser that expands XML entities.
        super().__init__(label_config=None, **kwargs)
        self.label_config = label_config
        self._settings = settings
        self._project_id = project_id
        self._cache = cache or CommitteeCache()
        self._store = Store(settings.store_root, project_id)

    @property
    def version(self) -> str:
        """The version that drafts now, as the store says at this moment; "" before the first."""
        return self._store.current() or ""

    def predict(
        self,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Drafts of tasks, one {"result", "score", "model_version"} each, in their order.

        A task whose image cannot be read, and every task before the first committee, gets an
        empty draft at the end of the queue. Raises MaskError for an unusable label config,
        StoreError for a damaged version, LabelStudioError if Label Studio is down.
        """
        settings, version = self._settings.of_project(self._store.overrides()), self.version
        answers = [{"result": [], "score": _LAST, "model_version": version} for _ in tasks]
        config = BrushConfig.parse(self.label_config or "")
        if not version:
            return answers
        metadata = self._store.metadata(version)
        if not metadata["training"]:
            return answers
        if tuple(metadata["labels"]) != config.labels:
            # Its drafts would carry the wrong names; the round that replaces it is on its way.
            log.warning(
                "version %s was trained for other labels: no drafts until the next", version
            )
            return answers
        committee = self._cache.get(
            self._store,
            self._project_id,
            version,
            config.labels,
            settings.device,
            settings.network,
        )
        order = self._store.noted(version, "order")
        # A task that is not stored yet has no number: it gets one below zero, its place's.
        numbers = [int(raw.get("id") or 0) or -place - 1 for place, raw in enumerate(tasks)]
        places = {number: place for place, number in enumerate(numbers)}
        asked = [
            Task(number, tasks[place].get("data") or {}, False, 0, 0)
            for number, place in places.items()
        ]
        problems: list[Problem] = []
        server = _connection(self._settings)
        found = scored_tasks(server, committee, asked, config, problems, entropies=False)
        for number, scored in found:
            without = held_back(settings, max(number, 0))
            answers[places[number]] = {
                "result": [] if without else to_regions(scored.draft, config),
                "score": late_score(
                    scored.uncertainty,
                    order.get("quantiles", []),
                    order.get("first_free_score", 0.0),
                ),
                "model_version": version,
            }
        for problem in problems:
            stored = problem.task_id if problem.task_id > 0 else None
            log.warning("task %s has no draft: %s", stored, problem.reason)
        return answers

    def fit(
        self, event: str, data: Mapping[str, Any], jobs: Jobs | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Queue a look at the project, or a round; {"job": name}, {} if the event calls for none.

        Nothing is read or trained here: Label Studio waits one second for the answer.
        Raises JobsError if Redis is down.
        """
        if event not in ROUND_EVENTS:
            return {}
        queue = jobs or Jobs.connect(self._settings)
        if event == "START_TRAINING":
            return {"job": queue.request_round(self._project_id, force=True)}
        return {"job": queue.request_look(self._project_id)}
