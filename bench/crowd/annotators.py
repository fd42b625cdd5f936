"""Annotators as threads: take the next task, think, draw, submit, and never wait for a round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import numpy as np

from demo.crowd import Annotator, CrowdError
from ml_backend.masks import BrushConfig, to_regions

from . import slices
from .recording import GONE, REFUSED, SKIPPED, SUBMITTED, Answered, Asked, Recording

SKIPS = 0.02  # share of the tasks that an annotator skips
TOO_LARGE = 1.2  # the first annotator draws all radii this much too large
_HAND_SCALE, _HAND_PX = 0.02, 0.5  # standard deviations of everybody's drawing
_AGAIN_S = 1.0  # after "there are no tasks", or an error
_TRIES = 5  # how often Submit is pressed before a task is given up


@dataclass
class Crowd:
    """Annotators at work on one project."""

    project_id: int
    accounts: list[tuple[Annotator, int]]  # and each one's number in Label Studio
    recording: Recording
    think_s: float  # mean time from a task's opening to Submit
    seed: int
    deleted: Collection[int]  # tasks that a manager has deleted, or is deleting
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Let everybody begin, spread over the mean time to think."""
        for index, (annotator, number) in enumerate(self.accounts):
            arguments = (index, annotator, number)
            thread = threading.Thread(target=self._attend, args=arguments, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let everybody finish the task in hand."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _attend(self, index: int, annotator: Annotator, who: int) -> None:
        try:
            self._work(index, annotator, who)
        except Exception as error:  # unseen, a smaller crowd would be measured
            fault = f"annotator {who} stopped working: {type(error).__name__}: {error}"
            self.recording.troubles.append(fault)

    def _work(self, index: int, annotator: Annotator, who: int) -> None:
        draw = np.random.default_rng([self.seed, index])
        config = BrushConfig.parse(slices.LABEL_CONFIG)
        self._ended.wait(draw.uniform(0, self.think_s))
        while not self._ended.is_set():
            task = self._ask(annotator, who)
            if task is None:
                self._ended.wait(_AGAIN_S)
                continue
            thinking_s = draw.gamma(4, self.think_s / 4)
            self._ended.wait(thinking_s)
            task_id = int(task["id"])
            if draw.random() < SKIPS:
                press, how = partial(annotator.skip, self.project_id, task_id), SKIPPED
            else:
                hand = slices.Hand(
                    (TOO_LARGE if index == 0 else 1.0) * draw.normal(1.0, _HAND_SCALE),
                    (draw.normal(0, _HAND_PX), draw.normal(0, _HAND_PX)),
                )
                drawn = slices.label_map(slices.number_in(task["data"]), hand)
                regions = to_regions(drawn, config)
                press, how = (
                    partial(annotator.submit, self.project_id, task_id, regions, thinking_s),
                    SUBMITTED,
                )
            self._answer(who, task_id, how, press)

    def _ask(self, annotator: Annotator, who: int) -> dict[str, Any] | None:
        begun, task, error = time.time(), None, ""
        try:
            task = annotator.next_task(self.project_id)
        except (CrowdError, httpx.HTTPError) as failure:
            error = str(failure) or type(failure).__name__
        drafts = task.get("predictions") if task else None
        version = str(drafts[0].get("model_version") or "") if drafts else ""
        task_id = int(task["id"]) if task else None
        self.recording.asked.append(Asked(who, begun, time.time(), task_id, version, error))
        return task

    def _answer(self, who: int, task_id: int, how: str, press: Callable[[], None]) -> None:
        """Press a button until it works; only a manager who deletes the task prevents that."""
        for attempt in range(_TRIES):
            begun = time.time()
            try:
                press()
            except (CrowdError, httpx.HTTPError):
                gone = task_id in self.deleted
                ended = time.time()
                self.recording.answered.append(
                    Answered(who, task_id, begun, ended, GONE if gone else REFUSED)
                )
                if gone or attempt == _TRIES - 1:
                    return
                time.sleep(_AGAIN_S)
            else:
                self.recording.answered.append(Answered(who, task_id, begun, time.time(), how))
                return
