"""The data sheet of an export, README.md: what is in it, who made it, how good it is.

In the order of Gebru et al., "Datasheets for Datasets" (2018), short: composition, labelling,
quality, limits, use. Everything is read from the manifest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from .task_data import KNOWN

_PICTURES = ("png", "coco", "label-studio")  # with pictures as they were drawn on
_ROWS = 20  # of a table; what is rarer is counted together

_READ = {
    "png": "`images/` holds the slices and `masks/` their label maps, both PNG, named after the "
    "task: a pixel of a label map is the number of its class, 0 is background.\n\n"
    "```python\nimport numpy as np\nfrom PIL import Image\n"
    'mask = np.asarray(Image.open("masks/task-1.png"))  # (H, W), 0 background\n```',
    "nifti": "A volume and its label map for each series, NIfTI-1; a voxel of a label map is the "
    "number of its class, 0 is background. The manifest names the slices of each file in the order "
    "in which they lie in it.\n\n"
    "```python\nimport nibabel\nimport numpy as np\n"
    "mask = np.asarray(nibabel.load(path).dataobj)\n```",
    "coco": "`instances_training.json` and `instances_evaluation.json` are COCO annotations, the "
    "slices are in `images/`. One annotation is all of one class on one slice, as a run-length "
    "mask; a slice without any has nothing on it.\n\n"
    "```python\nfrom pycocotools.coco import COCO\n"
    'coco = COCO("instances_training.json")\n'
    "masks = [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds(imgIds=[1]))]\n```",
    "dicom-seg": "DICOM segmentations. They name the pseudonyms of this data set, not the "
    "hospital's identifiers; the hospital, which has the key, can put them back beside the "
    "original studies.",
    "label-studio": "`tasks-001.json` and on hold tasks with brush masks, `label_config.xml` the "
    "labelling interface. Make a project with that interface, put this folder below Label Studio's "
    "document root for local files under the name that the addresses in the tasks have "
    "(`quorum-PROJECT`), add it as local storage, and import the task files. The committee's own "
    "masks arrive as predictions.",
}


def data_sheet(manifest: Mapping[str, Any]) -> str:
    """The sheet, Markdown."""
    sections = [
        f"# Data set of project {manifest['project']}",
        _summary(manifest),
        "## What is in it",
        *_composition(manifest),
        "## Who made the masks",
        _makers(manifest["slices"]),
        "## How good the committee is",
        _quality(manifest.get("quality")),
        "## Known limits",
        _bullets(_limits(manifest)),
        "## How to read the files",
        _READ.get(str(manifest["format"]), ""),
        "`manifest.json` has an entry for each slice (mask, split, who made it, agreement, the "
        "task's data) and one for each file with its SHA-256. It is written last: an export "
        "without it is not whole.",
        "## Before you pass it on",
        _bullets(_before(manifest)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(manifest: Mapping[str, Any]) -> str:
    made = manifest["quorum"]
    by = " ".join(
        filter(None, ["Quorum", made.get("release"), f"({(made.get('commit') or '')[:10]})"])
    ).replace(" ()", "")
    which = {
        "labelled": "the slices that people have labelled",
        "all": "the slices that people have labelled, and the others with the committee's masks",
    }[manifest["include"]]
    return (
        f"{len(manifest['slices'])} slices with their segmentation, as {manifest['format']}: "
        f"{which}. Made on {manifest['made_at']} by {by}."
    )


def _composition(manifest: Mapping[str, Any]) -> Iterable[str]:
    slices: Sequence[Mapping[str, Any]] = manifest["slices"]
    rows = []
    for split in ("training", "evaluation"):
        inside = [entry for entry in slices if entry["split"] == split]
        patients = Counter(_patient(entry) for entry in inside)
        each = list(patients.values())
        spread = f"{median(each):g} ({min(each)} to {max(each)})" if each else "–"
        rows.append([split, len(inside), len(patients), spread])
    yield _table(["split", "slices", "patients", "slices a patient: median (range)"], rows)
    rows = []
    for number, label in manifest["labels"].items():
        areas = [
            entry["pixels"][label] / max(1, entry["size"][0] * entry["size"][1])
            for entry in slices
            if entry["pixels"][label]
        ]
        share = f"{100 * median(areas):.3g} %" if areas else "–"
        rows.append([number, label, len(areas), share])
    yield _table(["value", "class", "slices with it", "its median area on them"], rows)
    empty = sum(1 for entry in slices if not any(entry["pixels"].values()))
    yield f"On {empty} slices there is nothing to mark, and that is what their masks say."
    for key, title in (("modality", "modality"), ("body_part", "body part")):
        counts = Counter(str(entry["data"].get(key) or "not said") for entry in slices)
        if set(counts) - {"not said"}:
            shown = counts.most_common(_ROWS)
            rest = len(slices) - sum(count for _, count in shown)
            yield _table([title, "slices"], [*shown, ("others", rest)] if rest else shown)
    spacing = sum(1 for entry in slices if entry["data"].get("pixel_spacing_mm"))
    yield f"{spacing} of {len(slices)} slices say how large their pixels are (`pixel_spacing_mm`)."


def _makers(slices: Sequence[Mapping[str, Any]]) -> str:
    people = [entry for entry in slices if entry["made"]["by"] != "version"]
    drawn = Counter(who for entry in people for who in entry["made"]["annotators"])
    methods = Counter(entry["consensus"] for entry in people if entry["consensus"])
    versions = Counter(e["made"].get("version") for e in slices if e["made"]["by"] == "version")
    known = [entry["agreement"] for entry in people if entry["agreement"] is not None]
    lines = [
        f"{len(people)} masks were drawn or approved by people: "
        f"{sum(e['made']['by'] == 'person' for e in people)} by one person each, "
        f"{sum(e['made']['by'] == 'consensus' for e in people)} are the consensus of several"
        + (f" ({', '.join(f'{m}: {n}' for m, n in methods.items())})" if methods else "")
        + ".",
    ]
    if known:
        lines.append(
            f"Where several drew the same slice, their agreement (Dice) is {median(known):.3f} in "
            f"the median, {min(known):.3f} at the least."
        )
    lines.append(
        f"{sum(bool(e['ground_truth']) for e in people)} are marked as ground truth; "
        f"{sum(bool(e['made']['reviewed']) for e in people)} were reviewed: marked so, or the "
        "committee's mask that a person has changed or approved."
    )
    if versions:
        lines.append(
            f"{sum(versions.values())} masks are the committee's own, and no person has looked at "
            "them: " + ", ".join(f"{n} of version {v}" for v, n in sorted(versions.items())) + "."
        )
    if drawn:
        lines.append("Annotators are numbers; names and e-mails are not part of the data set.")
        rows = [[f"annotator {who}", count] for who, count in sorted(drawn.items())]
        return "\n\n".join([_bullets(lines), _table(["who", "slices"], rows)])
    return _bullets(lines)


def _quality(quality: Mapping[str, Any] | None) -> str:
    if quality is None:
        return "No version of the committee has held-out figures."
    interval = quality.get("interval") or {}
    bounds = ""
    if interval.get("lower") is not None and interval.get("upper") is not None:
        bounds = f" (95 % interval {interval['lower']:.3f} to {interval['upper']:.3f})"
    mean = quality.get("mean_iou") if interval.get("mean") is None else interval["mean"]
    lines = [
        f"Version {quality['version']}, trained on {quality['training']} slices, reaches a mean "
        f"IoU over held-out {_unit(quality)} of {_figure(mean)}{bounds} and a Dice of "
        f"{_figure(quality.get('dice'))} on {quality['evaluation']} held-out slices, none of which "
        "it was trained on."
    ]
    rows = [
        [name, _figure(each.get("iou")), _figure(each.get("dice")), _distance(each)]
        for name, each in (quality.get("classes") or {}).items()
    ]
    note = (
        "By class: IoU and Dice of all pixels of the held-out slices together; HD95, the 95th "
        "percentile of the distance between the borders of draft and label, in the mean over the "
        "slices that have the class:"
    )
    return "\n\n".join([*lines, note, _table(["class", "IoU", "Dice", "HD95"], rows)])


def _distance(of_class: Mapping[str, Any]) -> str:
    for unit in ("mm", "px"):
        if (value := of_class.get(f"hd95_{unit}")) is not None:
            return f"{value:.1f} {unit}"
    return "–"


def _unit(quality: Mapping[str, Any]) -> str:
    """What the mean is over: see learning.stopping."""
    return "patients" if quality.get("held_out_unit") == "patient" else "slices"


def _limits(manifest: Mapping[str, Any]) -> Iterable[str]:
    slices = manifest["slices"]
    yield (
        "The slices labelled first were chosen because the committee was unsure of them: those in "
        "training are no random sample. The evaluation slices are spread evenly."
    )
    if manifest["held_out_unit"] == "slab":
        yield (
            "The project began with one patient: evaluation slices are slabs of the same patient, "
            "so the figures tell little about other patients."
        )
    elif manifest["held_out_unit"] == "slice":
        yield (
            "The tasks do not say which patient a slice is of: slices of one patient may stand in "
            "training and in evaluation."
        )
    stretched = sum(map(_is_stretched, slices))
    if stretched and manifest["format"] in _PICTURES:
        yield (
            f"{stretched} pictures were stretched to show square pixels. `pixel_spacing_mm` "
            "(between rows, between columns) is that of the stored matrix, `rows` by `columns`. "
            "Times rows / height and columns / width it is the picture's."
        )
    own = sum(1 for entry in slices if entry["made"]["by"] == "version")
    if own:
        yield f"{own} masks are a model's: to train or test with them repeats its errors."
    if without := len(manifest.get("without_mask") or ()):
        yield f"{without} slices of the project have no mask of anybody yet, and are not in it."
    began = sum(bool(entry["made"].get("from_draft")) for entry in slices)
    yield from _draft_bias(began, manifest.get("trial") or {})
    if manifest["problems"]:
        yield (
            f"{len(manifest['problems'])} complaints about slices or annotations that were left "
            "out are in the manifest, under `problems`."
        )


def _is_stretched(entry: Mapping[str, Any]) -> bool:
    stored = [entry["data"].get("rows"), entry["data"].get("columns")]
    return None not in stored and stored != list(entry["size"])


def _draft_bias(began: int, trial: Mapping[str, Any]) -> Iterable[str]:
    """How many masks began as a draft, and what slices with and without one say of a bias."""
    head = f"{began} of the masks that people drew began as the committee's draft."
    ratio = trial.get("area_ratio") or {}
    low, high, mean = (ratio.get(name) for name in ("low", "high", "mean"))
    if low is None or high is None or mean is None:
        yield f"{head} Whether drafts move what people draw was not measured here."
    elif low <= 1 <= high:
        yield (
            f"{head} With a draft people drew "
            f"{mean:.2f} times the area they drew without (95 % interval {low:.2f} to {high:.2f}): "
            "no bias was seen."
        )
    else:
        yield (
            f"{head} Drafts move what people draw: with a draft the area is "
            f"{mean:.2f} times that without (95 % interval {low:.2f} to {high:.2f})."
        )


def _before(manifest: Mapping[str, Any]) -> Iterable[str]:
    yield (
        "Patients, studies and series are pseudonyms, if the slices came through Quorum's "
        "importer. Who has its key can tell whom they stand for: keep the key apart."
    )
    yield "Pixels can identify, too: a head can be made into a face. Ask before you publish."
    keys = sorted({key for entry in manifest["slices"] for key in entry["data"]} - KNOWN)
    if keys:
        shown = ", ".join(f"`{key}`" for key in keys)
        yield f"These keys of the tasks' data are not the importer's: {shown}. Look at them first."


def _patient(entry: Mapping[str, Any]) -> str:
    return str(entry["data"].get("patient") or f"task {entry['task']}")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        # A label may hold what Markdown takes for a column.
        shown = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        return f"| {' | '.join(shown)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
