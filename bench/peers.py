"""Other de-identifiers, each in an environment of its own, over the same folder with its defaults.

Each is driven file by file through its documented library call, because their command lines stop
at the first file they cannot take; what a file makes them say goes where it would go for a user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_LOOP = """
import os, sys, time
source, out = sys.argv[1:]
started, done, failed = time.perf_counter(), 0, 0
for folder, _, names in sorted(os.walk(source)):
    for name in sorted(names):
        path = os.path.join(folder, name)
        with open(path, "rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                continue
        below = os.path.join(out, os.path.relpath(folder, source))
        os.makedirs(below, exist_ok=True)
        try:
            convert(path, below, name)
            done += 1
        except Exception as error:
            failed += 1
            print(type(error).__name__, error, file=sys.stderr)
print("FILES", done, failed, time.perf_counter() - started)
"""


@dataclass(frozen=True)
class Peer:
    """A tool on PyPI and the lines that convert one file with it: convert(path, folder, name)."""

    name: str
    requirement: str
    convert: str


@dataclass(frozen=True)
class PeerRun:
    """What a tool did with a folder, and all it said."""

    converted: int
    failed: int
    convert_s: float  # without starting Python and reading the tables
    said: bytes


PEERS = (
    Peer(
        "dicom-anonymizer 2.1.0, table 2026c",
        "dicom-anonymizer==2.1.0",
        """
from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file, initialize_actions
def rules():
    return initialize_actions("dicomfields_2026c")
def convert(path, folder, name):
    anonymize_dicom_file(path, os.path.join(folder, name), base_rules_gen=rules)
""",
    ),
    Peer(
        "dicognito 0.19.0",
        "dicognito==0.19.0",
        """
import pydicom
from dicognito.anonymizer import Anonymizer
anonymizer = Anonymizer()
def convert(path, folder, name):
    with pydicom.dcmread(path) as dataset:
        anonymizer.anonymize(dataset)
        dataset.save_as(os.path.join(folder, str(dataset.SOPInstanceUID) + ".dcm"))
""",
    ),
    Peer(
        "deid 0.4.13",
        "deid==0.4.13",
        """
from deid.dicom import get_identifiers, replace_identifiers
def convert(path, folder, name):
    ids = get_identifiers([path])
    replace_identifiers(dicom_files=[path], ids=ids, output_folder=folder, save=True,
                        overwrite=True)
    if not os.path.exists(os.path.join(folder, name)):
        raise RuntimeError("nothing was written")
""",
    ),
)


def install(peer: Peer, environments: Path) -> Path:
    """The interpreter of a peer's own environment, made on first use.

    Raises RuntimeError if it cannot be installed.
    """
    folder = environments / peer.requirement.replace("==", "-").replace(" ", "-")
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *peer.requirement.split()],
            capture_output=True,
            check=False,
        )
        if pip.returncode:
            raise RuntimeError(f"{peer.requirement} cannot be installed: is there a network?")
        ready.touch()
    return python


def run(peer: Peer, python: Path, source: Path, out: Path, temporary: Path) -> PeerRun:
    """Convert every DICOM file below `source` into `out`."""
    done = subprocess.run(
        [str(python), "-c", "import os\n" + peer.convert + _LOOP, str(source), str(out)],
        capture_output=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        check=False,
    )
    last = done.stdout.splitlines()[-1:] or [b""]
    words = last[0].split()
    if words[:1] != [b"FILES"]:
        raise RuntimeError(f"{peer.name} ended with status {done.returncode}")
    return PeerRun(int(words[1]), int(words[2]), float(words[3]), done.stdout + done.stderr)
