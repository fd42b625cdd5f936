"""A project's slices for an export, one after another: image, mask, and who made the mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from ..gathering import Grey, Problem, read_images
from ..label_studio import Annotation, LabelStudio, Task
from ..masks import MaskError, to_label_map
from ..masks.targets import Target, target_of
from ..settings import Settings
from ..store import Store, is_version
from ..survey import Survey, remembered, survey, unit_of
from .config_keys import keys_of
from .drafts import Made, drafts_of
from .formats import About, ExportError, Maker, Slice, Split, number_of, series_of
from .people import Numbers
from .task_data import exported

# Read at once: images with their annotators' masks lie in memory together.
_TASKS_AT_ONCE, _PIXELS_AT_ONCE = 50, 2**24
_USUAL_PIXELS = 512 * 512  # where the task does not say


@dataclass(frozen=True)
class Choice:
    """What is to be exported."""

    # "all": also slices whose mask is the committee's and that no person has looked at.
    include: Literal["labelled", "all"] = "labelled"
    known_data: bool = False  # of the tasks' data the importer's keys alone


@dataclass(frozen=True)
class Dataset:
    """What an export is made of; nothing but the list of tasks is in memory."""

    about: About
    total: int  # slices at most: some may turn out to be unusable
    _label_studio: LabelStudio
    _found: Survey
    _tasks: Sequence[Task]
    _made: Made
    _numbers: Numbers
    _choice: Choice
    _consensus: str
    _weights: Mapping[int, float]

    @classmethod
    def of(
        cls, settings: Settings, label_studio: LabelStudio, project_id: int, choice: Choice
    ) -> Dataset:
        """Read a project's tasks, and settle for good on which side its patients stand.

        `settings` are the project's own. Raises ExportError in another store than the backend's,
        LabelStudioError, MaskError, StoreError.
        """
        store = Store(settings.store_root, project_id)
        project = label_studio.project(project_id)
        followed = str(project.get("model_version") or "")
        if store.current() is None and is_version(followed):
            # Elsewhere other slices may be held out: a test set that was trained on.
            raise ExportError(
                f"Label Studio follows {followed}, but the store holds no version: run the export "
                "with the backend's own QUORUM_DATA_DIR or QUORUM_STORE_URL, and its settings"
            )
        found = survey(label_studio, project_id, settings)
        if _chosen(found, choice):
            # Who was handed over as evaluation must never be trained on by a later round.
            found = remembered(found, label_studio, settings)
        tasks = _chosen(found, choice)
        current = store.current()
        weighed = store.noted(current, "readers").get("weights", {}) if current else {}
        about = About(
            project_id=project_id,
            config=found.config,
            held_out_unit=found.held_out_unit,
            made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            version=current,
            label_config=str(project["label_config"]),
            tasks=_by_series(found.tasks, {series_of(task.id, task.data) for task in tasks}),
        )
        return cls(
            about=about,
            total=len(tasks),
            _label_studio=label_studio,
            _found=found,
            _tasks=sorted(tasks, key=_place),
            _made=Made.of(store),
            _numbers=Numbers(store),
            _choice=choice,
            _consensus=settings.consensus,
            _weights={int(who): float(weight) for who, weight in weighed.items()},
        )

    def slices(self) -> Iterator[Slice]:
        """Slices series by series, along their positions; what cannot be used is in the problems.

        Raises LabelStudioError.
        """
        sides: dict[int, Split] = {
            task.id: "evaluation" if out else "training"
            for task, out in zip(self._found.tasks, self._found.held_out, strict=True)
        }
        for part in _parts(self._tasks):
            by_task: dict[int, list[Annotation]] = defaultdict(list)
            ids = [task.id for task in part if task.annotations > 0]
            for annotation in self._label_studio.annotations(self.about.project_id, ids):
                by_task[annotation.task_id].append(annotation)
            drafts = self._drafts(part, by_task)
            problems: list[Problem] = []
            wanted = [task for task in part if task.id in by_task or task.id in drafts]
            if self._choice.include == "all":
                there = {task.id for task in wanted}
                self.about.without_mask.extend(t.id for t in part if t.id not in there)
            for task, image in read_images(self._label_studio, wanted, self.about.config, problems):
                made = self._slice(
                    task, image, by_task[task.id], drafts.get(task.id), sides[task.id], problems
                )
                if made is not None:
                    yield made
            self.about.problems.extend(asdict(problem) for problem in problems)

    def _drafts(
        self, part: Sequence[Task], by_task: Mapping[int, Sequence[Annotation]]
    ) -> dict[int, Sequence[Mapping[str, Any]]]:
        """Regions of the committee's drafts of slices that nobody has annotated."""
        if self._choice.include != "all" or self.about.version is None:
            return {}
        ids = [task.id for task in part if not by_task.get(task.id)]
        return drafts_of(self._label_studio, self.about.version, ids, self._made)

    def _slice(
        self,
        task: Task,
        image: Grey,
        annotations: Sequence[Annotation],
        draft: Sequence[Mapping[str, Any]] | None,
        split: Split,
        problems: list[Problem],
    ) -> Slice | None:
        config, (height, width) = self.about.config, image.shape[:2]
        images = {config.image_key, *keys_of(self.about.label_config).images}
        data = exported(task.data, images, known_only=self._choice.known_data)
        people = [a for a in annotations if not self._made.untouched(a)]
        version = self.about.version
        if not people and annotations and self._choice.include == "all":
            newest = max(annotations, key=lambda a: a.id)
            draft, version = newest.regions, self._made.version_of(newest)
        if people:
            target, complaints = target_of(
                people, config, height, width, consensus=self._consensus, weights=self._weights
            )
            problems += [Problem(task.id, complaint) for complaint in complaints]
            if target is None:
                return None
            return self._drawn(task, image, target, people, data, split)
        if draft is None:
            return None
        try:
            label_map = to_label_map(draft, config, height, width)
        except MaskError as error:
            problems.append(Problem(task.id, f"the committee's draft is left out: {error}"))
            return None
        maker = Maker("version", annotation_ids=tuple(a.id for a in annotations), version=version)
        return Slice(
            task_id=task.id,
            image=image,
            label_map=label_map,
            data=data,
            split=split,
            made=maker,
            series=series_of(task.id, task.data),
        )

    def _drawn(
        self,
        task: Task,
        image: Grey,
        target: Target,
        people: Sequence[Annotation],
        data: Mapping[str, Any],
        split: Split,
    ) -> Slice:
        """A slice with the mask that people drew."""
        used = {annotation_id for annotation_id, _ in target.used}
        behind = [annotation for annotation in people if annotation.id in used]
        several = len(target.used) > 1
        maker = Maker(
            by="consensus" if several else "person",
            annotators=self._people(behind),
            annotation_ids=tuple(sorted(used)),
            from_draft=sum(self._made.began_as_draft(a) for a in behind),
            reviewed=target.ground_truth or all(self._made.touched(a) for a in behind),
        )
        agreement = 1 - target.disagreement if several else None
        return Slice(
            task_id=task.id,
            image=image,
            label_map=target.label_map,
            data=data,
            split=split,
            made=maker,
            consensus=self._consensus if several else None,
            agreement=agreement,
            ground_truth=target.ground_truth,
            updated_at=max(changed for _, changed in target.used),
            series=series_of(task.id, task.data),
        )

    def _people(self, annotations: Sequence[Annotation]) -> tuple[int, ...]:
        """The project's numbers of those behind annotations; nobody where it is not known."""
        users = set()
        for annotation in annotations:
            touched = self._made.touched(annotation)
            users.add((touched and annotation.edited_by) or annotation.annotator)
        return tuple(sorted(self._numbers.of(user) for user in users if user))


def _chosen(found: Survey, choice: Choice) -> list[Task]:
    """The tasks that go into the data set."""
    # What was skipped is no slice to draw on: the committee's mask of it is worth nothing.
    rest = choice.include == "all"
    return [
        task
        for task in found.tasks
        if (task.annotations > 0 and (rest or task.id not in found.automatic))
        or (rest and task.skipped == 0)
    ]


def _place(task: Task) -> tuple[str, str, str, float, float, int]:
    """What sorts slices into series, and along them."""

    unit = unit_of(task)
    names = (unit.patient or "", str(task.data.get("study") or ""), unit.series or "")
    return *names, unit.position_mm or 0.0, number_of(task.data, "frame") or 0.0, task.id


def _by_series(
    tasks: Iterable[Task], wanted: Collection[tuple[str, ...]]
) -> dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]]:
    """The tasks of some series, along their positions."""
    found: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for task in sorted(tasks, key=_place):
        if (series := series_of(task.id, task.data)) in wanted:
            found[series].append((task.id, task.data))
    return dict(found)


def _parts(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks in parts whose images fit into memory together."""
    part: list[Task] = []
    pixels = 0
    for task in tasks:
        rows, columns = task.data.get("rows"), task.data.get("columns")
        known = isinstance(rows, int) and isinstance(columns, int)
        size = rows * columns if known else _USUAL_PIXELS  # type: ignore[operator]
        if part and (len(part) == _TASKS_AT_ONCE or pixels + size > _PIXELS_AT_ONCE):
            yield part
            part, pixels = [], 0
        part.append(task)
        pixels += size
    if part:
        yield part
