"""Which package may know which: an arrow back would make one of the two."""

import ast
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[1]
PACKAGES = {"bench", "demo", "dicom", "importer", "launcher", "ml_backend", "tests"}
KNOWS = {
    "dicom": set(),
    "ml_backend": {"dicom"},
    "importer": {"dicom", "ml_backend"},  # how Label Studio is called
    "launcher": {"demo", "importer", "ml_backend"},
}


def imported(folder):
    """(file, package) of each import from outside a folder, wherever in a file it stands."""
    for path in (CLONE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                yield path.relative_to(CLONE), name.split(".")[0]


@pytest.mark.parametrize("package", sorted(KNOWS))
def test_a_package_imports_those_below_it_alone(package):
    found = [(path, name) for path, name in imported(package) if name in PACKAGES - {package}]
    assert [(path, name) for path, name in found if name not in KNOWS[package]] == []
    assert {name for _, name in found} == KNOWS[package]
