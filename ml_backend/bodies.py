"""What may stand in a request's body, and what of it is wanted: every refusal is a clear 4xx.

A refusal names the field and the bound, and never quotes what was sent: it may be a patient's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    UnprocessableEntity,
    UnsupportedMediaType,
)

# A batch of tasks without masks stays far below.
MAX_BODY_BYTES = 64 * 2**20
MAX_DEPTH = 64  # a region of an annotation of a task stands at about 8
MAX_CONTAINERS = 1_000_000  # lists and objects: each takes memory, however short its text
MAX_TASKS = 10_000  # no backend drafts more in the 100 s that Label Studio waits
MAX_CONFIG_CHARACTERS = 1_000_000  # a label config is a page of text
_LARGEST_NUMBER = 10**18  # of a project or task; larger ones fit into no database
_LONGEST_NAME = 200
NOT_HTTP = "the body was not sent as HTTP says: send it again"

# A text without escapes, to be passed over as a whole, or what opens or closes a list or an object.
# A text that does not end runs to the body's end: tried again from each quote, it would cost its
# square. With escapes in the pattern each would cost memory for going back.
_STRUCTURE = re.compile(rb'"[^"]*(?:"|\Z)|[\[\]{}]')
_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_PROJECT = re.compile(r"([1-9][0-9]{0,17})(?:\.[0-9]{1,20})?(?:\.[0-9]{1,20})?")
_JOB = re.compile(r"look-[1-9][0-9]{0,17}|round-[1-9][0-9]{0,17}-[0-9]{1,18}")


def read_object(optional: bool = False) -> dict[str, Any]:
    """The JSON object that a request carries; an empty one if it is optional and there is none.

    Raises BadRequest, UnsupportedMediaType, RequestEntityTooLarge.
    """
    if (
        optional
        and request.content_length in (None, 0)
        and "Transfer-Encoding" not in (request.headers)
    ):
        return {}
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("the body must be JSON: send it as application/json")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        _too_large()
    try:
        content = request.get_data(cache=False)
    except RequestEntityTooLarge:
        _too_large()
    # Of one that does not say its length as much was read as is allowed, and no more.
    if request.content_length is None and len(content) >= MAX_BODY_BYTES:
        _too_large()
    return parse_object(content)


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object, strictly: no name twice, no NaN, no number or text that nothing can hold.

    Raises BadRequest, RequestEntityTooLarge.
    """
    _check_structure(content)
    try:
        found = json.loads(
            content.decode(),
            parse_constant=_no_number,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
    except UnicodeDecodeError:
        raise BadRequest("the body must be JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"the body is no JSON: see {place}") from None
    except ValueError:
        # Python reads no whole number of more than some thousand digits.
        raise BadRequest("a number in the body has too many digits") from None
    if not isinstance(found, dict):
        raise BadRequest("the body must be a JSON object")
    if _SUSPICIOUS.search(content):
        _check_texts(found)
    return found


def _check_structure(content: bytes) -> None:
    """Refuse what is nested too deep or has too many parts, before anything is made of it."""
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return
    depth = containers = 0
    content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    for match in _STRUCTURE.finditer(content):
        mark = content[match.start()]
        if mark in b"[{":
            depth, containers = depth + 1, containers + 1
            if depth > MAX_DEPTH:
                raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
            if containers > MAX_CONTAINERS:
                raise RequestEntityTooLarge(
                    f"the body has more than {MAX_CONTAINERS:,} lists and objects: send less at "
                    "once"
                )
        elif mark in b"]}":
            depth -= 1


def _no_number(text: str) -> NoReturn:
    raise BadRequest("the body holds NaN or Infinity, which is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise BadRequest("a number in the body is too large")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("an object in the body has a name twice")
    return found


def _check_texts(value: Any) -> None:
    """Refuse texts that no file name, database or UTF-8 can hold."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.keys()
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif isinstance(item, str):
            if "\0" in item:
                raise BadRequest("a text in the body holds the character NUL")
            if any("\ud800" <= character <= "\udfff" for character in item):
                raise BadRequest("a text in the body holds half a character")


def _too_large() -> NoReturn:
    raise RequestEntityTooLarge(
        f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB: send fewer tasks at once"
    )


# -- what is wanted of it -----------------------------------------------------------------------


def project_id_of(body: Mapping[str, Any]) -> int:
    """The project's number: webhooks carry its object, setup and predict "ID.createdTimestamp".

    Raises BadRequest.
    """
    project = body.get("project")
    value = project.get("id") if isinstance(project, dict) else project
    if type(value) is int and 0 < value < _LARGEST_NUMBER:
        return value
    match = _PROJECT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadRequest("'project' is missing, or is no project's number")
    return int(match[1])


def event_of(body: Mapping[str, Any]) -> str:
    """The name of a webhook's event. Raises BadRequest."""
    event = body.get("action")
    if not isinstance(event, str) or not 0 < len(event) <= _LONGEST_NAME:
        raise BadRequest("'action' is missing: this is no webhook of Label Studio's")
    return event


def tasks_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tasks to be drafted, each with its data; an id, where there is one, is a number.

    Raises BadRequest, RequestEntityTooLarge.
    """
    tasks = body.get("tasks")
    if not isinstance(tasks, list):
        raise BadRequest("'tasks' must be a list of tasks")
    if len(tasks) > MAX_TASKS:
        raise RequestEntityTooLarge(
            f"'tasks' has {len(tasks):,} tasks: select {MAX_TASKS:,} at most in the Data Manager"
        )
    return [_task(task, number) for number, task in enumerate(tasks, start=1)]


def _task(task: Any, number: int) -> dict[str, Any]:
    if not isinstance(task, dict):
        raise BadRequest(f"'tasks' must be a list of tasks: the {number}. is none")
    if not isinstance(task.get("data") or {}, dict):
        raise BadRequest(f"'tasks': the {number}. has data that is no object")
    task_id = task.get("id")
    if isinstance(task_id, str) and _NUMBER.fullmatch(task_id):
        task_id = int(task_id)
    if task_id is not None and not (type(task_id) is int and 0 <= task_id < _LARGEST_NUMBER):
        raise BadRequest(f"'tasks': the {number}. has an id that is no task's number")
    return {**task, "id": task_id}


def context_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was drawn so far with an interactive tool, None without one."""
    params = body.get("params")
    context = params.get("context") if isinstance(params, dict) else None
    return context if isinstance(context, dict) else None


def label_config_of(body: Mapping[str, Any], name: str) -> str | None:
    """A label config under its name, None without one.

    Raises BadRequest, RequestEntityTooLarge, UnprocessableEntity.
    """
    config = body.get(name)
    if config is None:
        return None
    if not isinstance(config, str):
        raise BadRequest(f"'{name}' must be a label config, which is text")
    if len(config) > MAX_CONFIG_CHARACTERS:
        raise RequestEntityTooLarge(
            f"'{name}' has {len(config):,} characters: {MAX_CONFIG_CHARACTERS:,} at most"
        )
    # Wherever it stands: what looks like a comment may be within something else.
    if "<!DOCTYPE" in config or "<!ENTITY" in config:
        raise UnprocessableEntity("the label config declares a DOCTYPE: remove it")
    return config


def job_of(name: Any) -> str:
    """A job's name as fit() gives it. Raises BadRequest."""
    if not isinstance(name, str) or not _JOB.fullmatch(name):
        raise BadRequest("'job' is missing, or is no job's name")
    return name
