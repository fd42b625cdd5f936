"""An import that is killed in the middle."""

import json
import shutil
import subprocess
import sys
import time

import psutil
from pydicom import dcmread

from .files import CT

COUNT = 600


def killed_in_the_middle(command, images):
    """Kill an import once it has made some pictures; how many there are."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as import_:
        children = []
        while import_.poll() is None and len(list(images.glob("*"))) <= 20:
            # Here, not once they are at it: on a busy machine they would be done by then.
            children = psutil.Process(import_.pid).children(recursive=True)
            time.sleep(0.005)
        import_.kill()
    _, left = psutil.wait_procs(children, timeout=20)
    assert not left
    return len(list(images.glob("[!.]*.png")))


def test_a_killed_import_goes_on_where_it_stopped_and_leaves_no_process(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    dataset = dcmread(CT)
    for number in range(COUNT):
        dataset.SOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.ImagePositionPatient = [0, 0, number]
        dataset.save_as(source / f"{number:03d}")
    command = [sys.executable, "-m", "importer", "import", source, "--out", out, "--json"]
    command += ["--key", tmp_path / "key", "--workers", "2"]
    images = out / "images"
    for _ in range(5):  # on a busy machine an import may be done before this process sees it
        shutil.rmtree(out, ignore_errors=True)
        made = killed_in_the_middle(command, images)
        if made < COUNT:
            break
    assert 20 < made < COUNT
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["imported"] + report["already_there"] == COUNT
    tasks = json.loads((out / "tasks.json").read_text())
    positions = [task["data"]["slice_position_mm"] for task in tasks]
    assert positions == [float(n) for n in range(COUNT)]
    assert len(list(images.iterdir())) == COUNT  # and nothing half written
