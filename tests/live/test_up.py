"""A user's own Label Studio: ./quorum up, import, connect, export, as the README tells it."""

import os
import signal
import subprocess

import psutil
import pydicom.data
import pytest

from launcher import CLONE
from launcher.processes import free_port

from .conftest import SMALL


@pytest.fixture
def environment(running, tmp_path):
    return {
        **os.environ,
        **SMALL,
        "LABEL_STUDIO_URL": running.label_studio.url,
        "LABEL_STUDIO_API_KEY": running.account.token,
        "QUORUM_DATA_DIR": str(tmp_path / "data"),
    }


def quorum(environment, *arguments):
    return subprocess.run(
        [CLONE / "quorum", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_readme_s_steps_connect_a_project_of_one_s_own(
    running, environment, tmp_path, eventually
):
    server = running.label_studio
    project = server.create_project("My own", (CLONE / "label_config.xml").read_text())
    bare = server.create_project("Bare", '<View><Image name="image" value="$image"/></View>')
    port = free_port()
    up = subprocess.Popen(
        [CLONE / "quorum", "up", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        said = []
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert "./quorum connect PROJECT" in "".join(said), said
        files = [pydicom.data.get_testdata_file(n) for n in ("MR_small.dcm", "CT_small.dcm")]
        key = ("--key", str(tmp_path / "key"), "--out", str(tmp_path / "out"))
        for new in (2, 0):
            imported = quorum(environment, "import", *files, *key, "--project", str(project))
            assert imported.returncode == 0, imported.stderr
            assert f"{new} new tasks" in imported.stderr
        address = ("--backend-url", f"http://127.0.0.1:{port}")
        refused = quorum(environment, "connect", str(bare), *address)
        assert refused.returncode == 1 and "BrushLabels" in refused.stderr
        connected = quorum(environment, "connect", str(project), *address)
        assert connected.returncode == 0, connected.stderr
        eventually(
            lambda: str(server.project(project)["model_version"]).startswith("r0000-"),
            "the first order",
        )
        exported = quorum(environment, "export", str(project), "--out", str(tmp_path / "taken"))
        assert exported.returncode == 0 and "0 slices" in exported.stdout
        second = quorum(environment, "up", "--port", str(free_port()))
        assert second.returncode == 1 and "running already at" in second.stderr
    finally:
        up.send_signal(signal.SIGINT)
        try:
            assert up.wait(40) == 0
        finally:
            up.kill()
            up.stdout.close()
    left = [
        process
        for process in psutil.process_iter(["environ", "cmdline"])
        if (process.info["environ"] or {}).get("QUORUM_DATA_DIR", "").startswith(str(tmp_path))
    ]
    assert left == []
