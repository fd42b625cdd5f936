"""What goes into the images, read from the Dockerfile and tried on the imports."""

import ast
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from launcher import CLONE

DOCKER = CLONE / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
IMAGES = ("backend", "importer")


def lines(path):
    """Requirements of a file by name, as they are written there."""
    text = [line.strip() for line in path.read_text().splitlines()]
    return {Requirement(t).name.lower(): t for t in text if t and not t.startswith("#")}


def stage(name):
    return re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)[1]


def copied(name):
    """What an image copies of the clone."""
    found = re.findall(r"^COPY (?!--from)(.+) \S+$", stage(name), re.M)
    return [source for line in found for source in line.split()]


def lay_out(name, folder):
    """What an image copies of the clone, and no more, in a folder."""
    for path in [p for s in copied(name) if not s.startswith("docker") for p in CLONE.glob(s)]:
        place = folder / path.relative_to(CLONE)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, place)


@pytest.mark.parametrize("image", IMAGES)
def test_requirements_are_those_of_the_product_with_the_same_bounds(image):
    whole = lines(CLONE / "requirements.txt")
    for name, line in lines(DOCKER / f"requirements-{image}.txt").items():
        assert whole.get(name) == line, f"{line} differs from requirements.txt"


@pytest.mark.parametrize("image", IMAGES)
def test_what_the_code_imports_is_installed(image):
    given = set(lines(DOCKER / f"requirements-{image}.txt"))
    given |= set(lines(CLONE / "requirements-no-deps.txt"))
    known = metadata.packages_distributions()
    installed = _with_dependencies(given)
    # A hospital's PACS is spoken to by the importer alone.
    elsewhere = {"pynetdicom", "dicomweb-client"} if image == "backend" else set()
    for place in [place for source in copied(image) for place in CLONE.glob(source)]:
        for path in [place] if place.suffix == ".py" else place.rglob("*.py"):
            for module in _imports(path):
                names = {n.lower() for n in known.get(module, [])}
                assert not names or names & (installed | elsewhere), f"{path} imports {module}"


def _imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names)


def _with_dependencies(names):
    """Distributions with all that they require, by their names in small letters."""
    seen, open_ = set(), {re.sub(r"[-_.]+", "-", name.lower()) for name in names}
    while open_:
        name = open_.pop()
        seen |= {name, name.replace("-", "_")}
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in required:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                open_ |= {re.sub(r"[-_.]+", "-", need.name.lower())} - seen
    return seen


def test_the_importer_image_needs_no_torch_no_server_and_no_queue(tmp_path):
    lay_out("importer", tmp_path)
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not in the importer's image", name=name)

BLOCKED = {"torch", "flask", "redis", "rq", "waitress", "scipy", "SimpleITK", "s3fs", "monai",
           "label_studio_sdk", "label_studio_ml", "safetensors", "launcher"}
sys.meta_path.insert(0, Absent())
import importer.cli
import importer.sources.dicomweb, importer.sources.receiver, importer.segmentations.command
import dicom.segment
from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.settings import Settings
LabelStudio(Settings.from_environment({}).label_studio_url, "0" * 40)
raise SystemExit(importer.cli.main(["import", "--help"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_backend_image_has_all_that_backup_and_restore_import(tmp_path):
    lay_out("backend", tmp_path)
    assert not (tmp_path / "demo").exists() and not (tmp_path / "bench").exists()
    for command in ("backup", "restore"):
        done = subprocess.run(
            [sys.executable, "-m", "launcher.backup", command, "--help"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"usage: quorum {command}" in done.stdout


def test_what_the_images_copy_is_let_through_and_is_there():
    allowed = (CLONE / ".dockerignore").read_text().split()
    for name in ("builder", "runtime", *IMAGES):
        for source in copied(name):
            assert any(
                a.startswith("!")
                and (source == a[1:] or source.startswith(f"{a[1:]}/") or fnmatch(source, a[1:]))
                for a in (line.replace("constraints.txt", "constraints.tx[t]") for line in allowed)
            ), f"{source} is kept out by .dockerignore"
            assert list(CLONE.glob(source)) or source == "constraints.tx[t]"


def test_nothing_else_of_the_clone_reaches_an_engine():
    allowed = [a for a in (CLONE / ".dockerignore").read_text().split() if a.startswith("!")]
    assert (CLONE / ".dockerignore").read_text().startswith("*\n")
    assert not [a for a in allowed if ".env" in a or a in ("!docker", "!.quorum", "!tests")]


@pytest.mark.parametrize("image", IMAGES)
def test_images_run_as_nobody_special(image):
    assert re.search(r"^USER 10001:10001$", stage(image), re.M)
    assert "--uid 10001" in stage("runtime")


def test_nothing_that_builds_is_in_an_image():
    for image in IMAGES:
        assert "pip" not in stage(image) and "apt" not in stage(image)
    assert "pip" not in stage("runtime")


def test_bases_are_pinned_to_a_release():
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert bases == {"${PYTHON_IMAGE}", "builder", "runtime"}
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.M)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("hadolint", [str(DOCKER / "Dockerfile")]),
        ("shellcheck", ["-x", *map(str, sorted((DOCKER / "entry").glob("*.sh"))), "quorum"]),
    ],
)
def test_the_linters_find_nothing(program, arguments):
    linter = Path(sys.executable).with_name(program)
    if not linter.exists():
        pytest.skip(f"{program} has no wheel for this platform")
    done = subprocess.run(
        [linter, *arguments], cwd=CLONE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
