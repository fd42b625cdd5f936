"""docs/reference/de-identification.md: what becomes of each attribute, by the importer's tables."""

from __future__ import annotations

from pydicom.dataset import Dataset

from importer import report
from importer.deidentify import BODY_PARTS, MODALITIES, allowed_attributes
from importer.recipe import BurnedIn
from importer.sources import dicomweb
from importer.windows import NAMES, PRESETS

from . import allowlists, pixels, standard
from .markdown import code, document, table

# Each key of a task's data; a test holds it against what the importer really makes.
TASK_DATA = {
    "image": "address of the picture; with further windows also `image_lung` and the like",
    "slice": "pseudonym of the frame: 20 hex digits of HMAC-SHA256 under the hospital's key",
    "frame": "number of the frame in its object, from 0",
    "patient": "pseudonym of PatientID and its issuer; of the study where there is no PatientID",
    "study": "pseudonym of StudyInstanceUID",
    "series": "pseudonym of SeriesInstanceUID",
    "instance": "pseudonym of SOPInstanceUID",
    "modality": f"one of {len(MODALITIES)} terms of PS3.3; any other is written OT",
    "rows": "Rows",
    "columns": "Columns",
    "body_part": f"one of {len(BODY_PARTS)} body parts of PS3.16; any other is left out",
    "laterality": "`L`, `R` or `B`; any other is left out",
    "pixel_spacing_mm": "two numbers above 0.0001 and below 100",
    "slice_thickness_mm": "a number above 0 and below 1000",
    "window_center": "a number below 1,000,000 either way",
    "window_width": "a number above 0 and below 1,000,000",
    "slice_position_mm": "mm from the lowest slice of the series' first import, not from the table",
}

# importer.copies.errors.CopyError's codes; a test holds them against its docstring.
COPY_PROBLEMS = (
    "sop-class-not-allowed",
    "identifier-missing",
    "frame-count",
    "pixels-mismatch",
    "bits",
    "palette",
    "too-large",
    "not-encodable",
)

_MODES = {
    BurnedIn.REDACT: "as in the table; what is found is blacked out and read again, what stays "
    "doubtful is held (default)",
    BurnedIn.QUARANTINE: "as in the table; whatever shows text is held",
    BurnedIn.OFF: "nothing is looked at: for images that are known to be clean",
}


def attribute_keys() -> set[str]:
    """The keys that attributes of one object make, from an object that has all of them."""
    source: Dataset = standard._image()
    source.BodyPartExamined, source.ImageLaterality = "HEAD", "L"
    source.PixelSpacing, source.SliceThickness = [0.5, 0.5], 2
    source.WindowCenter, source.WindowWidth = 40, 400
    return set(allowed_attributes(source, standard._KEY))


def page() -> str:
    """The whole page."""
    copies, tasks, rows = standard.in_copies(), standard.in_tasks(), standard.rows()
    named = [row for row in rows if row.tag in copies or row.tag in tasks]
    dropped = [row for row in rows if row not in named]
    return document(
        "What becomes of each attribute",
        "importer/",
        "Nothing is cleaned in place. What leaves the hospital is built anew from the lists below; "
        "an attribute that no list names does not come out. "
        "[What leaves the hospital](../privacy.md) says why, what was measured, and what this "
        "cannot do.",
        "## To Label Studio",
        "A picture, and these keys of a task's data. Nothing else is sent.",
        table(("key", "what it is"), [(code(key), about) for key, about in TASK_DATA.items()]),
        "## Pixels",
        "Grey values are shown through a window: " + ", ".join(map(code, NAMES)) + ". `header` is "
        "the image's own, `auto` the 0.5 to 99.5 percentiles; the others are for CT, in Hounsfield "
        "units (centre, width): "
        + ", ".join(f"{name} {centre:g}, {width:g}" for name, (centre, width) in PRESETS.items())
        + ".",
        "### Transfer syntaxes",
        pixels.transfer_syntaxes(),
        "### Text burned into pixels",
        "BurnedInAnnotation NO is never believed.",
        pixels.burned_in(),
        table(("`--burned-in`", ""), [(code(mode.value), about) for mode, about in _MODES.items()]),
        "`--accept MODALITY` is for what an object's header lacks: its images are read for text, "
        "and are not held for that alone.",
        "## DICOM copies",
        "`--dicom-out` writes a new object for each image whose class is listed "
        "[below](#the-lists-of-each-class), in Explicit VR Little Endian. Dates and times move by "
        "a shift that is the same for all of one patient's; UIDs are replaced under the hospital's "
        "key, the same everywhere. Private attributes, curves (50xx) and overlays (60xx) are left "
        "out.",
        f"### The standard's list, PS3.15 {standard.EDITION} Table E.1-1",
        f"{len(rows)} attributes. Actions of the Basic Profile: D a dummy, Z empty or a dummy, X "
        "removed, U a UID replaced; `X/Z/D` and the like depend on the attribute's type. Where two "
        "things stand in a cell, the first holds in one place and the second in another.",
        f"These {len(named)} have a place in a copy or decide a task's data:",
        table(
            ("tag", "attribute", "profile", "in a copy", "in a task"),
            [
                (
                    row.shown_tag,
                    row.keyword,
                    row.action,
                    copies.get(row.tag, "left out"),
                    f"pseudonym {tasks[row.tag]}" if row.tag in tasks else "",
                )
                for row in named
            ],
        ),
        f"These {len(dropped)} are left out of every copy, at every depth, and of every task:",
        table(
            ("tag", "attribute", "profile"),
            [(row.shown_tag, row.keyword, row.action) for row in dropped],
        ),
        "### What is always written",
        "Beside the lists: what names the object and the patient's pseudonym, what the pixels are, "
        "and what was done (PS3.15 E.1.1).",
        table(
            ("attribute", ""),
            [
                (code(keyword), words)
                for tag, words in sorted(standard.written_anew().items())
                if (words != standard.ANEW or tag not in copies)
                and (keyword := standard.keyword_of(tag))
            ],
        ),
        "### The lists of each class",
        "#### All images",
        allowlists.common(),
        *_classes(),
        "### The lists of items",
        "What items of sequences may hold, wherever the sequence stands.",
        *allowlists.items(),
        "## Why an object did not come in",
        "What the report of an import says, by code. An import that set anything aside ends with "
        "exit status 1, one that did nothing with 2.",
        table(
            ("code", "what to do"),
            [(code(reason), remedy) for reason, remedy in sorted(_remedies().items())],
        ),
        "Why there is no DICOM copy of an object whose slices did come in: "
        + ", ".join(map(code, sorted(COPY_PROBLEMS)))
        + ".",
    )


def _remedies() -> dict[str, str]:
    told: dict[str, str] = {str(reason): words for reason, words in dicomweb.REMEDIES.items()}
    return told | report.REMEDIES


def _classes() -> list[str]:
    parts = []
    for name, uids in allowlists.classes().items():
        parts += [
            f"#### {name}",
            ", ".join(map(code, uids)) + ". Beyond what all images may carry:",
            allowlists.of_class(uids[0]),
        ]
    return parts
