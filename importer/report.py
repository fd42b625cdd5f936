"""What an import did, in words that name no patient."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

REMEDIES = {
    "damaged": "the header cannot be read: export the object from the PACS again",
    "damaged-pixels": "the pixels cannot be decoded: export the object from the PACS again",
    "damaged-archive": "the zip is damaged or encrypted: make it again, without a password",
    "archive-too-large": "the zip unfolds beyond the limits: unpack it and import the folder",
    "nested-too-deep": "zips within zips within zips: unpack it and import the folder",
    "too-large": "beyond 2 GiB or 16384 x 16384 pixels: split it",
    "cannot-be-read": "the file cannot be opened: check its rights and the disk",
    "no-such-file": "there is no such file or folder: check the path",
    "missing-identifier": "an object without SOPInstanceUID cannot be told from another",
    "burned-in-annotation": "the header says that text is burned in: it stays in the hospital",
}
_LOOK = "a person must look at it for burned-in text; then import with --accept MODALITY"


@dataclass(frozen=True)
class Problem:
    """One object that was not imported; its number and content hash name it, its path does not."""

    number: int
    digest: str
    reason: str
    path: str = field(default="", repr=False)  # for the hospital's screen, on request only

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES.get(self.reason, _LOOK)


@dataclass
class ImportReport:
    """Tasks made and what became of everything else."""

    tasks: list[dict[str, Any]] = field(default_factory=list)  # all of out/tasks.json
    imported: int = 0  # new slices
    already_there: int = 0
    not_dicom: int = 0
    without_pixels: Counter[str] = field(default_factory=Counter)  # by SOP class name
    quarantined: list[Problem] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing was left behind that a person should know of."""
        return not self.quarantined and not self.unreadable

    def summary(self, show_paths: bool = False) -> str:
        """The report for people; paths, which may hold names, only if asked for."""
        lines = [f"{self.imported} slices imported, {self.already_there} were there already"]
        if self.not_dicom:
            lines.append(f"{self.not_dicom} files are not DICOM")
        lines += [f"{n} without pixels: {name}" for name, n in self.without_pixels.most_common()]
        for title, problems in (("set aside", self.quarantined), ("unreadable", self.unreadable)):
            for reason, count in Counter(p.reason for p in problems).most_common():
                remedy = next(p.remedy for p in problems if p.reason == reason)
                lines.append(f"{count} {title} ({reason}): {remedy}")
                for problem in [p for p in problems if p.reason == reason][:20]:
                    shown = f" {problem.path}" if show_paths else ""
                    lines.append(f"    object {problem.number}, sha256 {problem.digest}{shown}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Counts and problems, without paths."""

        def listed(problems: list[Problem]) -> list[dict[str, Any]]:
            return [
                {k: v for k, v in asdict(p).items() if k != "path"} | {"remedy": p.remedy}
                for p in problems
            ]

        return {
            "imported": self.imported,
            "already_there": self.already_there,
            "tasks": len(self.tasks),
            "not_dicom": self.not_dicom,
            "without_pixels": dict(self.without_pixels),
            "quarantined": listed(self.quarantined),
            "unreadable": listed(self.unreadable),
        }
