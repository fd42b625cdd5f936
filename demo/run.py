"""``./quorum demo``: everything on one machine, with a brain to label."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from importer import counts, import_dicom
from importer.journal import TasksError
from importer.keys import KeyFileError
from importer.pseudonyms import pseudonym
from importer.tasks import send
from importer.vault import VaultError
from launcher import CLONE
from launcher.data_lock import DataLock
from launcher.processes import (
    ServiceError,
    Supervisor,
    free_port,
    port_number,
    port_trouble,
    stop_on_signals,
)
from launcher.services import (
    Account,
    await_http,
    remove_socket,
    start_backend,
    start_label_studio,
    start_redis,
)
from launcher.up import settings_of
from ml_backend.connect import connect_project
from ml_backend.jobs import JobsError
from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.masks import LabelMap, MaskError
from ml_backend.settings import Settings, SettingsError
from ml_backend.store import StoreError

from . import brain
from .crowd import CrowdError, sign_up
from .folder import clear, load_state, save_state
from .simulate import Simulation, SimulationError, check

_ANNOTATORS = 3
_TITLE = "Brain tissue (Quorum demo)"
# A shell may hold the settings of a real deployment: its store and its pages are not the demo's.
_NOT_ANOTHERS = {"QUORUM_STORE_URL": "", "QUORUM_PUBLIC_URL": "", "LABEL_STUDIO_PUBLIC_URL": ""}
_FOR_PEOPLE = (  # their text says what to do
    ServiceError,
    SettingsError,
    LabelStudioError,
    JobsError,
    StoreError,
    MaskError,
    KeyFileError,
    VaultError,
    TasksError,
    CrowdError,
    SimulationError,
    brain.DemoDataError,
)


@dataclass(frozen=True)
class Running:
    """The demo's services, up and connected."""

    supervisor: Supervisor
    settings: Settings
    label_studio: LabelStudio
    project_id: int
    account: Account
    backend_url: str
    key: bytes
    environment: Mapping[str, str]  # what the backend runs with


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum demo``; its exit status."""
    arguments = _parser().parse_args(argv)
    usual = ".quorum/simulation" if arguments.simulate else ".quorum/demo"
    data: Path = arguments.data or CLONE / usual
    stop_on_signals()
    supervisor, lock = Supervisor(), None
    started: dict[str, str] = {}
    try:
        if arguments.json and not arguments.json.parent.is_dir():
            raise ServiceError(f"there is no folder {arguments.json.parent}: make it first")
        if arguments.simulate:
            # Its annotators take no time: they would always be ahead of the next batch.
            os.environ.setdefault("QUORUM_AHEAD", "no")
            clear(data)
        lock = DataLock(data)
        running = start(supervisor, data, _ports(arguments), started)
        lock.announce(running.label_studio.url, running.environment, running.backend_url)
        if arguments.simulate:
            return _simulate(running, arguments.rounds, arguments.json)
        return _stay(running)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        return 0 if not arguments.simulate else 130
    except _FOR_PEOPLE as error:
        print(f"quorum demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or data
        print(f"quorum demo: {where} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        supervisor.stop()
        remove_socket(started.get("redis", ""))
        if lock:
            lock.release()


def start(
    supervisor: Supervisor, data: Path, ports: tuple[int, int], started: dict[str, str]
) -> Running:
    """Start all services, import the brain and connect the project, or find them as they were.

    `started` learns what must be cleaned up, also if a later step fails.
    Raises ServiceError, SettingsError, LabelStudioError, DemoDataError, OSError, among others.
    """
    label_studio_port, backend_port = ports
    # What is wrong with a setting is told before anything is started.
    Settings.from_environment({**os.environ, **_NOT_ANOTHERS})
    redis_url = os.environ.get("QUORUM_REDIS_URL", "")
    _refuse_workers(redis_url)
    state = load_state(data)
    account = Account(state["email"], state["password"], state["token"])
    _say("Starting Label Studio and Redis …")
    url = start_label_studio(supervisor, data, label_studio_port, account)
    if not redis_url:
        redis_url = started["redis"] = start_redis(supervisor, data)
    _say("Reading the demo's DICOM …")
    key_file = data / "importer.key"
    if not (data / "dicom").is_dir():
        brain.write_series(data / "dicom.part")
        (data / "dicom.part").rename(data / "dicom")
    report = import_dicom(data / "dicom", data / "import", key_file)
    await_http(supervisor, "Label Studio", f"{url}/health", 420)
    environment = environment_of(data, state["secrets"], redis_url, url, account.token)
    settings = Settings.from_environment({**os.environ, **environment})
    label_studio = LabelStudio(url, account.token)
    project_id = _project(label_studio, state, data)
    new = send(report.tasks, data / "import", label_studio, project_id)
    if new:  # for the page, as the import command does
        counts.note(data, project_id, counts.counts_of([], [], report))
    _say(f"{new} new slices in Label Studio. Starting the backend and a worker …")
    backend_url = start_backend(supervisor, data, environment, "127.0.0.1", backend_port)
    connect_project(settings, label_studio, project_id, backend_url)
    key = bytes.fromhex(key_file.read_text().strip())
    known = {**settings_of(os.environ), **environment}
    return Running(supervisor, settings, label_studio, project_id, account, backend_url, key, known)


def _refuse_workers(redis_url: str) -> None:
    """A deployment's workers would take the demo's rounds. Raises ServiceError."""
    try:
        busy = bool(redis_url) and Worker.count(
            connection=Redis.from_url(redis_url, socket_connect_timeout=2.0, socket_timeout=5.0)
        )
    except RedisError:
        return  # one that does not answer is told later, by whoever needs it
    if busy:
        raise ServiceError(
            "a deployment works with the Redis of QUORUM_REDIS_URL: unset that, and the demo "
            "starts one of its own"
        )


def environment_of(
    data: Path, secrets_of: Mapping[str, str], redis_url: str, url: str, token: str
) -> dict[str, str]:
    """What the backend is told, above what the shell says."""
    return {
        **_NOT_ANOTHERS,
        **secrets_of,
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(data.resolve()),
        "LABEL_STUDIO_URL": url,
        "LABEL_STUDIO_API_KEY": token,
    }


def _project(label_studio: LabelStudio, state: dict[str, Any], data: Path) -> int:
    if state.get("project") in label_studio.project_ids():
        return int(state["project"])
    config = (CLONE / "label_config.xml").read_text()
    state["project"] = label_studio.create_project(_TITLE, config)
    save_state(data, state)
    return int(state["project"])


def _stay(running: Running) -> int:
    project = f"{running.label_studio.url}/projects/{running.project_id}"
    secrets_of = running.settings
    print(
        f"\nLabel Studio   {project}/data\n"
        f"  sign in as   {running.account.email}\n"
        f"  password     {running.account.password}\n"
        f"Progress       {running.backend_url}/progress/{running.project_id}\n"
        f"  user         {secrets_of.basic_auth_user}\n"
        f"  password     {secrets_of.basic_auth_password}\n\n"
        f'Press "Label All Tasks". After {secrets_of.evaluation_slices} evaluation slices and '
        f"{secrets_of.due_after} more the committee\ntrains, drafts every slice and reorders the "
        "queue. Ctrl-C stops everything; the next\nstart finds your labels again.",
        flush=True,
    )
    while True:
        running.supervisor.check()
        time.sleep(1)


def _simulate(running: Running, rounds: int, file: Path | None) -> int:
    server, url = running.label_studio, running.label_studio.url
    annotators = [
        sign_up(url, running.account.token, f"annotator{n}@demo.example")[0]
        for n in range(1, _ANNOTATORS + 1)
    ]
    simulation = Simulation(
        running.settings,
        server,
        running.project_id,
        annotators,
        reference_of(running.key),
        running.supervisor.check,
        lambda line: print(line, flush=True),
    )
    rows: list[dict[str, Any]] = []
    try:
        rows = simulation.run(rounds)
    finally:
        if file is not None:
            file.write_text(json.dumps({"rounds": rows}, indent=1))
    faults = check(rows, rounds)
    for fault in faults:
        print(f"quorum demo: {fault}", file=sys.stderr)
    for before, after in itertools.pairwise(rows):
        if (after["mean_iou"] or 0) <= (before["mean_iou"] or 0):
            print(f"Mean IoU did not rise in round {after['round']}.")
    unit = rows[-1]["held_out_unit"] if rows else "?"
    print(
        f"Evaluated on {rows[-1]['evaluated_on'] if rows else 0} held-out slices; there is one "
        f"patient, so the held-out unit is the {unit}, not the patient: a real project's figures "
        "are harder won."
    )
    return 1 if faults else 0


def reference_of(key: bytes) -> Any:
    """What a perfect annotator draws for a task: the brain's tissue map, found by pseudonym."""
    maps = {pseudonym(key, "instance", uid): drawn for uid, drawn in brain.reference().items()}

    def reference(data: Mapping[str, Any]) -> LabelMap:
        return maps[str(data["instance"])]

    return reference


def _ports(arguments: argparse.Namespace) -> tuple[int, int]:
    """Label Studio's port and the backend's; an unattended run takes free ones if not told."""
    chosen = []
    for option, given, usual in (
        ("--port", arguments.port, 8080),
        ("--backend-port", arguments.backend_port, 9090),
    ):
        port = given or (free_port() if arguments.simulate else usual)
        if trouble := port_trouble(port, option):
            raise ServiceError(trouble)
        chosen.append(port)
    return chosen[0], chosen[1]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum demo",
        description="Start Redis, Label Studio, the ML backend and a worker on this machine, with "
        "a brain to label; or let simulated annotators label it.",
    )
    parser.add_argument("--simulate", action="store_true", help="run unattended, then stop")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to simulate (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the simulated rounds to this file")
    parser.add_argument("--port", type=port_number, help="Label Studio's port (8080)")
    parser.add_argument("--backend-port", type=port_number, help="the backend's port (9090)")
    parser.add_argument(
        "--data", type=Path, help="data folder (.quorum/demo, of a simulation .quorum/simulation)"
    )
    return parser
