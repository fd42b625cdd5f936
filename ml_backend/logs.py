"""Log lines, as text or as JSON, that no patient's data and no secret gets into.

The texts of unforeseen errors may quote what was being read: of them the type and the place are
logged, never the words. Quorum's own errors are written for people and are logged as they are.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import warnings
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TextIO

from .settings import Settings, SettingsError

TEXT, JSON = "text", "json"
_OURS = ("ml_backend", "importer", "dicom", "launcher", "__main__")
# Their words say which server does not answer, and quote nothing.
_HARMLESS = frozenset({"redis.exceptions.ConnectionError", "redis.exceptions.TimeoutError"})
# A line for each request, image or tick; and what is below a warning is for their developers.
_CHATTY = (
    "PIL",
    "aiobotocore",
    "asyncio",
    "botocore",
    "fsspec",
    "highdicom",
    "httpcore",
    "httpx",
    "matplotlib",
    "pydicom",
    "pynetdicom",
    "rq.cron",
    "s3fs",
    "urllib3",
    "waitress",
    "werkzeug",
)
_FIELDS = ("project", "version", "step", "job")  # of `extra`
_PROJECT = re.compile(r"project (\d+): ")
_USER_IN_URL = re.compile(r"(?<=://)[^\s/@]+@")
_QUERY = re.compile(r"(?<=[\w/.~%-])\?[^\s'\"<>)\]]*=[^\s'\"<>)\]]*")
_KIND = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")  # how a traceback names the error's type
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def set_up(settings: Settings) -> None:
    """Log to standard error from INFO up, in the format of the settings.

    A process that has set up logging already keeps what it has: only libraries are quieted.
    Raises SettingsError if the format is unknown.
    """
    make = _formatter(settings.log_format)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    if any(not isinstance(handler, _StandardError) for handler in root.handlers):
        return
    root.handlers = [_handler(make)]
    root.setLevel(logging.INFO)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warned


def type_and_place(error: BaseException) -> str:
    """What of an error may be logged: its type and where it was raised, and none of its words."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" at {_place(trace)}" if trace else ""
    return f"{type(error).__name__}{place}"


def places_of(traceback: str) -> str:
    """What of a printed traceback may be kept: the places, and the last error's type."""
    lines = traceback.splitlines()
    places = [line for line in lines if line.startswith('  File "')]
    after = lines[lines.index(places[-1]) + 1 :] if places else lines
    kinds = [found[0] for line in after if (found := _KIND.match(line))]
    return "\n".join([*places, *kinds[:1]])


class _StandardError(logging.StreamHandler[TextIO]):
    """Standard error as it is at the time of the line."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        # logging's own would print the arguments that could not be formatted.
        sys.stderr.write(f"a log line of {record.name}, line {record.lineno}, cannot be made\n")


class _Text(logging.Formatter):
    """Time, logger and message, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {record.name} {_message(record)}"


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        # Lines about a project begin with it.
        if (found := _PROJECT.match(message)) is not None:
            line["project"] = int(found[1])
        line.update({f: getattr(record, f) for f in _FIELDS if getattr(record, f, None)})
        return json.dumps(line, ensure_ascii=False, default=str)


def _formatter(name: str) -> logging.Formatter:
    if name not in (TEXT, JSON):
        raise SettingsError(f"QUORUM_LOG_FORMAT must be {TEXT} or {JSON}: it is {name!r}")
    return _Json() if name == JSON else _Text()


def _handler(make: logging.Formatter) -> _StandardError:
    handler = _StandardError()
    handler.setFormatter(make)
    return handler


def _message(record: logging.LogRecord) -> str:
    """A record's words, on one line: errors by what may be told, no query strings, no users."""
    args: Any = record.args
    if isinstance(args, tuple):
        args = tuple(_told(value) for value in args)
    elif isinstance(args, dict):
        args = {name: _told(value) for name, value in args.items()}
    text = str(_told(record.msg))
    try:
        text = text % args if args else text
    except (KeyError, TypeError, ValueError):
        text = f"what {record.pathname}:{record.lineno} logs cannot be written"
    if not record.name.startswith(_OURS):
        # Libraries put tracebacks below their first line.
        text = text.split("\n", 1)[0].rstrip()
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}: {_told(record.exc_info[1])}"
    text = _USER_IN_URL.sub("", _QUERY.sub("", text))
    return _CONTROL.sub(" ", text)  # nobody's name or address makes a second line


def _told(value: Any) -> Any:
    """An argument of a line; an error that is not Quorum's own as its type and place."""
    if not isinstance(value, BaseException):
        return value
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__}
    if type(value).__module__.split(".")[0] in _OURS or names & _HARMLESS:
        return str(value)
    return type_and_place(value)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("ended by %s", error.with_traceback(trace))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        logging.getLogger(__name__).error("a thread ended by %s", arguments.exc_value)


def _unraisable(arguments: Any) -> None:
    logging.getLogger(__name__).error("while cleaning up: %s", arguments.exc_value)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("warnings").warning("%s at %s:%d", category.__name__, filename, lineno)


def _place(trace: TracebackType) -> str:
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
