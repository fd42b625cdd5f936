"""De-identifies DICOM and creates Label Studio tasks: sources → objects → tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from . import contact_sheet
from . import quarantine as quarantined
from .journal import Journal, TasksError, pixels_in, sweep
from .keys import load_or_make_key
from .limits import Limits
from .objects import Outcome, are_other_pixels, content_digest
from .pseudonyms import pseudonym
from .recipe import BurnedIn, Recipe
from .report import ImportReport, Problem
from .sources import LeftOut, SourceObject, iter_objects
from .vault import Vault, in_use, vault_of
from .workers import outcomes

__all__ = ["BurnedIn", "ImportReport", "Limits", "import_dicom", "import_objects", "release"]

_FLUSH_EVERY = 200  # objects
_ABANDONED_S = 3600.0  # an import into another folder may share the place of the copies


def import_dicom(
    sources: Path | str | Sequence[Path | str],
    out: Path | str,
    key: bytes | Path | str,
    *,
    dicom_out: Path | str | None = None,
    quarantine: Path | str | None = None,
    vault: Path | str | None = None,
    windows: Sequence[str] = ("header",),
    image_format: str = "png",
    frame_step: int = 1,
    square_pixels: bool = True,
    burned_in: BurnedIn | str = BurnedIn.REDACT,
    accept: Collection[str] = (),
    workers: int = 1,
    dry_run: bool = False,
    limits: Limits | None = None,
    progress: bool = False,
) -> ImportReport:
    """De-identify DICOM into `out`/images and `out`/tasks.json; what became of each object.

    Sources are files, folders and zips. `key` is the hospital's key, or the file that holds it
    (made on first use); beside a key file lies the vault with the way back (`vault` names another
    place; a key given as bytes has none otherwise). `dicom_out` is a folder for de-identified
    DICOM, `quarantine` one in the hospital for what a person must look at. `windows` are names of
    importer.windows.NAMES: the first makes a task's `image`, another one `image_NAME`. `accept`
    names modalities that a person vouches for, so that they are read for text but not held.
    `dry_run` writes nothing. Decoding runs in `workers` processes; a script that calls this needs
    Python's usual ``if __name__ == "__main__":``.

    Objects imported before are recognised and left as they are; an import that was cut short goes
    on where it stopped. De-identified copies in a folder, and what lies in the folders that this
    import writes to, are left out. Whatever is wrong with an object is reported, and the rest
    goes on.
    Raises KeyFileError, VaultError, TasksError, ValueError for a setting, OutOfSpace if the disk
    is full, or OSError if `out` cannot be written.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    limits = limits or Limits.from_environment()
    copies, held = (Path(f) if f is not None else None for f in (dicom_out, quarantine))
    if vault is None and not isinstance(key, bytes):
        vault = vault_of(Path(key))
    safe = Path(vault) if vault is not None else None
    # A dry run keeps nothing in the vault.
    with in_use(safe) if safe is not None and not dry_run else contextlib.nullcontext():
        recipe = Recipe(
            key=key if isinstance(key, bytes) else load_or_make_key(Path(key)),
            images=Path(out) / "images",
            windows=tuple(windows),
            image_format=image_format,
            frame_step=frame_step,
            square_pixels=square_pixels,
            burned_in=BurnedIn(burned_in),
            accept=frozenset(modality.upper() for modality in accept),
            copies=copies,
            quarantine=held,
            dry_run=dry_run,
            limits=limits,
        )
        left_out = LeftOut([folder for folder in (Path(out), copies, held) if folder is not None])
        report = import_objects(
            iter_objects([Path(source) for source in listed], limits, left_out),
            Path(out),
            recipe,
            safe,
            workers=workers,
            progress=progress,
        )
    return replace(report, left_out=left_out.copies, links=left_out.links)


def import_objects(
    objects: Iterable[SourceObject],
    out: Path,
    recipe: Recipe,
    vault: Path | None = None,
    *,
    workers: int = 1,
    progress: bool = False,
    released: str = "",
) -> ImportReport:
    """Import objects from anywhere; see import_dicom()."""
    pseudonym(recipe.key, "patient", "")  # an unusable key is told before anything is read
    report = ImportReport(out, dry_run=recipe.dry_run)
    with contextlib.ExitStack() as stack:
        journal = None
        if not recipe.dry_run:
            for folder in (recipe.copies, recipe.quarantine):
                if folder is not None:
                    _make(folder)
                    sweep(folder, _ABANDONED_S)
            journal = stack.enter_context(Journal(out, recipe.fixed()))
        safe = Vault(vault, recipe.key) if vault is not None and not recipe.dry_run else None
        if safe is not None:
            safe.load()
            stack.callback(safe.flush)
        # Of held ones too: a dry run sets none aside, and so no worker finds the other one there.
        known = {"slices": journal.pixels if journal is not None else {}, "held": {}}
        bar = tqdm(objects, desc="import", unit="object", disable=not progress)
        for source, outcome in outcomes(bar, recipe, workers, released):
            if safe is not None:
                for name, entry in outcome.identities.items():
                    safe.keep(name, entry)
            if outcome.kind in known:
                before = known[outcome.kind].setdefault(outcome.instance, outcome.pixels)
                if are_other_pixels(before, outcome.pixels):
                    outcome = _of_another(source)
            _count(report, source, outcome, journal)
            if journal is not None and report.objects % _FLUSH_EVERY == 0:
                journal.flush()
    if report.quarantined and recipe.quarantine is not None and not recipe.dry_run:
        report.contact_sheet = contact_sheet.write(recipe.quarantine)
    return report


def release(
    instances: Collection[str],
    out: Path,
    recipe: Recipe,
    vault: Path | None = None,
    *,
    as_original: bool = False,
) -> ImportReport:
    """Import held objects that a person has looked at, redacted as the contact sheet shows them.

    `as_original` leaves their pixels as they came. One that shows other text on frames that the
    sheet did not show stays held, and the sheet shows them. One whose identifier another image has
    in `out` stays held, too, and is told. Raises ValueError, naming the first of them that is not
    held, and what import_dicom() raises.
    """
    if recipe.quarantine is None:
        raise ValueError("a release needs the quarantine folder")
    waiting = {entry.instance: entry for entry in quarantined.held(recipe.quarantine)}
    for instance in instances:
        if instance not in waiting:
            raise ValueError(f"{instance} is not held in {recipe.quarantine}")
    objects: list[SourceObject] = []
    taken: list[SourceObject] = []
    imported = pixels_in(out, instances)
    for number, i in enumerate(instances, start=1):
        source = SourceObject(number, str(waiting[i].path), None, waiting[i].path.stat().st_size)
        pixels = quarantined.pixels_of(recipe.quarantine, i)
        another = are_other_pixels(imported.get(i, ""), pixels)
        (taken if another else objects).append(source)
    report = import_objects(
        objects, out, recipe, vault, released="original" if as_original else "redacted"
    )
    for source in taken:  # its pictures would replace the other's
        _count(report, source, _of_another(source), None)
    failed = {problem.number for problem in (*report.unreadable, *report.quarantined)}
    done = [i for number, i in enumerate(instances, start=1) if number not in failed]
    quarantined.remove(recipe.quarantine, done)
    sheet = contact_sheet.write(recipe.quarantine)
    return replace(report, contact_sheet=sheet if report.quarantined else None)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TasksError(f"{folder} cannot be used as a folder: {error.strerror}") from None


def _of_another(source: SourceObject) -> Outcome:
    """What becomes of an object whose identifier an image with other pixels has."""
    try:
        content = source.content if source.content is not None else Path(source.path).read_bytes()
        digest = content_digest(content)
    except OSError:
        digest = "-"  # the file is gone
    return Outcome("unreadable", "same-identifier", digest=digest)


def _count(
    report: ImportReport, source: SourceObject, outcome: Outcome, journal: Journal | None
) -> None:
    report.objects += 1
    if outcome.kind == "slices":
        for entry in outcome.slices:
            known = journal is not None and entry.data["slice"] in journal.known
            report.already_there += known
            report.imported += not known
            if journal is not None:
                journal.add(entry.data, entry.position_mm, outcome.pixels)
        report.redacted += outcome.redacted
        report.copies += outcome.copied
        report.dropped.update(outcome.dropped)
        if outcome.copy_problem:
            report.without_copy[outcome.copy_problem] += 1
    elif outcome.kind == "not-dicom":
        report.not_dicom += 1
    elif outcome.kind == "without-pixels":
        report.without_pixels[outcome.reason] += 1
    else:
        problem = Problem(source.number, outcome.digest, outcome.reason, outcome.where, source.path)
        (report.quarantined if outcome.kind == "held" else report.unreadable).append(problem)
