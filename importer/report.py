"""What an import did, in words that name no patient."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .journal import iter_tasks

REMEDIES = {
    "damaged": "the header cannot be read: export the object from the PACS again",
    "damaged-pixels": "the pixels cannot be decoded: export the object from the PACS again, "
    "uncompressed (videos are not read)",
    "damaged-archive": "the zip is damaged or encrypted: make it again, without a password",
    "archive-too-large": "the zip unfolds beyond the limits: unpack it and import the folder",
    "nested-too-deep": "zips within zips within zips: unpack it and import the folder",
    "too-large": "beyond the limits (QUORUM_IMPORT_OBJECT_BYTES and others): raise or split",
    "too-slow": "it took longer than QUORUM_IMPORT_SECONDS: its pixels may be damaged",
    "too-much-memory": "it needs more than QUORUM_IMPORT_MEMORY_BYTES: it may be damaged",
    "decoder-crashed": "its pixels crash the decoder: export the object from the PACS again",
    "cannot-be-read": "the file or folder cannot be opened: check its rights and the disk",
    "no-such-file": "there is no such file or folder: check the path",
    "missing-identifier": "an object without SOPInstanceUID cannot be told from another",
    "same-identifier": "its SOPInstanceUID is that of an image with other pixels, and one of them "
    "alone is kept: if neither is damaged, give each a UID of its own and import it again",
    "other-frames": "text was found on frames that the contact sheet did not show: it shows them "
    "now; look at them, then ./quorum release once more",
}
# A copy that needs no raised limit has no remedy: its reason is the object's own.
_COPY_REMEDIES = {"too-large": ": raise QUORUM_IMPORT_MEMORY_BYTES"}
_LOOK = "a person must look at it for burned-in text: see the contact sheet, then ./quorum release"


@dataclass(frozen=True)
class Problem:
    """One object that was not imported; its number and content hash name it, its path does not."""

    number: int
    digest: str
    reason: str
    where: str = ""  # of the importer's code, if a failure was unexpected
    path: str = field(default="", repr=False)  # for the hospital's screen, on request only

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.reason in REMEDIES:
            return REMEDIES[self.reason]
        from .sources import dicomweb  # here: it brings an HTTP client along

        return dict(dicomweb.REMEDIES).get(self.reason, _LOOK)  # type: ignore[call-overload]


@dataclass
class ImportReport:
    """What became of everything; the tasks themselves are in `out`/tasks.json."""

    out: Path
    imported: int = 0  # new slices
    already_there: int = 0  # slices
    redacted: int = 0  # new slices on which text was blacked out
    copies: int = 0  # de-identified DICOM files
    left_out: int = 0  # de-identified copies of earlier imports, found in folders
    links: int = 0  # found in folders, and not followed
    not_dicom: int = 0
    objects: int = 0  # all that was looked at
    without_pixels: Counter[str] = field(default_factory=Counter)  # by SOP class name
    without_copy: Counter[str] = field(default_factory=Counter)  # by reason
    dropped: Counter[str] = field(default_factory=Counter)  # attributes by keyword, in a dry run
    quarantined: list[Problem] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)
    contact_sheet: Path | None = None
    dry_run: bool = False

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """All tasks of the folder, read from tasks.json. Raises TasksError if it is damaged."""
        return list(iter_tasks(self.out))

    @property
    def complete(self) -> bool:
        """Whether nothing was left behind that a person should know of."""
        return not self.quarantined and not self.unreadable

    def summary(self, show_paths: bool = False) -> str:
        """The report for people; paths, which may hold names, only if asked for."""
        verb = "would be imported" if self.dry_run else "imported"
        lines = [f"{self.imported} slices {verb}, {self.already_there} were there already"]
        if self.redacted:
            lines.append(f"{self.redacted} slices with text blacked out")
        if self.copies:
            lines.append(f"{self.copies} de-identified DICOM copies")
        lines += [
            f"{n} without a copy ({why}){_COPY_REMEDIES.get(why, '')}"
            for why, n in self.without_copy.most_common()
        ]
        if self.left_out:
            lines.append(
                f"{self.left_out} de-identified copies of earlier imports were left out: name the "
                "files themselves if they are to be imported"
            )
        if self.links:
            lines.append(
                f"{self.links} links in folders were not followed: name what they lead to, if it "
                "is to be imported"
            )
        if self.not_dicom:
            lines.append(f"{self.not_dicom} files are not DICOM")
        lines += [f"{n} without pixels: {name}" for name, n in self.without_pixels.most_common()]
        for title, problems in (("set aside", self.quarantined), ("unreadable", self.unreadable)):
            for reason, count in Counter(p.reason for p in problems).most_common():
                remedy = next(p.remedy for p in problems if p.reason == reason)
                lines.append(f"{count} {title} ({reason}): {remedy}")
                for problem in [p for p in problems if p.reason == reason][:20]:
                    shown = f" {problem.path}" if show_paths else ""
                    where = f" ({problem.where})" if problem.where else ""
                    name = f"object {problem.number}, sha256 {problem.digest}"
                    lines.append(f"    {name}{where}{shown}")
        if self.dropped:
            lines.append("attributes that stay behind:")
            lines += [f"    {n:6d}  {keyword}" for keyword, n in self.dropped.most_common()]
        if self.contact_sheet:
            lines.append(f"contact sheet of what is held: {self.contact_sheet}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Counts and problems, without paths."""

        def listed(problems: list[Problem]) -> list[dict[str, Any]]:
            return [
                {k: v for k, v in asdict(p).items() if k != "path"} | {"remedy": p.remedy}
                for p in problems
            ]

        return {
            "dry_run": self.dry_run,
            "objects": self.objects,
            "imported": self.imported,
            "already_there": self.already_there,
            "redacted": self.redacted,
            "copies": self.copies,
            "left_out": self.left_out,
            "links": self.links,
            "not_dicom": self.not_dicom,
            "without_pixels": dict(self.without_pixels),
            "without_copy": dict(self.without_copy),
            "dropped": dict(self.dropped),
            "quarantined": listed(self.quarantined),
            "unreadable": listed(self.unreadable),
        }
