"""One project: what it shows, whether its images come, and in which order it is labelled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..connection import Connection, connection_of
from ..gathering import Problem, read_images
from ..label_studio import SAMPLING, LabelStudio, LabelStudioError
from ..label_studio.attached import BACKEND_TITLE
from ..masks import BrushConfig, MaskError
from ..store import Store, is_version
from .deployment import Deployment
from .findings import CannotTellError, Check, Outcome, fails, ok, unknown


@dataclass
class Project:
    """A project of the deployment; what it is in Label Studio is read once."""

    deployment: Deployment
    id: int
    missing: bool = False  # found to be gone, or not visible

    @property
    def label_studio(self) -> LabelStudio:
        """Label Studio. Raises CannotTellError if it, or the project, is not there."""
        if self.missing:
            raise CannotTellError("the project cannot be seen")
        return self.deployment.label_studio

    @cached_property
    def connection(self) -> Connection | None:
        """How it is connected, as the store knows. Raises StoreError."""
        return connection_of(self.deployment.settings, self.id)

    @property
    def backend_url(self) -> str:
        """The backend's address as Label Studio is to call it."""
        deployment = self.deployment
        if deployment.asked_backend_url or not self.connection or not self.connection.backend_url:
            return deployment.backend_url
        return self.connection.backend_url

    @cached_property
    def record(self) -> dict[str, Any]:
        """Label Studio's record. Raises LabelStudioError."""
        return self.label_studio.project(self.id)

    @property
    def connect(self) -> str:
        """The command that mends most."""
        return f"./quorum connect {self.id} --backend-url {self.backend_url}"


def visible(project: Project) -> Outcome:
    """The token's user sees it, may change it, and may write predictions."""
    try:
        tasks = int(project.record.get("task_number") or 0)
    except LabelStudioError as error:
        if error.status in (401, 403, 404):
            project.missing = True
        if error.status == 404:
            return fails(
                f"Label Studio has no project {project.id} that the token's user can see",
                f"Check the number, or add the user to it. If it was deleted: "
                f"./quorum disconnect {project.id}",
            )
        raise
    try:
        project.label_studio.may_write_predictions(project.id)
    except LabelStudioError as error:
        if error.status not in (401, 403):
            raise
        return fails(
            "the token's user may see it, but not write predictions",
            "Give this user the right to change the project, or use another's token.",
        )
    return ok(f"there, with {tasks} tasks; predictions may be written")


def label_config(project: Project) -> Outcome:
    """Its labelling interface has what masks need."""
    try:
        config = BrushConfig.parse(str(project.record["label_config"]))
    except MaskError as error:
        return fails(
            str(error),
            "Settings > Labeling Interface: an Image and BrushLabels for it, as in "
            "label_config.xml of Quorum.",
        )
    return ok(f"{len(config.labels)} labels to draw, images under '{config.image_key}'")


def order(project: Project) -> Outcome:
    """Label Studio hands the tasks out in the order of the current version."""
    record = project.record
    sampling, followed = str(record.get("sampling")), str(record.get("model_version") or "")
    if project.connection is not None and not project.connection.connected:
        return _of_disconnected(project, sampling, followed)
    current = Store(project.deployment.settings.store_root, project.id).current()
    waits = project.connection is not None and current is None
    if waits and record.get("task_number"):
        return unknown("no order has been made yet", "The first takes a minute after connecting.")
    if sampling != SAMPLING and not waits:
        return fails(
            f"tasks are served by '{sampling}', not by '{SAMPLING}': the order is ignored",
            project.connect,
        )
    if current is None:
        return ok("there are no tasks to order yet")
    labelled = int(record.get("num_tasks_with_annotations") or 0)
    all_labelled = labelled >= int(record.get("task_number") or 0)
    if followed == current:
        if all_labelled or project.label_studio.prediction_counts(project.id).get(current):
            return ok(f"{SAMPLING}, by {current}")
        return fails(
            f"no prediction of {current} is there, which the project follows",
            f"{project.connect}  (it asks for a look, which brings them back)",
        )
    if followed == BACKEND_TITLE:
        return fails(
            "the project follows the live backend: Label Studio then serves at random",
            f"{project.connect}  (or choose {current} under Settings > Predictions)",
        )
    if all_labelled:
        return ok(f"{SAMPLING}; every task is labelled")
    return fails(
        f"the project follows {followed or 'no version'}, but {current} is the current one",
        f"{project.connect}  (it asks for a look, which mends this)",
    )


def _of_disconnected(project: Project, sampling: str, followed: str) -> Outcome:
    """Of a project that was taken off: nothing of ours is to be its order."""
    if is_version(followed):
        return fails(
            f"the project is disconnected, but still follows {followed}",
            f"./quorum disconnect {project.id}",
        )
    return unknown(
        f"the project is disconnected: Label Studio serves its tasks by '{sampling}'",
        project.connect,
    )


def images(project: Project) -> Outcome:
    """A task's image can be fetched and decoded."""
    config = BrushConfig.parse(str(project.record["label_config"]))
    task = project.label_studio.some_task(project.id)
    if task is None:
        return unknown("there is no task yet", "Import slices: ./quorum import --help")
    problems: list[Problem] = []
    for _, pixels in read_images(project.label_studio, [task], config, problems):
        height, width = pixels.shape[:2]
        return ok(f"task {task.id} has a readable image, {width} x {height}")
    found, _, remedy = problems[0].reason.partition(": ")
    return fails(
        f"task {task.id}: {found}",
        (remedy or "Import the slice again").rstrip(".") + ". Images come from Label Studio "
        "itself, or from a host named in QUORUM_IMAGE_HOSTS.",
    )


CHECKS = (
    Check("project", visible),
    Check("label config", label_config),
    Check("images", images),
    Check("order", order),
)
