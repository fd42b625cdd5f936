"""What can be done from the page, in words; and doing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError

from ..figures.quality import QUALITY
from ..jobs import JobsError
from ..jobs.errors import DOWN
from ..settings import SettingsError
from ..store import StoreError
from . import handing_over as over
from . import history
from . import rounds_by_hand as hand
from .action import Action, ActionError, Done, Scene

log = logging.getLogger(__name__)


def shown(scene: Scene) -> dict[str, dict[str, Any]]:
    """All actions for the page, by name."""
    return {name: action.shown(name, scene) for name, action in ACTIONS.items()}


def perform(name: str, scene: Scene, who: str) -> Done:
    """Do an action, and keep in the history who did it.

    Raises ActionError if it makes no sense now or a value is refused, JobsError, StoreError.
    """
    action = ACTIONS[name]
    why_not = action.why_not(scene)
    if why_not:
        raise ActionError(why_not)
    try:
        done = action.run(scene)
    except SettingsError as error:
        raise ActionError(hand.in_words(str(error))) from None
    except RedisError:
        raise JobsError(f"{DOWN}, then ask again") from None
    project = scene.project
    try:
        history.record(project.jobs, project.store, project.project_id, who, name, done.details)
    except StoreError as error:  # it is done; nobody should be told that it is not
        log.warning("project %d: %s is not in the history: %s", project.project_id, name, error)
    return done


def _if(refused: Callable[[Scene], bool], why: str) -> Callable[[Scene], str | None]:
    return lambda scene: why if refused(scene) else None


def _no_version(scene: Scene) -> bool:
    return scene.project.store.current() is None


def _rest_refused(scene: Scene) -> str | None:
    current = scene.project.store.current()
    rows = scene.project.store.figures(QUALITY).get("versions", [])
    if not any(row["version"] == current and row["training"] for row in rows):
        return "no version that was trained drafts yet: label the first slices"
    if scene.rest_state in ("running", "undoing"):
        return "it is under way"
    return None


ACTIONS: Mapping[str, Action] = {
    "train": Action(
        "Train now",
        "Train now",
        (
            "A round begins, whatever the number of new labels.",
            "Annotators go on meanwhile. The new drafts and the new order come at its end.",
        ),
        hand.train,
    ),
    "stop": Action(
        "Stop the round",
        "Stop the round",
        (
            "The round that runs ends, and none waits.",
            "What it has trained is kept. The drafts and the order stay as they are.",
            "No round begins by itself for an hour.",
        ),
        hand.stop,
        danger=True,
        why_not=_if(lambda scene: not scene.under_way, "no round is running"),
    ),
    "pause": Action(
        "Pause",
        "Pause",
        (
            "No round begins by itself until you resume. Train now still works.",
            "Annotators go on with the order there is. A round that runs ends as usual.",
        ),
        hand.pause,
        why_not=_if(lambda scene: scene.project.settings.paused, "it is paused already"),
    ),
    "resume": Action(
        "Resume",
        "Resume",
        ("Rounds begin by themselves again when enough is labelled.",),
        hand.resume,
        why_not=_if(lambda scene: not scene.project.settings.paused, "it is not paused"),
    ),
    "settings": Action(
        "Settings",
        "Keep these settings",
        ("They hold for this project alone, from the next round on. Empty: the common setting.",),
        hand.change,
        fields=hand.setting_fields,
    ),
    "rollback": Action(
        "Roll back",
        "Roll back",
        (
            "This older version drafts and orders again, until new labels come.",
            "A round that runs ends. No label and no version is lost.",
        ),
        hand.roll_back,
        danger=True,
        fields=hand.version_field,
        why_not=_if(_no_version, "there is no version yet"),
    ),
    "annotate-rest": Action(
        "Annotate the rest",
        "Annotate the rest",
        (
            "The committee makes a mask for each slice that nobody has labelled.",
            "The least certain ones come first for review. It can be stopped and taken back.",
        ),
        over.annotate_rest,
        fields=over.as_field,
        why_not=_rest_refused,
    ),
    "undo-rest": Action(
        "Take the rest back",
        "Take it back",
        (
            "The masks that the committee made of the rest are removed.",
            "What people have changed or submitted stays.",
        ),
        over.undo_rest,
        danger=True,
        why_not=_if(
            lambda scene: scene.rest_state not in ("done", "failed", "cancelled"),
            "there is nothing to take back",
        ),
    ),
    "cancel-rest": Action(
        "Stop annotating the rest",
        "Stop",
        ("It stops where it is. What is made stays, and can be taken back or gone on with.",),
        over.cancel_rest,
        why_not=_if(lambda scene: scene.rest_state != "running", "it is not under way"),
    ),
    "share": Action(
        "Read-only link",
        "Make a link",
        (
            "Whoever has the link sees this page of this project, and can change nothing.",
            "It shows annotators by name, or by e-mail where Label Studio has no name, and who did "
            "what, unless names are hidden (Settings).",
            "It ends by itself. You can end all links of the project at any time.",
        ),
        over.share,
        fields=over.days_field,
    ),
    "revoke-links": Action(
        "End all links",
        "End all links",
        ("Every read-only link of this project ends now, for everybody who has one.",),
        over.revoke,
        danger=True,
    ),
    "export": Action(
        "Prepare the data set",
        "Prepare it",
        (
            "Images and masks are put into one file with a manifest and a data sheet.",
            "It is kept on the machine of the worker that makes it until newer ones replace it.",
        ),
        over.export,
        fields=over.format_field,
    ),
}
