"""Debian packages that only the tests need: a real PACS, DICOM's own validator, an object store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# A command by which each package is known to be there.
TEST_PACKAGES = {
    "orthanc": "Orthanc",
    "orthanc-dicomweb": "/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
    "dicom3tools": "dciodvfy",
    "chromium": "chromium",
    "nginx": "nginx",
    "libnginx-mod-stream": "/usr/lib/nginx/modules/ngx_stream_module.so",
    "python3-swift": "/usr/lib/python3/dist-packages/swift/proxy/server.py",
}
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


def missing(packages: Mapping[str, str]) -> list[str]:
    """Which packages are not installed."""
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM}"
    return [
        package
        for package, known_by in packages.items()
        if not (Path(known_by).exists() or shutil.which(known_by, path=path))
    ]


def ensure_packages(packages: Mapping[str, str]) -> None:
    """Install what is missing if that can be done without asking, else say how to."""
    wanted = missing(packages)
    if not wanted:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' '.join(wanted)} for the tests …", file=sys.stderr, flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                check=False,
            )  # fmt: skip
        wanted = missing(packages)
    if wanted:
        print(
            f"quorum test: without {' '.join(wanted)} some tests fail; "
            f"install with: sudo apt-get install {' '.join(wanted)}",
            file=sys.stderr,
            flush=True,
        )
