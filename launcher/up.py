"""``./quorum up``: the backend and its workers for the user's own Label Studio."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from . import CLONE
from .data_lock import DataLock
from .kept_secrets import load_secrets
from .processes import ServiceError, Supervisor, port_number, stop_on_signals
from .services import remove_socket, start_backend, start_redis


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where ``up`` keeps its store, logs and secrets."""
    return Path(environment.get("QUORUM_DATA_DIR") or ".quorum")


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment are settings of Quorum's."""
    return {k: v for k, v in environment.items() if k.startswith(("QUORUM_", "LABEL_STUDIO_"))}


def with_running_settings(
    module: str, arguments: Sequence[str], backend: bool = True, or_demo: bool = True
) -> int:
    """Run a module's main() with the settings of the running ``up`` or demo.

    What the environment says itself comes first. Without `backend` it may also run without one,
    with the secrets that are kept; without `or_demo` those come before a demo that runs below them.
    """
    data = data_folder()
    try:
        running, deployed = _running(data), (data / "secrets.json").exists()
        if not running and (or_demo or not deployed):
            running = _running(data / "demo")
        if not running and not deployed:
            running = _running(CLONE / ".quorum" / "demo")  # whatever data folder is set
        if running:
            os.environ["QUORUM_DATA_DIR"] = running["QUORUM_DATA_DIR"]
            for name, value in running.items():
                os.environ[name] = os.environ.get(name) or value
        elif deployed:
            os.environ.update(load_secrets(data))
    except ServiceError as error:
        print(f"quorum: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"quorum: {error.filename or data} cannot be read ({error.strerror}): run it as the "
            "user who runs Quorum",
            file=sys.stderr,
        )
        return 1
    asks_for_help = "-h" in arguments or "--help" in arguments
    if backend and not os.environ.get("QUORUM_REDIS_URL") and not asks_for_help:
        print(
            "quorum: the backend is not running here: start ./quorum up first, or set "
            "QUORUM_REDIS_URL",
            file=sys.stderr,
        )
        return 1
    return int(import_module(module).main(arguments))


def _running(data: Path) -> dict[str, str] | None:
    """The settings of what runs with a data folder, None if nothing does."""
    try:
        notice = json.loads((data / "running.json").read_text())
        known = {str(name): str(value) for name, value in notice["environment"].items()}
        return known if known["QUORUM_DATA_DIR"] and DataLock.is_held(data) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def shown_password(password: str) -> str:
    """It, on a terminal; elsewhere where it stands, for a service's output is kept in a journal."""
    if sys.stdout.isatty():
        return password
    if os.environ.get("QUORUM_BASIC_AUTH_PASSWORD"):
        return "as in QUORUM_BASIC_AUTH_PASSWORD"
    return f"as in {data_folder() / 'secrets.json'}"


def _how_many(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers: give 0 or more")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum up``; its exit status."""
    parser = argparse.ArgumentParser(
        prog="quorum up",
        description="Start the ML backend and its workers for your own Label Studio, given by "
        "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (legacy or personal access token). Redis is "
        "embedded unless QUORUM_REDIS_URL is set.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=port_number, default=9090, help="port to listen on (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=_how_many, default=1, help="worker processes (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    from ml_backend.label_studio import LabelStudio, LabelStudioError
    from ml_backend.settings import Settings, SettingsError

    for variable, remedy in (
        ("LABEL_STUDIO_URL", "the address of your Label Studio"),
        ("LABEL_STUDIO_API_KEY", "the token under Account & Settings in Label Studio"),
    ):
        if not os.environ.get(variable):
            print(f"quorum up: {variable} is not set: set it to {remedy}", file=sys.stderr)
            return 1
    supervisor, embedded, lock = Supervisor(), "", None
    stop_on_signals()
    try:
        settings = Settings.from_environment()
        server = LabelStudio.of(settings)
        user, version = server.whoami(), server.version()
        lock = DataLock(data_folder())
        environment = load_secrets(data_folder())
        given = os.environ.get("QUORUM_REDIS_URL", "")
        if not given:
            embedded = start_redis(supervisor, data_folder())
        environment["QUORUM_REDIS_URL"] = given or embedded
        address = start_backend(
            supervisor,
            data_folder(),
            environment,
            arguments.host,
            arguments.port,
            arguments.workers,
        )
        folder = {"QUORUM_DATA_DIR": str(data_folder().resolve())}
        lock.announce(address, {**settings_of(os.environ), **environment, **folder})
        print(f"Label Studio {version} at {settings.label_studio_url}, as {user}")
        print(f"The backend listens at {address}. Connect a project with")
        print("  ./quorum connect PROJECT")
        print(f"Progress: {address}/progress, user {environment['QUORUM_BASIC_AUTH_USER']},")
        print(f"  password {shown_password(environment['QUORUM_BASIC_AUTH_PASSWORD'])}")
        print("Ctrl-C stops it.", flush=True)
        while True:
            supervisor.check()
            time.sleep(1)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be closed
            print("\nStopping.", flush=True)
        return 0
    except (LabelStudioError, SettingsError, ServiceError) as error:
        text = str(error).replace("--backend-port", "--port")
        print(f"quorum up: {text}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or data_folder()
        print(f"quorum up: {where} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        supervisor.stop()
        remove_socket(embedded)
        if lock:
            lock.release()
