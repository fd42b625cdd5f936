"""How many slices a second the importer makes, beside the floor and beside a usual script.

The series is plain CT, 512 x 512, 16 bits, uncompressed: pydicom's small CT enlarged, moved from
slice to slice, with a scanner's noise. Rates are of the additional slices between a short and a
long import, each a whole process, so that neither pays for starting Python; the floor is decoding
and PNG encoding alone, in one process, with the importer's own encoder.

"1 core" means that all processes of a row, the one that reads and writes among them, are bound to
one core: else an importer with one worker would use two, and a second worker would gain nothing.
What a second core is worth is the machine's own: two importers that know nothing of each other,
a core and half of the files each, show it, and two workers of one importer are to gain as much.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from importer.image_files import to_png

from .peers import Peer, install, run

_FLOOR = "floor: decode and encode, 1 core"
_PEER = Peer(
    "dicom-anonymizer 2.1.0 + Pillow",
    "dicom-anonymizer==2.1.0 numpy pillow",
    """
import numpy, pydicom
from PIL import Image
from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file
def convert(path, folder, name):
    anonymize_dicom_file(path, os.path.join(folder, name))
    dataset = pydicom.dcmread(os.path.join(folder, name))
    values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    low = float(dataset.WindowCenter) - float(dataset.WindowWidth) / 2
    shown = numpy.clip((values - low) / float(dataset.WindowWidth) * 255, 0, 255)
    Image.fromarray(shown.astype(numpy.uint8)).save(os.path.join(folder, name + ".png"))
""",
)


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Bind this process, and whatever it starts meanwhile, to as many of its cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def write_series(folder: Path, count: int) -> None:
    """A CT series of `count` slices of 512 x 512."""
    folder.mkdir(parents=True)
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    small = dataset.pixel_array.astype(np.float32)
    anatomy = cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)
    generator = np.random.default_rng(0)
    noise = [generator.normal(0, 12, (512, 512)).astype(np.float32) for _ in range(4)]
    dataset.Rows = dataset.Columns = 512
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for number in range(count):
        slope = 1 + 0.1 * np.sin(number / 20)
        pixels = np.clip(anatomy * slope + noise[number % 4], 0, 4095).astype(np.int16)
        dataset.PixelData = pixels.tobytes()
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["quorum bench", str(number)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = [0, 0, 1.5 * number]
        dataset.save_as(folder / f"{number:05d}.dcm")


def floor(source: Path, out: Path) -> float:
    """Slices a second of decoding and encoding alone."""
    files = sorted(source.iterdir())
    started = time.perf_counter()
    for file in files:
        pixels = dcmread(file).pixel_array
        shown = np.clip(pixels >> 3, 0, 255).astype(np.uint8)
        (out / f"{file.stem}.png").write_bytes(to_png(shown))
    return len(files) / (time.perf_counter() - started)


def floor_in(processes: int, source: Path, out: Path) -> float:
    """Slices a second of as many processes together, each at a part of the files: what so many
    cores are worth on this machine, which may share their caches and their power.
    """
    listed = sorted(source.iterdir())
    parts = [out / f"part{number}" for number in range(processes)]
    for number, part in enumerate(parts):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for file in listed[number::processes]:
            os.link(file, part / file.name)
    code = "import sys; from pathlib import Path; from bench.importing import floor; "
    code += "print(floor(Path(sys.argv[1]), Path(sys.argv[2])))"
    with cores(processes):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code, part, out], stdout=subprocess.PIPE, text=True
            )
            for part in parts
        ]
        return sum(float(process.communicate()[0]) for process in running)


def _import(
    folder: Path, scratch: Path, core: Sequence[int], options: Sequence[str], workers: int
) -> subprocess.Popen[str]:
    """The importer over a folder, bound to these cores."""
    out = scratch / f"out-{folder.name}"
    shutil.rmtree(out, ignore_errors=True)
    copies = scratch / f"copies-{folder.name}"
    shutil.rmtree(copies, ignore_errors=True)
    command = [sys.executable, "-m", "importer", "import", str(folder), "--json"]
    command += ["--out", str(out), "--key", str(scratch / "key"), "--workers", str(workers)]
    command += [option.replace("COPIES", str(copies)) for option in options]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    finally:
        os.sched_setaffinity(0, allowed)


def _seconds(folders: Sequence[Path], scratch: Path, options: Sequence[str], workers: int) -> float:
    """Until importers that start together, one a folder, are done; each has `workers` cores."""
    allowed = sorted(os.sched_getaffinity(0))
    started = time.perf_counter()
    running = [
        _import(folder, scratch, allowed[number * workers :][:workers] or allowed, options, workers)
        for number, folder in enumerate(folders)
    ]
    reports = [json.loads(process.communicate()[0]) for process in running]
    took = time.perf_counter() - started
    for folder, report in zip(folders, reports, strict=True):
        if report["imported"] != len(list(folder.iterdir())):
            raise RuntimeError(f"only {report['imported']} slices came in")
    return took


def ours(
    source: Path,
    short: Path,
    scratch: Path,
    options: Sequence[str],
    workers: int = 1,
    importers: int = 1,
) -> float:
    """Slices a second of the importer with as many workers on as many cores, of what the long
    import has more than the short one; of several importers together, each at a part of the files.
    """

    def parts(folder: Path) -> list[Path]:
        if importers == 1:
            return [folder]
        listed = sorted(folder.iterdir())
        made = [scratch / f"{folder.name}-{number}" for number in range(importers)]
        for number, part in enumerate(made):
            if not part.exists():
                part.mkdir()
                for file in listed[number::importers]:
                    os.link(file, part / file.name)
        return made

    more = len(list(source.iterdir())) - len(list(short.iterdir()))
    return more / (
        _seconds(parts(source), scratch, options, workers)
        - _seconds(parts(short), scratch, options, workers)
    )


def peer(source: Path, scratch: Path, environments: Path) -> float:
    """Slices a second of a loop over dicom-anonymizer and Pillow."""
    python = install(_PEER, environments)
    with cores(1):
        done = run(_PEER, python, source, scratch / "peer", scratch)
    if done.failed or not done.converted:
        raise RuntimeError(f"{_PEER.name} failed on {done.failed} files")
    return done.converted / done.convert_s


def _ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """Median of the ratios of runs that were made one after the other."""
    return statistics.median(a / b for a, b in zip(rates, others, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench import``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench import", description=__doc__)
    parser.add_argument("--slices", type=int, default=800, help="of the series (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each row (%(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    environments = Path(os.environ.get("QUORUM_DATA_DIR") or ".quorum") / "peers"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        source, short, few = scratch / "ct", scratch / "short", scratch / "few"
        write_series(source, arguments.slices)
        for part, count in ((short, min(100, arguments.slices // 2)), (few, 60)):
            part.mkdir()
            for file in sorted(source.iterdir())[:count]:
                os.link(file, part / file.name)
        (scratch / "floor").mkdir()
        off = ["--burned-in", "off"]
        copies = ["--dicom-out", "COPIES"]

        def importing(*options: str, workers: int = 1, importers: int = 1) -> Callable[[], float]:
            return lambda: ours(source, short, scratch, options, workers, importers)

        rows: dict[str, Callable[[], float]] = {
            _FLOOR: lambda: floor_in(1, source, scratch / "floor"),
            "the same in 2 processes, 2 cores": lambda: floor_in(2, source, scratch / "floor"),
            "importer, 1 core": importing(),
            "importer, 2 cores": importing(workers=2),
            "two importers side by side, 2 cores": importing(importers=2),
            "importer, 1 core, text in pixels not looked for": importing(*off),
            "importer, 2 cores, text in pixels not looked for": importing(*off, workers=2),
            "importer, 1 core, with DICOM copies": importing(*copies),
            "importer, 2 cores, with DICOM copies": importing(*copies, workers=2),
        }
        if not arguments.no_peer:
            rows[_PEER.name] = lambda: peer(few, scratch, environments)
        measured: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(arguments.runs):  # in turn: what else the machine does meets all alike
            for name, measure in rows.items():
                measured[name].append(measure())
    bottom = measured[_FLOOR]
    print(f"{arguments.slices} slices, {os.cpu_count()} cores, median of {arguments.runs} runs\n")
    print("| | slices/s | of the floor | of the same on 1 core |\n|---|---|---|---|")
    for name, rates in measured.items():
        alone = measured.get(name.replace("2 cores", "1 core"), bottom)
        if name.startswith("two importers"):
            alone = measured["importer, 1 core"]
        gain = f"{_ratio(rates, alone):.2f}" if "2 cores" in name else "–"
        print(f"| {name} | {statistics.median(rates):.0f} | {_ratio(rates, bottom):.2f} | {gain} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
