"""The virtual environments in the clone; standard library only, for nothing is installed yet."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import CLONE

LABEL_STUDIO = "label-studio==1.23.2"
_PIP_PROGRESS_S = 10.0  # how often a line tells how far it is where there is no terminal


class SetupError(RuntimeError):
    """An environment cannot be made; the message says why and the remedy."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment and the pip installs that fill it, in order."""

    name: str
    installs: tuple[tuple[str, ...], ...]
    needs_gib: float

    @property
    def folder(self) -> Path:
        """Where it lies in the clone."""
        return CLONE / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def version(self) -> str:
        """Of the Python that it was made with, as 3.11.7; "" if there is none, or it has gone.

        An upgrade of the system leaves 3.12 where 3.11 was, and that finds no package here.
        """
        try:
            lines = (self.folder / "pyvenv.cfg").read_text().splitlines()
            there = self.python.resolve(strict=True).name
        except (OSError, ValueError):
            return ""
        told = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
        made = told.get("version") or told.get("version_info", "")  # the latter is of other tools
        series = ".".join(made.split(".")[:2])
        other = re.fullmatch(r"python(3\.\d+)", there)
        return "" if other and other[1] != series else made

    def stamp(self) -> str:
        """Changes whenever the environment must be made or completed anew.

        Whichever Python this one is, and however it was built: another may be first on PATH.
        """
        digest = hashlib.sha256(self.version().encode())
        for install in self.installs:
            for word in install:
                file = CLONE / word
                digest.update(file.read_bytes() if file.is_file() else word.encode())
        return digest.hexdigest()

    def is_ready(self) -> bool:
        """Whether it was made to the end from the requirements as they are now."""
        try:
            kept = (self.folder / ".quorum-stamp").read_text()
        except OSError:
            return False
        return bool(self.version()) and kept == self.stamp()


QUORUM = Environment(
    ".venv",
    (
        # Exact versions where they were tested; the stamp changes with the file.
        ("-c", "constraints.txt", "-r", "requirements.txt"),
        ("-c", "constraints.txt", "--no-deps", "-r", "requirements-no-deps.txt"),
    ),
    needs_gib=2.5,
)
LABEL_STUDIO_ENVIRONMENT = Environment(".venv-label-studio", ((LABEL_STUDIO,),), needs_gib=1.5)


def ensure(*environments: Environment) -> None:
    """Make the environments that are not ready, at the same time, and show how far it is.

    Raises SetupError: too little disk, no network, a package that cannot be installed.
    """
    if all(environment.is_ready() for environment in environments):
        return
    with _one_at_a_time():
        missing = [e for e in environments if not e.is_ready()]
        if not missing:
            return
        free_gib = shutil.disk_usage(CLONE).free / 2**30
        needed = sum(e.needs_gib for e in missing)
        if free_gib < needed:
            raise SetupError(
                f"{needed:.1f} GiB of disk are needed to set up, {free_gib:.1f} GiB are free in "
                f"{CLONE}: make room, then run the command again"
            )
        jobs = [_Job(environment) for environment in missing]
        for job in jobs:
            job.thread.start()
        _show(jobs)
        failures = [job.failure for job in jobs if job.failure]
        if failures:
            raise SetupError("\n".join(failures))


class _Job:
    """The making of one environment, in a thread of its own."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.doing = "starting"
        self.failure = ""
        self.log = CLONE / ".quorum" / "logs" / f"setup{environment.name}.log"
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._make()
        except SetupError as error:
            self.failure = str(error)
        except OSError as error:
            self.failure = f"{self.environment.name} cannot be made: {error.strerror}"

    def _make(self) -> None:
        environment = self.environment
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            if not environment.version():
                made = subprocess.run(
                    [sys.executable, "-m", "venv", "--clear", str(environment.folder)],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
                if made.returncode:
                    shutil.rmtree(environment.folder, ignore_errors=True)
                    raise SetupError(
                        "Python's venv module does not work: on Debian and Ubuntu install "
                        f"python3-venv (details in {self.log})"
                    )
            for install in environment.installs:
                self._pip(install, log)
        (environment.folder / ".quorum-stamp").write_text(environment.stamp())

    def _pip(self, install: Sequence[str], log: object) -> None:
        command = [
            str(self.environment.python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
            *install,
        ]
        with subprocess.Popen(
            command,
            cwd=CLONE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", file=log, flush=True)  # type: ignore[call-overload]
                if line.startswith(("Collecting", "Downloading", "Installing", "Building")):
                    self.doing = line.strip()[:60]
        if process.returncode:
            raise SetupError(_explain(self.environment, self.log))


def _explain(environment: Environment, log: Path) -> str:
    text = log.read_text(errors="replace")
    if "No space left" in text:
        why = "the disk is full: make room, then run the command again"
    elif any(
        words in text
        for words in (
            "NewConnectionError",
            "Name or service not known",
            "Temporary failure",
            "ConnectTimeout",
            "Network is unreachable",
            "ProxyError",
        )
    ):
        why = "the package index cannot be reached: check the network, or pip's own settings"
    else:
        why = "pip could not install a package"
    return f"setting up {environment.name} failed: {why} (details in {log})"


def _show(jobs: Sequence[_Job]) -> None:
    """One live line on a terminal, else a line every ten seconds."""
    started = time.monotonic()
    live = sys.stderr.isatty()
    names = " and ".join(job.environment.name for job in jobs)
    print(f"Setting up {names}, once; this takes a few minutes.", file=sys.stderr)
    told = started
    while any(job.thread.is_alive() for job in jobs):
        for job in jobs:
            job.thread.join(0.25)
        now = time.monotonic()
        doing = " | ".join(job.doing for job in jobs if job.thread.is_alive())
        if live:
            print(f"\r\033[K{now - started:4.0f} s  {doing[:100]}", end="", file=sys.stderr)
        elif now - told >= _PIP_PROGRESS_S and doing:
            print(f"{now - started:4.0f} s  {doing}", file=sys.stderr)
            told = now
    end = "\r\033[K" if live else ""
    print(f"{end}Set-up took {time.monotonic() - started:.0f} s.", file=sys.stderr)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two commands started at once must not fill the same environment."""
    path = CLONE / ".quorum" / "setup.lock"
    try:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SetupError(f"{CLONE} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
