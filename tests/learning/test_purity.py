"""The core is pure: it knows nothing of the services around it."""

import json
import subprocess
import sys

IMPORT_ALL = """
import importlib, json, pkgutil, sys
import ml_backend.learning as core
names = [m.name for m in pkgutil.walk_packages(core.__path__, core.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(json.dumps([names, sorted({name.split(".")[0] for name in sys.modules})]))
"""
SERVICES = {"flask", "redis", "rq", "httpx", "requests", "label_studio_ml", "label_studio_sdk"}
ONLY_WHERE_NEEDED = {"scipy", "SimpleITK", "monai"}


def test_the_learning_core_imports_no_service_and_its_large_packages_only_where_needed():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True, timeout=120
    )
    modules, loaded = json.loads(done.stdout)
    assert "ml_backend.learning.strategies.registry" in modules
    assert "ml_backend.learning.committee" in modules
    assert not (SERVICES | ONLY_WHERE_NEEDED) & set(loaded)
