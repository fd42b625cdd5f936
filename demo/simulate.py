"""The unattended demo: annotators label batch after batch while the loop retrains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ml_backend.jobs import Jobs
from ml_backend.label_studio import LabelStudio
from ml_backend.masks import BrushConfig, LabelMap, to_regions
from ml_backend.rounds.context import metadata_of, seen_by
from ml_backend.settings import Settings
from ml_backend.store import Store, number_of
from ml_backend.survey import Seen, survey

from .crowd import Annotator

# From a task's data to the mask that a doctor would draw.
Reference = Callable[[Mapping[str, Any]], LabelMap]

_POLL_S = 0.5
_HEADER = (
    f"{'round':>5} {'version':>13} {'labelled':>8} {'mean IoU':>8} {'Dice':>6} "
    f"{'train s':>8} {'score s':>8} {'reorder s':>9}  first k: wanted → served"
)


class SimulationError(RuntimeError):
    """The loop did not go round; the message says where it stopped."""


@dataclass(frozen=True)
class Simulation:
    """A project, its crowd, and what the crowd would draw."""

    settings: Settings
    label_studio: LabelStudio
    project_id: int
    annotators: Sequence[Annotator]
    reference: Reference
    alive: Callable[[], None]  # raises when a service has died
    say: Callable[[str], None]
    round_timeout_s: float = 900.0

    def run(self, rounds: int) -> list[dict[str, Any]]:
        """Go round `rounds` times; a row for each, its keys as the demo's --json promises.

        Raises SimulationError if a round fails, does not come, or the queue runs dry.
        """
        self._await_version(None)
        self.say(_HEADER)
        self._label_until_due()
        rows: list[dict[str, Any]] = []
        for number in range(1, rounds + 1):
            before = rows[-1]["version"] if rows else None
            version = self._await_version(before, trained=True)
            row = self._row(number, version)
            if number < rounds:
                served = self._label_until_due()
            else:  # the last order is shown to hold too, but starts no further round
                served = self._label(self.settings.k)
            row["served"] = served[: self.settings.k]
            rows.append(row)
            self.say(_line(row))
        return rows

    def _row(self, number: int, version: str) -> dict[str, Any]:
        outcome = Store(self.settings.store_root, self.project_id).noted(version, "round")
        quality = outcome["quality"] or {}
        return {
            "round": number,
            "version": version,
            "labelled": outcome["labelled"],
            "evaluated_on": outcome["evaluated_on"],
            "held_out_unit": outcome["held_out_unit"],
            "mean_iou": quality.get("mean_iou"),
            "dice": quality.get("dice"),
            "train_s": round(outcome["train_s"], 2),
            "score_s": round(outcome["score_s"], 2),
            "reorder_s": round(outcome["reorder_s"], 2),
            "wanted": outcome["wanted"],
        }

    def _await_version(self, before: str | None, trained: bool = False) -> str:
        """Wait until Label Studio serves the order of a version later than `before`."""
        store = Store(self.settings.store_root, self.project_id)
        jobs = Jobs.connect(self.settings)
        limit = time.monotonic() + self.round_timeout_s
        while time.monotonic() < limit:
            self.alive()
            version = store.current()
            if (
                version
                and version != before
                and bool(store.metadata(version)["training"]) >= trained
                and store.noted(version, "round" if trained else "order")
            ):
                served = self.label_studio.project(self.project_id)["model_version"]
                if served == version:
                    return version
            job = jobs.latest(self.project_id)
            if job and job["job_status"] == "failed":
                why = job["error"] or "see the worker's log in the data folder"
                raise SimulationError(f"the round failed: {why}")
            time.sleep(_POLL_S)
        raise SimulationError(f"no new version within {self.round_timeout_s:.0f} s")

    def _label_until_due(self) -> list[int]:
        """Label until a round is due; the tasks in the order they were served."""
        seen = self._seen()
        served: list[int] = []
        while True:
            found = survey(self.label_studio, self.project_id, self.settings)
            if found.due(seen, self.settings):
                return served
            lacking = self.settings.due_after - int(found.fresh(seen))
            served += self._label(max(1, lacking), batches=1)

    def _seen(self) -> Seen:
        store = Store(self.settings.store_root, self.project_id)
        return seen_by(metadata_of(store, store.current()))

    def _label(self, count: int, batches: int | None = None) -> list[int]:
        """Label up to `count` slices: all annotators hold a task each, then submit at once."""
        config = BrushConfig.parse(self.label_studio.project(self.project_id)["label_config"])
        served: list[int] = []
        while len(served) < count and batches != 0:
            self.alive()
            group = self.annotators[: count - len(served)]
            held = [(who, who.next_task(self.project_id)) for who in group]
            open_now = [(who, task) for who, task in held if task is not None]
            if not open_now:
                raise SimulationError("the queue ran dry: an annotator got no task")

            def submit(who: Annotator, task: dict[str, Any]) -> None:
                drawn = to_regions(self.reference(task["data"]), config)
                who.submit(self.project_id, int(task["id"]), drawn, lead_time_s=30.0)

            with ThreadPoolExecutor(len(open_now)) as pool:
                list(pool.map(lambda pair: submit(*pair), open_now))
            served += [int(task["id"]) for _, task in open_now]
            batches = None if batches is None else batches - 1
        return served


def check(rows: Sequence[Mapping[str, Any]], rounds: int) -> list[str]:
    """What of the loop did not hold, in words; nothing if it truly went round."""
    faults = []
    if len(rows) != rounds:
        faults.append(f"{len(rows)} of {rounds} rounds were made")
    numbers = [number_of(row["version"]) for row in rows]
    if numbers != sorted(set(numbers)):
        faults.append("the versions do not follow one another")
    labelled = [row["labelled"] for row in rows]
    if labelled != sorted(set(labelled)):
        faults.append("the labelled set did not grow with each round")
    for row in rows:
        if row["mean_iou"] is None:
            faults.append(f"round {row['round']} was not evaluated")
        if row["served"] != row["wanted"][: len(row["served"])] or not row["served"]:
            faults.append(f"round {row['round']}: the order served is not the order wanted")
    return faults


def _line(row: Mapping[str, Any]) -> str:
    iou = f"{row['mean_iou']:.3f}" if row["mean_iou"] is not None else "–"
    dice = f"{row['dice']:.3f}" if row["dice"] is not None else "–"
    kept = "in order" if row["served"] == row["wanted"] else "NOT in order"
    return (
        f"{row['round']:>5} {row['version']:>13} {row['labelled']:>8} {iou:>8} {dice:>6} "
        f"{row['train_s']:>8.1f} {row['score_s']:>8.1f} {row['reorder_s']:>9.1f}  "
        f"{row['wanted']} → {row['served']} {kept}"
    )
