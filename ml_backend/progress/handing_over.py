"""Once enough is labelled: annotate the rest, take the data set home, let others look."""

from __future__ import annotations

from ..settings import parse_setting
from .action import ActionError, Done, Field, Scene, form_field
from .rounds_by_hand import keep
from .shares import LONGEST_DAYS, make_link, revoke_links

_INCLUDE = (
    ("labelled", "those that people have labelled"),
    ("all", "the committee's masks of the others too, marked as such"),
)


def annotate_rest(scene: Scene) -> Done:
    """Ask for the committee's masks of the rest. Raises SettingsError, JobsError."""
    made_as = scene.values.get("as") or scene.project.settings.rest_as
    keep(scene, {"rest_as": parse_setting("rest_as", made_as)})
    scene.project.jobs.errands.request_rest(scene.project.project_id, made_as)
    return Done("The committee annotates the rest. This page shows how far it is.", f"as {made_as}")


def undo_rest(scene: Scene) -> Done:
    """Ask to take them back. Raises JobsError."""
    scene.project.jobs.errands.request_rest_undo(scene.project.project_id)
    return Done("What the committee made of the rest is taken back.")


def cancel_rest(scene: Scene) -> Done:
    """Stop making them. Raises JobsError, StoreError."""
    scene.project.jobs.errands.cancel_rest(scene.project.project_id)
    return Done("It stops. What is made stays until you take it back.")


def export(scene: Scene) -> Done:
    """Ask for a data set. Raises ActionError, JobsError."""
    name = scene.values.get("format", "")
    if name not in dict(export_formats()):
        raise ActionError("choose one of the formats that the page lists")
    include = scene.values.get("include", "labelled")
    if include not in dict(_INCLUDE):
        raise ActionError("choose which slices are to be in it")
    scene.project.jobs.errands.request_export(scene.project.project_id, name, include)
    return Done("The data set is being prepared. A link appears on this page.", f"{name} {include}")


def share(scene: Scene) -> Done:
    """Make a read-only link. Raises ActionError, StoreError."""
    text = scene.values.get("days", "7")
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ActionError(f"a link is good for 1 to {LONGEST_DAYS} days")
    try:
        path = make_link(scene.project.common, scene.project.project_id, int(text))
    except ValueError as error:
        raise ActionError(str(error)) from None
    # The link itself is a secret: the history says only that there is one.
    days = f"{int(text)} days" if int(text) != 1 else "1 day"
    return Done(f"Whoever has this link sees the project for {days}.", days, link=path)


def revoke(scene: Scene) -> Done:
    """End all read-only links. Raises StoreError."""
    revoke_links(scene.project.store)
    return Done("All read-only links of this project have ended.")


def export_formats() -> list[tuple[str, str]]:
    """Names and titles of the formats there are."""
    from ..export.formats import FORMATS

    return [(name, found.summary) for name, found in FORMATS.items() if found.alone]


def as_field(scene: Scene) -> list[Field]:
    """What the masks are made as."""
    options = (
        {"value": "predictions", "label": "as drafts, which a person still submits"},
        {"value": "annotations", "label": "as annotations, marked as the committee's"},
    )
    made_as = scene.project.settings.rest_as
    return [form_field(scene, "as", "Make them", "choice", made_as, options=options)]


def format_field(scene: Scene) -> list[Field]:
    """The formats to choose from."""
    options = [{"value": name, "label": f"{name}: {title}"} for name, title in export_formats()]
    which = [{"value": value, "label": label} for value, label in _INCLUDE]
    return [
        form_field(scene, "format", "Format", "choice", "png", options=options),
        form_field(scene, "include", "Slices", "choice", "labelled", options=which),
    ]


def days_field(scene: Scene) -> list[Field]:
    """How long a link holds."""
    limits = {"min": 1, "max": LONGEST_DAYS, "step": "1"}
    return [form_field(scene, "days", "Days", "number", "7", "Then the link ends.", **limits)]
