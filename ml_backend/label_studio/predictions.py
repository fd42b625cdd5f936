"""Predictions pushed to Label Studio and removed from it, without annotators noticing.

Facts, each with a test against the real 1.23.2: an import is answered 201 though invalid
predictions were dropped without a word (`created` tells); one deleted task fails the whole request
(400); a request that failed may have stored its predictions all the same; removing a version of
2,000 predictions at once holds SQLite's lock so long that annotators' submissions fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from .pace import Pace
from .reading import Reading
from .transport import LabelStudioDown, LabelStudioError

# A request answered quickly is followed by as long a pause: half of the time is the annotators'.
_PAUSE_RATIO, _LONGEST_PAUSE_S = 1.0, 10.0
_HOPELESS = 20  # so many refused and none stored: it is not a single bad prediction
_AT_ONCE = 50  # predictions that may be removed in one request
_WHOLE = (400, 413)  # one unknown task, or too large for a proxy: nothing of it was stored
_AGAIN_S = 1.0
_Encoded = Sequence[tuple[int, bytes]]  # task ids with their predictions as JSON


@dataclass
class Pushed:
    """What became of a push; the lists hold task ids."""

    stored: int = 0
    gone: list[int] = field(default_factory=list)  # deleted meanwhile
    refused: list[int] = field(default_factory=list)  # Label Studio finds them invalid


class Predictions(Reading):
    """The calls that store and remove predictions."""

    def push_predictions(
        self,
        project_id: int,
        predictions: Iterable[Mapping[str, Any]],
        chunk: int,
        pause_s: float,
        *,
        on_pushed: Callable[[int], None] = lambda count: None,
        rest_after: bool = True,
    ) -> Pushed:
        """Store predictions in their order, each {task, result, score, model_version}.

        Requests hold `chunk` at most, fewer where masks are large or Label Studio is slow; the
        next one waits as long as it took, `pause_s` at least. What is drawn from `predictions` is
        not kept: a generator may encode as it goes. `on_pushed` learns how many were dealt with.
        `rest_after`: whether to wait after the last request too, for what the caller asks next.
        What `created` lacks is sent once more. After a crash a caller leaves out what
        `predicted()` finds, else it is stored twice. A prediction dropped for a task that already
        holds one of its version is not noticed. Raises LabelStudioDown, and LabelStudioError
        if nothing at all is accepted.
        """
        done, handled = Pushed(), 0
        pace = self._pace_of(project_id)
        # A request holds one version: what is missing of it is asked by version.
        for version, group in groupby(predictions, lambda p: str(p["model_version"])):
            for part in pace.parts(_encoded(group, done), chunk):
                # Since the request before, of this push or the last, this one was encoded.
                time.sleep(max(0.0, pace.rests_until - time.monotonic()))
                started = time.monotonic()
                self._push_part(project_id, version, part, done)
                elapsed_s = time.monotonic() - started
                pace.took(elapsed_s, sum(len(content) for _, content in part), len(part))
                handled += len(part)
                on_pushed(handled)
                if not done.stored and len(done.refused) >= _HOPELESS:
                    raise LabelStudioError(
                        f"Label Studio stored none of {len(done.refused)} predictions: was the "
                        "label config changed during the round? Start training again"
                    )
                rest_s = max(pause_s, min(_PAUSE_RATIO * elapsed_s, _LONGEST_PAUSE_S))
                pace.rests_until = time.monotonic() + rest_s
        if rest_after:
            time.sleep(max(0.0, pace.rests_until - time.monotonic()))
        return done

    def _pace_of(self, project_id: int) -> Pace:
        # Kept from push to push: what one has learnt holds for the next.
        paces: dict[int, Pace] = self.__dict__.setdefault("_paces", {})
        return paces.setdefault(project_id, Pace())

    def _push_part(self, project_id: int, version: str, part: _Encoded, done: Pushed) -> None:
        """Send one request's worth; whatever is not stored is looked into, then sent once more."""
        refusal = 0
        try:
            if self._import(project_id, part) == len(part):
                done.stored += len(part)
                return
        except LabelStudioDown:
            raise  # it may still be at it: who comes back later finds out with predicted()
        except LabelStudioError as error:
            refusal = error.status or 0
            if refusal not in _WHOLE and refusal < 500:
                raise
            if refusal == 413:
                self._pace_of(project_id).too_large(sum(len(content) for _, content in part))
        ids = [task_id for task_id, _ in part]
        there = self.existing(project_id, ids)
        done.gone += [task_id for task_id in ids if task_id not in there]
        if refusal in _WHOLE:
            self._push_rest(project_id, version, part, there, done)
            return
        # Dropped, or a 500 such as a locked database, perhaps after some had been stored.
        lacking = self._lacking(project_id, version, there)
        done.stored += len(there) - len(lacking)
        again = [entry for entry in part if entry[0] in lacking]
        if not again:
            return
        time.sleep(_AGAIN_S)
        try:
            self._import(project_id, again)
        except LabelStudioError as error:
            if error.status not in _WHOLE:
                raise
        refused = self._lacking(project_id, version, lacking)
        done.stored += len(lacking) - len(refused)
        done.refused += [task_id for task_id, _ in again if task_id in refused]

    def _push_rest(
        self, project_id: int, version: str, part: _Encoded, there: set[int], done: Pushed
    ) -> None:
        """Send what a request refused as a whole held, without what is the reason."""
        rest = [entry for entry in part if entry[0] in there]
        if rest and len(rest) < len(part):
            self._push_part(project_id, version, rest, done)
        elif len(rest) == 1:
            done.refused.append(rest[0][0])
        elif rest:  # all tasks exist: one prediction must be the reason, or their size
            middle = len(rest) // 2
            self._push_part(project_id, version, rest[:middle], done)
            self._push_part(project_id, version, rest[middle:], done)

    def _import(self, project_id: int, part: _Encoded) -> int:
        """How many Label Studio says it stored."""
        path = f"/api/projects/{project_id}/import/predictions"
        content = b"[" + b",".join(content for _, content in part) + b"]"
        headers = {"Content-Type": "application/json"}
        return int(self._json("POST", path, content=content, headers=headers)["created"])

    def delete_predictions(
        self,
        project_id: int,
        version: str,
        *,
        at_most: int | None = None,
        task_ids: Collection[int] | None = None,
        pause_s: float = 0.05,
    ) -> int:
        """Remove predictions of a version, `at_most` so many, of `task_ids` alone; how many.

        All at once would be one transaction of some 10 ms a prediction, during which SQLite lets
        nobody else write: a large version is removed one by one with pauses, which takes minutes
        for thousands; `at_most` lets a caller do it bit by bit. Raises LabelStudioError if the
        version is being served: without it annotators would get no tasks.
        """
        if self.project(project_id).get("model_version") == version:
            raise LabelStudioError(
                f"{version} orders project {project_id} now: switch to another version first"
            )
        count = self.prediction_counts(project_id).get(version, 0)
        if task_ids is None and count <= min(_AT_ONCE, count if at_most is None else at_most):
            if count:
                path = f"/api/projects/{project_id}/model-versions/"
                self._call("DELETE", path, json={"model_version": version}, repeatable=True)
            return count
        removed = 0
        for task_id in self.holding(project_id, version):
            if task_ids is not None and task_id not in task_ids:
                continue
            try:
                listed = self._json("GET", "/api/predictions/", params={"task": task_id})
            except LabelStudioError as error:
                if error.status not in (400, 404):
                    raise
                continue  # the task was deleted meanwhile
            for raw in listed:
                if raw["model_version"] != version:
                    continue
                if at_most is not None and removed >= at_most:
                    return removed
                started = time.monotonic()
                self._delete_one(int(raw["id"]))
                removed += 1
                time.sleep(max(pause_s, _PAUSE_RATIO * (time.monotonic() - started)))
        return removed

    def _delete_one(self, prediction_id: int) -> None:
        try:
            self._call("DELETE", f"/api/predictions/{prediction_id}/", repeatable=True)
        except LabelStudioError as error:
            if error.status != 404:  # gone already: with its task, or by a first try
                raise


def _encoded(predictions: Iterable[Mapping[str, Any]], done: Pushed) -> Iterator[tuple[int, bytes]]:
    """Each prediction as JSON; what JSON cannot hold (NaN) is refused here."""
    for prediction in predictions:
        try:
            content = json.dumps(prediction, allow_nan=False, separators=(",", ":"))
        except ValueError:
            done.refused.append(int(prediction["task"]))
        else:
            yield int(prediction["task"]), content.encode()
