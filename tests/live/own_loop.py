"""A loop of ./quorum up in a folder of its own, with a project of the shared Label Studio."""

import itertools
import json
import os
import subprocess
import time

import httpx
import psutil

from demo.run import reference_of
from importer.journal import iter_tasks
from importer.tasks import send
from launcher import CLONE
from launcher.processes import free_port
from ml_backend.jobs import Jobs
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.settings import Settings
from ml_backend.store import Store

from .conftest import SMALL


class OwnLoop:
    """Started, stopped and started again; the project stays in Label Studio."""

    def __init__(self, running, data, **settings):
        self.data, self.port, self._running = data, free_port(), running
        self.server = running.label_studio
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")},
            **SMALL,
            "LABEL_STUDIO_URL": self.server.url,
            "LABEL_STUDIO_API_KEY": running.account.token,
            "QUORUM_DATA_DIR": str(data),
            "QUORUM_HEARTBEAT_S": "2",
            **settings,
        }
        config = (CLONE / "label_config.xml").read_text()
        self.project_id = self.server.create_project("Of its own", config)
        folder = running.settings.data_dir / "import"
        send(itertools.islice(iter_tasks(folder), 24), folder, self.server, self.project_id)
        self._config = BrushConfig.parse(self.server.project(self.project_id)["label_config"])
        self._up = None

    def quorum(self, *arguments):
        return subprocess.run(
            [CLONE / "quorum", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self):
        """./quorum up, until it says that it is there."""
        self._up = subprocess.Popen(
            [CLONE / "quorum", "up", "--port", str(self.port)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        said = []
        for line in self._up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                return
        raise AssertionError("".join(said))

    def connect(self):
        done = self.quorum("connect", str(self.project_id), "--backend-url", self.address)
        assert done.returncode == 0, done.stderr

    def signal(self, number):
        self._up.send_signal(number)

    def ended(self, timeout_s=40):
        """Exit status, and the seconds until it came."""
        began = time.monotonic()
        try:
            return self._up.wait(timeout_s), time.monotonic() - began
        finally:
            self._up.kill()
            self._up.wait()
            self._up.stdout.close()
            self._up = None

    def end(self):
        """End it, however it stands."""
        if self._up is not None:
            self._up.terminate()
            self.ended()

    def left(self):
        """Processes of this loop that still run."""
        return [
            process
            for process in psutil.process_iter(["environ", "cmdline"])
            if (process.info["environ"] or {}).get("QUORUM_DATA_DIR") == str(self.data)
        ]

    def label(self, annotator, count):
        draw = reference_of(self._running.key)
        for _ in range(count):
            task = annotator.next_task(self.project_id)
            regions = to_regions(draw(task["data"]), self._config)
            annotator.submit(self.project_id, task["id"], regions, lead_time_s=20)

    def predict(self):
        """What the backend answers to Label Studio about one task."""
        task = next(iter(self.server.tasks(self.project_id)))
        body = {
            "tasks": [{"id": task.id, "data": task.data}],
            "project": f"{self.project_id}.1",
            "label_config": (CLONE / "label_config.xml").read_text(),
            "params": {},
        }
        answer = httpx.post(f"{self.address}/predict", json=body, auth=self.auth, timeout=60)
        answer.raise_for_status()
        return answer.json()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def secrets(self):
        return json.loads((self.data / "secrets.json").read_text())

    @property
    def auth(self):
        names = ("QUORUM_BASIC_AUTH_USER", "QUORUM_BASIC_AUTH_PASSWORD")
        return tuple(self.secrets[name] for name in names)

    @property
    def store(self):
        return Store(self.data / "store", self.project_id)

    @property
    def served(self):
        """The version that Label Studio follows."""
        return str(self.server.project(self.project_id)["model_version"])

    @property
    def notice(self):
        return json.loads((self.data / "running.json").read_text())["environment"]

    @property
    def jobs(self):
        return Jobs.connect(Settings.from_environment(self.notice))
