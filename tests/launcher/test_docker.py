"""What can be said of docker/ without an engine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launcher import CLONE

DOCKER = CLONE / "docker"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_label_studio_is_told_to_accept_a_private_backend(compose):
    environment = compose["services"]["label-studio"]["environment"]
    assert environment["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] == "false"


def test_ports_are_published_on_the_loopback_only(compose):
    published = [p for s in compose["services"].values() for p in s.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_secrets_have_no_default(compose):
    text = (DOCKER / "compose.yaml").read_text()
    for name in ("LABEL_STUDIO_API_KEY", "QUORUM_BASIC_AUTH_PASSWORD", "QUORUM_WEBHOOK_SECRET"):
        assert f"${{{name}:?" in text
        assert f"{name}=\n" in (DOCKER / ".env.example").read_text()


def test_worker_and_attendant_run_what_the_launcher_runs(compose):
    assert compose["services"]["worker"]["command"][1:] == ["-m", "ml_backend.worker"]
    attendant = compose["services"]["attendant"]["command"][1:]
    assert attendant == ["-m", "ml_backend.worker", "--attendant"]
    assert "ml_backend.worker" in (CLONE / "launcher" / "services.py").read_text()


def test_the_gpu_file_changes_services_that_exist(compose):
    gpu = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
    assert set(gpu["services"]) <= set(compose["services"])
    devices = gpu["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_the_image_installs_what_the_launcher_installs_and_runs_as_nobody_special():
    text = (DOCKER / "Dockerfile").read_text()
    assert "-r requirements.txt" in text
    assert "--no-deps -r requirements-no-deps.txt" in text
    assert "USER 10001" in text


def test_what_the_image_copies_is_let_through():
    ignored = (CLONE / ".dockerignore").read_text().split()
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert f"!{source}" in ignored
                assert (CLONE / source).exists()


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint has no wheel for this platform")
    done = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_compose_accepts_the_files(tmp_path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    values = {
        line.split("=")[0]: "x"
        for line in (DOCKER / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    }
    files = ["-f", DOCKER / "compose.yaml", "-f", DOCKER / "compose.gpu.yaml"]
    done = subprocess.run(
        [program, *files, "config"],
        env={"PATH": "/usr/bin:/bin", **values},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "capabilities" in done.stdout
