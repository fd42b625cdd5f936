"""A real Orthanc for the tests: a PACS on free loopback ports, with DICOMweb and a password."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import requests

from launcher.processes import ServiceError, Supervisor, free_port

USER, PASSWORD = "reader", "Kanari-4711"
_BINARY = Path("/usr/sbin/Orthanc")
_PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)


class Orthanc:
    """A running server with an empty storage; `stop` ends it, by its pid."""

    def __init__(self, folder: Path) -> None:
        """Raises ServiceError if Orthanc is not installed or does not start."""
        binary = str(_BINARY) if _BINARY.exists() else shutil.which("Orthanc")
        plugin = next((path for path in _PLUGINS if path.exists()), None)
        if not binary or not plugin:
            raise ServiceError("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
        self.http_port, self.dicom_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.dicomweb = f"{self.url}/dicom-web"
        self._supervisor = Supervisor()
        self._session = requests.Session()
        self._session.auth = (USER, PASSWORD)
        self._session.trust_env = False
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(folder, plugin)))
        log = folder / "orthanc.log"
        self._supervisor.start("Orthanc", [binary, str(configuration)], dict(os.environ), log)
        try:
            self._supervisor.wait_until(self._answers, "Orthanc", 30)
        except ServiceError:
            self.stop()
            raise

    def _configuration(self, folder: Path, plugin: Path) -> dict[str, Any]:
        return {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(plugin)],
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }

    def _answers(self) -> bool:
        try:
            return self._session.get(f"{self.url}/system", timeout=5).ok
        except requests.ConnectionError:
            return False

    def store(self, content: bytes) -> str:
        """Put an object into the storage; Orthanc's name of it."""
        answer = self._session.post(f"{self.url}/instances", data=content, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["ID"])

    def push(self, instances: list[str], title: str, port: int) -> bool:
        """Send instances by C-STORE to a receiver on the loopback; whether all went."""
        modality = {"AET": title, "Host": "127.0.0.1", "Port": port}
        address = f"{self.url}/modalities/receiver"
        self._session.put(address, json=modality, timeout=30).raise_for_status()
        return self._session.post(f"{address}/store", json=instances, timeout=60).ok

    def echo(self, title: str, port: int) -> bool:
        """Whether a receiver on the loopback answers C-ECHO."""
        modality = {"AET": title, "Host": "127.0.0.1", "Port": port}
        address = f"{self.url}/modalities/receiver"
        self._session.put(address, json=modality, timeout=30).raise_for_status()
        return self._session.post(f"{address}/echo", json={}, timeout=30).ok

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        self._supervisor.stop()
        self._session.close()
