"""The scenario: a first order, a batch of labels, a fault during its round, and what follows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from demo.crowd import CrowdError
from ml_backend.jobs import Jobs, JobsError
from ml_backend.label_studio import LabelStudioError
from ml_backend.store import StoreError

from .disk import Disk
from .plan import Fault
from .project import Project, ProjectError
from .servers import Servers
from .state import EndState, broken, differences, labels_lost, missing_labels
from .watch import Watch

_EVALUATION = 1  # slices that the first order puts before its batch
_BATCH = 4
_FURTHER = 4
_POLL_S = 0.2
LIMIT_S = 90.0
_STUCK_S = 5.0  # above two reconciles: fewer labels than a batch are waiting, and rightly so
_NOT_NOW = (httpx.HTTPError, StoreError, LabelStudioError, KeyError, OSError)


@dataclass
class Outcome:
    """What came of one run of the scenario."""

    fault: Fault | None
    project: Project
    watch: Watch | None = None
    state: EndState | None = None
    what: str = ""  # what was done, in words
    step: str = ""  # the round's step at that moment
    recovery_s: float = float("nan")  # from the end of the outage until all is as undisturbed
    round_s: float = float("nan")  # from the last label to the switch
    too_late: bool = False  # the round had ended before the fault
    topped_up: bool = False  # labels fewer than a batch were left, and the button was pressed
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def halves(self) -> list[str]:
        """Half versions that could be seen."""
        return self.watch.halves if self.watch else []

    @property
    def recovered(self) -> bool:
        """Whether it ended as without the fault, and nothing half was ever visible."""
        return not self.wrong and not self.halves


def next_project(servers: Servers, number: int) -> Project:
    """The next scenario's project, filled but not connected yet."""
    return Project(servers, f"Faults {number}")


def run(
    project: Project,
    disk: Disk,
    fault: Fault | None,
    references: Mapping[tuple[bool, int], EndState],
    round_s: float,
    *,
    further: str = "",
    limit_s: float = LIMIT_S,
) -> Outcome:
    """Play the scenario once, with a fault or undisturbed; it may take `limit_s` to settle.

    `references` are end states of undisturbed runs by (further labels came, number of the version).
    `further` of an undisturbed run: "" none, "during" the round, or "before" it.
    """
    outcome = Outcome(fault, project)
    try:
        _play(outcome, disk, references, round_s, further, limit_s)
    except (ProjectError, CrowdError, *_NOT_NOW) as error:
        outcome.wrong = [f"the scenario ended early: {error}"]
    return outcome


def _play(
    outcome: Outcome,
    disk: Disk,
    references: Mapping[tuple[bool, int], EndState],
    round_s: float,
    further: str,
    limit_s: float,
) -> None:
    fault, project = outcome.fault, outcome.project
    project.connect()
    _await(lambda: _is_ordered(project), "the first order")
    order = project.order(project.store.current() or "")
    batch = order[: _EVALUATION + _BATCH]
    later = order[_EVALUATION + _BATCH :][:_FURTHER]
    outcome.watch = Watch(project.servers.database, project.servers.store, project.id)
    if further == "before":  # a round is due with the first label to evaluate with: it comes last
        batch = [*later, *reversed(batch)]
    for number in batch[:-1]:
        project.label(number)
    if fault and fault.kind == "webhook-lost":
        project.switch_webhook(active=False)
    if fault and fault.kind == "webhook-doubled":
        project.double_webhook()
    project.label(batch[-1])
    started = time.monotonic()
    first = outcome.watch.served
    moment = fault.moment if fault else 0.5
    time.sleep(moment * round_s)
    submitting = threading.Thread(target=_submit, args=(project, later), daemon=True)
    has_further = bool(further) or bool(fault and fault.further)
    if has_further and further != "before":
        submitting.start()
    if fault:
        outcome.too_late = outcome.watch.served != first
        outcome.step = "none, it had ended" if outcome.too_late else _step(project)
        outcome.what = _inject(fault, project, disk, outcome.watch, fault.outage_s(round_s))
    recovering = time.monotonic()
    if submitting.ident:
        submitting.join()
    labelled = {*batch, *later} if has_further else set(batch)
    _await_end(outcome, references, has_further, labelled, limit_s)
    outcome.recovery_s = time.monotonic() - recovering
    switched = [t for version, t in outcome.watch.first_served.items() if version != first]
    outcome.round_s = switched[0] - started if switched else float("nan")


def confirm(outcome: Outcome) -> None:
    """Look once more, some seconds later: it must have stayed so. Ends the watch."""
    if not outcome.wrong:
        with suppress(*_NOT_NOW):
            state = outcome.project.state()
            outcome.wrong = [f"later: {words}" for words in broken(state)]
            if outcome.state and not outcome.wrong:
                outcome.wrong = [f"later: {w}" for w in differences(outcome.state, state)]
            outcome.wrong += _first_served(outcome.project, state)
    if outcome.watch:
        outcome.watch.close()
        outcome.wrong += outcome.watch.steps_back


def _first_served(project: Project, state: EndState) -> list[str]:
    wanted = [n for n in state.noted if n in set(state.open_slices)][:1]
    try:
        got = project.next_slice()
    except (httpx.HTTPError, CrowdError):
        return ["no next task could be asked for"]
    return [] if [got] == wanted else [f"slice {got} is served first, not {wanted}"]


def _await_end(
    outcome: Outcome,
    references: Mapping[tuple[bool, int], EndState],
    has_further: bool,
    labelled: set[int],
    limit_s: float,
) -> None:
    """Wait until the project is as it should be; what is not after the limit is what is wrong."""
    limit = time.monotonic() + limit_s
    waiting_since = time.monotonic()
    seen: tuple[object, ...] = ()
    while time.monotonic() < limit:
        time.sleep(_POLL_S)
        if not outcome.watch or not _could_be_over(outcome.project, outcome.watch):
            continue
        try:
            state = outcome.project.state()
        except _NOT_NOW:
            continue
        outcome.state = state
        outcome.wrong = broken(state)
        wanted = references.get((has_further, state.number))
        if wanted:
            outcome.lost = labels_lost(wanted, state)
            outcome.wrong += differences(wanted, state)
        elif references:
            outcome.wrong.append(f"no undisturbed run ends with version number {state.number}")
        if set(state.labels) != labelled:
            outcome.wrong.append(f"labelled are {sorted(state.labels)}, not {sorted(labelled)}")
        if not outcome.wrong:
            return
        if seen != (state.current, state.trained_on):
            seen, waiting_since = (state.current, state.trained_on), time.monotonic()
        waiting = 0 < len(missing_labels(state)) < _BATCH and state.trained_on
        if waiting and not outcome.topped_up and time.monotonic() - waiting_since > _STUCK_S:
            outcome.topped_up = True
            with suppress(httpx.HTTPError, ProjectError, ValueError):
                outcome.project.press_start_training()
    if not outcome.wrong:
        served = outcome.watch.served if outcome.watch else ""
        outcome.wrong = [f"after {limit_s:.0f} s {served or 'nothing'} was served still"]


def _could_be_over(project: Project, watch: Watch) -> bool:
    """Cheap: a trained version is current, and it is the one served."""
    try:
        current = project.store.current()
        return bool(
            current
            and current == watch.served
            and project.store.metadata(current)["training_tasks"]
        )
    except (StoreError, OSError):
        return False


def _is_ordered(project: Project) -> bool:
    current = project.store.current()
    if not current:
        return False
    return str(project.server.project(project.id)["model_version"]) == current


def _await(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        with suppress(*_NOT_NOW):
            if condition():
                return
        time.sleep(_POLL_S)
    raise ProjectError(f"{what} did not come within {LIMIT_S:.0f} s")


def _submit(project: Project, numbers: Sequence[int]) -> None:
    for number in numbers:
        with suppress(ProjectError):
            project.label(number)


def _step(project: Project) -> str:
    """Which step the progress page shows at this moment."""
    with suppress(JobsError):
        latest = Jobs.connect(project.servers.settings).latest(project.id) or {}
        if latest.get("job_status") == "started":
            return str(latest.get("step", "begin"))
    return "none yet"


def _inject(fault: Fault, project: Project, disk: Disk, watch: Watch, outage_s: float) -> str:
    """Let the fault happen, and end its outage; what was done, in words."""
    servers: Servers = project.servers
    if fault.kind == "disk-full":
        disk.fill()
        time.sleep(outage_s)
        disk.free()
        return f"no byte free for {outage_s:.1f} s"
    if fault.kind == "store-away":
        watch.store_is_there = False
        shadows = disk.shadows
        disk.take_away()
        time.sleep(outage_s)
        disk.bring_back()
        watch.store_is_there = True
        begun = ", another was begun in its place" if disk.shadows > shadows else ""
        return f"store away for {outage_s:.1f} s{begun}"
    if fault.kind == "webhook-lost":
        project.switch_webhook(active=True)
        return "the last label's event was not sent"
    if fault.kind == "webhook-doubled":
        project.send_event_again()
        return "each event sent twice, one a third time"
    return servers.kill(
        fault.kind.removesuffix("-emptied"),
        outage_s,
        inside=fault.inside,
        choice=fault.choice,
        wipe=fault.kind == "redis-emptied",
    )
