"""Annotations that are made up: who drew what, when, in what time, and with which draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ml_backend.figures.records import WITH, WITHOUT, Record
from ml_backend.readers import Reading, adjudicate, suspects, table

from .slices import LABELS

PEOPLE = 20
_FIRST = 101  # Label Studio's id of the first
_DAY_S = 8 * 3600.0  # of work
_USUAL_S = 95.0
_DRAFT_SAVES = 0.42  # of the time
SHARES = (0.11, 0.008, 0.015)  # of the image, median
_DRAWN = (0.97, 0.34, 0.78)  # in so many slices
_DISPUTED = 0.006  # of the slices: two see something else
_CARELESS = 13  # the one whose masks are too large


class Crowd:
    """Twenty people, each with a speed and a care of their own."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._pace = generator.lognormal(0, 0.28, PEOPLE)
        self._care = generator.uniform(0.84, 0.94, PEOPLE)
        self._care[_CARELESS] = 0.7
        # Some come more often than others.
        often = generator.uniform(0.3, 1.0, PEOPLE)
        self._often = often / often.sum()
        self.readings: list[list[Reading]] = []
        self.disagreement: dict[int, float] = {}

    def annotate(
        self,
        task_ids: Sequence[int],
        counts: Mapping[int, int],
        published: datetime,
        version: str | None,
        held_back: Callable[[int], bool],
    ) -> list[Record]:
        """What was labelled on the day before a version was published, with the older one's drafts.

        `counts` is how many annotate each task; `version` is None before there are drafts.
        """
        records = []
        moments = np.sort(self._generator.uniform(-_DAY_S - 900, -900, len(task_ids)))
        for task_id, moment in zip(task_ids, moments.tolist(), strict=True):
            people = self._generator.choice(PEOPLE, counts[task_id], replace=False, p=self._often)
            at = published + timedelta(seconds=moment)
            agreement = self._read(task_id, people.tolist())
            areas = self._areas()
            for who in people.tolist():
                arm = None if version is None else WITHOUT if held_back(task_id) else WITH
                records.append(
                    self._record(task_id, who, at, areas, arm, version, agreement.get(who))
                )
        return records

    def readers(self, adjudicate_above: float) -> dict[str, Any]:
        """The note "readers" of a round."""
        return {
            "readers": [asdict(reader) for reader in table(self.readings).values()],
            "suspects": [asdict(suspect) for suspect in suspects(self.readings)],
            "weights": {},
            "disagreement": {str(task): value for task, value in self.disagreement.items()},
            "adjudicate": adjudicate(self.disagreement, adjudicate_above),
        }

    def _record(
        self,
        task_id: int,
        who: int,
        at: datetime,
        areas: Mapping[str, float],
        arm: str | None,
        version: str | None,
        agreement: float | None,
    ) -> Record:
        seconds = _USUAL_S * self._pace[who] * self._generator.lognormal(0, 0.35)
        seconds *= 1 - _DRAFT_SAVES if arm == WITH else 1
        if self._generator.random() < 0.002:
            seconds = 36_000.0  # the tab was left open for a night
        moment = (at + timedelta(seconds=float(self._generator.uniform(0, 600)))).isoformat()
        size = float(self._generator.lognormal(0.2 if who == _CARELESS else 0, 0.04))
        return Record(
            annotation=2 * task_id + who,
            task=task_id,
            annotator=_FIRST + who,
            created_at=moment,
            updated_at=moment,
            lead_time_s=round(seconds, 3),
            arm=arm,
            draft_version=version,
            changed=round(float(self._generator.beta(1.4, 8.0)), 6) if arm == WITH else None,
            areas={name: min(1.0, share * size) for name, share in areas.items()},
            dice=agreement,
        )

    def _areas(self) -> dict[str, float]:
        if self._generator.random() < 0.06:
            return {}
        return {
            name: float(min(0.9, share * self._generator.lognormal(0, 0.6)))
            for name, share, often in zip(LABELS, SHARES, _DRAWN, strict=True)
            if self._generator.random() < often
        }

    def _read(self, task_id: int, people: Sequence[int]) -> dict[int, float]:
        """How far two agree on a slice, each compared with the other."""
        if len(people) < 2:
            return {}
        care = float(self._care[list(people)].min())
        dice = float(np.clip(care + self._generator.normal(0, 0.05), 0.3, 0.99))
        if self._generator.random() < _DISPUTED:
            dice *= 0.5
        larger = 0.2 * ((people[0] == _CARELESS) - (people[1] == _CARELESS))
        ratio = float(self._generator.normal(larger, 0.06))
        area = 7000
        hit = round(dice * area)
        rest = ((area - hit, 0), (0, 0))
        counts = ((50_000, rest[0][0]), (area - hit, hit))
        self.readings.append(
            [
                Reading(_FIRST + who, (_FIRST + other,), dice, sign * ratio, counts)
                for who, other, sign in ((people[0], people[1], 1), (people[1], people[0], -1))
            ]
        )
        self.disagreement[task_id] = 1 - dice
        return dict.fromkeys(people, round(dice, 6))
