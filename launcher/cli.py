"""The commands of ``./quorum``; standard library only until the environment exists."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from . import CLONE
from .setup import LABEL_STUDIO_ENVIRONMENT, QUORUM, SetupError, ensure
from .system import TEST_PACKAGES, ensure_packages

_HELP = """\
Quorum: active learning for medical image segmentation inside your own Label Studio.

usage: ./quorum COMMAND [options]

  demo            set up and start everything on this machine, with a brain to label
  demo --simulate --rounds N --json FILE
                  the same unattended: simulated annotators go round N times
  up              start the backend for your own Label Studio
                  (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY)
  connect ID      connect a Label Studio project to the running backend
  disconnect ID   undo it: backend, webhook and order are taken off; labels and versions stay
  check [ID]      test what a deployment needs, and say what to do about each failing line
  project ID      status, train, cancel, versions, rollback, annotate-rest, share, …
  import SOURCE   de-identify DICOM; write PNGs and tasks, or send them to a project
  receive         let a PACS push DICOM (C-STORE), and import it as it comes
  release ID      import held objects that a person has looked at
  reveal ID       whom a pseudonym stands for, from the encrypted vault
  rotate-key      replace the hospital's key
  export ID       write a project's slices and masks as a data set
  return EXPORT   bring an export's masks back onto the original DICOM, in the hospital
  backup FILE     write versions and secrets (--hospital: key and vault) into one archive
  restore FILE    bring an archive back, checked before anything is written
  bench NAME      measure what the documentation claims:
                  active-learning, import, privacy, burned-in, fuzz,
                  campaign, growth, crowd, storm, faults, page,
                  training, scoring, latency, brush, gather, round
  test            set up what the tests need, and run them all
  COMMAND --help  a command's options
"""


def main() -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        print(
            f"quorum: there is no command {command!r}; ./quorum --help lists them", file=sys.stderr
        )
        return 2
    wants_help = any(argument in ("-h", "--help") for argument in rest)
    try:
        alone = command in ("demo", "test") or (command == "bench" and rest[:1] in _LIVE_BENCHES)
        ensure(QUORUM, *([LABEL_STUDIO_ENVIRONMENT] if alone and not wants_help else []))
    except SetupError as error:
        print(f"quorum: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if os.path.realpath(sys.prefix) != os.path.realpath(QUORUM.folder):
        os.execv(QUORUM.python, [str(QUORUM.python), "-m", "launcher", *arguments])
    # One place, whatever folder the command is called from: pseudonyms hang on the key there.
    os.environ.setdefault("QUORUM_DATA_DIR", str(CLONE / ".quorum"))
    try:
        return _COMMANDS[command](rest)
    except KeyboardInterrupt:
        return 130


def _demo(arguments: Sequence[str]) -> int:
    from demo.run import main as run

    return run(arguments)


def _up(arguments: Sequence[str]) -> int:
    from .up import main as run

    return run(arguments)


def _with_running_settings(module: str, backend: bool = True) -> Callable[[Sequence[str]], int]:
    def run(arguments: Sequence[str]) -> int:
        from .up import with_running_settings

        return with_running_settings(module, arguments, backend)

    return run


def _backup(command: str) -> Callable[[Sequence[str]], int]:
    def run(arguments: Sequence[str]) -> int:
        from .backup import COMMANDS

        return COMMANDS[command](arguments)

    return run


def _bench(arguments: Sequence[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(f"usage: quorum bench NAME [options]\n\nNAME: one of {', '.join(_BENCHES)}")
        print("./quorum bench NAME --help lists its options.")
        return 0
    if name not in _BENCHES:
        print(f"quorum bench: choose one of: {', '.join(_BENCHES)}", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = importlib.import_module(_BENCHES[name]).main
    return run(arguments[1:])


def _test(arguments: Sequence[str]) -> int:
    """ruff, mypy, then pytest, whose closing line comes last; all run whatever fails."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print("usage: quorum test [options of pytest, such as -k NAME or a file]\n")
        print("Installs what the tests need, then runs ruff, mypy and pytest.")
        return 0
    python = str(QUORUM.python)
    ensure_packages(TEST_PACKAGES)
    failed = []
    for check in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        print(f"$ {' '.join(check)}", flush=True)
        if subprocess.run([python, "-m", *check], cwd=CLONE, check=False).returncode:
            failed.append(" ".join(check))
    if failed:
        print(f"quorum test: failed: {', '.join(failed)}; going on with pytest", flush=True)
    print("$ pytest", flush=True)
    tests = subprocess.run([python, "-m", "pytest", *arguments], cwd=CLONE, check=False)
    return 1 if failed else tests.returncode


def _importer(command: str) -> Callable[[Sequence[str]], int]:
    def run(arguments: Sequence[str]) -> int:
        from importer.cli import COMMANDS

        return COMMANDS[command](arguments)

    return run


_BENCHES = {
    "active-learning": "bench.active_learning",
    "import": "bench.importing",
    "privacy": "bench.privacy",
    "burned-in": "bench.burned_in",
    "fuzz": "bench.fuzz",
    "campaign": "bench.campaign",
    "growth": "bench.growth",
    "crowd": "bench.crowd",
    "storm": "bench.storm",
    "faults": "bench.faults",
    "page": "bench.page",
    "training": "bench.training",
    "scoring": "bench.scoring",
    "latency": "bench.latency",
    "brush": "bench.brush",
    "gather": "bench.gather",
    "round": "bench.round",
}

# Those that start a Label Studio of their own.
_LIVE_BENCHES = (["crowd"], ["storm"], ["faults"], ["gather"], ["round"])

_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": _demo,
    "up": _up,
    "connect": _with_running_settings("ml_backend.connect"),
    "disconnect": _with_running_settings("ml_backend.disconnect", backend=False),
    "check": _with_running_settings("ml_backend.check", backend=False),
    "project": _with_running_settings("ml_backend.manage"),
    **{
        command: _importer(command)
        for command in ("import", "receive", "release", "reveal", "rotate-key", "return")
    },
    "export": _with_running_settings("ml_backend.export", backend=False),
    "backup": _backup("backup"),
    "restore": _backup("restore"),
    "bench": _bench,
    "test": _test,
}
