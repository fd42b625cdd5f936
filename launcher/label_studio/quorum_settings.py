"""Django settings of the demo's Label Studio: its own, and tasks handed out one request at a time.

Label Studio locks a task's row while it hands the task out (select_for_update), which SQLite, the
demo's database, does not have: two annotators who ask within the same few milliseconds get the same
task. It also lets nobody write while one does: with a write-ahead log nobody waits to read, and who
wants to write waits instead of being refused. With PostgreSQL none of this is needed. This file
runs in Label Studio's environment, not in Quorum's, and must import nothing of Quorum.
"""

import threading

# The base first: Label Studio asks for settings while its own are still being read.
from core.settings.base import *  # noqa: F403
from label_studio.core.settings.label_studio import *  # noqa: F403
from label_studio.core.settings.label_studio import DATABASES as _DATABASES
from label_studio.core.settings.label_studio import MIDDLEWARE as _MIDDLEWARE

DATABASES = _DATABASES
if "sqlite3" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        timeout=30,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        transaction_mode="IMMEDIATE",
    )

MIDDLEWARE = [*_MIDDLEWARE, "quorum_settings.one_task_at_a_time"]


# One for the process: Label Studio makes a second chain of middleware for paths without a slash.
_TURN = threading.RLock()


def one_task_at_a_time(get_response):
    """Middleware: only one request for a next task is answered at once in this process."""

    def respond(request):
        path = request.path.rstrip("/")
        by_action = path == "/api/dm/actions" and request.GET.get("id") == "next_task"
        if by_action or (path.startswith("/api/projects/") and path.endswith("/next")):
            with _TURN:
                return get_response(request)
        return get_response(request)

    return respond
