"""The disk that the store lies on: it can be filled, and it can be taken away.

Where a small file system may be mounted (as root, or in a user namespace of one's own), the disk
is a tmpfs and truly full: writes get ENOSPC. Elsewhere the backend's and the workers' limit of a
file's size is set to 0 for a while (RLIMIT_FSIZE; needs no rights): their writes get EFBIG.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from launcher import CLONE

_SIZE_MIB = 64
_MARK = "QUORUM_FAULTS_OWN_MOUNTS"


def enter_own_mounts(arguments: Sequence[str]) -> None:
    """Start the command again where it may mount a disk that nobody else sees, if possible.

    Returns if it is there already, or may not. The mount goes with the last process.
    """
    if _MARK in os.environ or not (unshare := shutil.which("unshare")):
        return
    spaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "quorum-faults"]
    with tempfile.TemporaryDirectory() as folder:
        trial = [unshare, *spaces, *mount, folder]
        if subprocess.run(trial, capture_output=True, check=False).returncode:
            return
    environment = {**os.environ, _MARK: "1", "PYTHONPATH": str(CLONE)}
    argv = ["unshare", *spaces, sys.executable, "-m", "bench.faults", *arguments]
    sys.stdout.flush()
    os.execve(unshare, argv, environment)


class Disk:
    """A folder for the store that can be full or lose the store's folder."""

    def __init__(self, folder: Path, writers: Callable[[], list[int]]) -> None:
        """`writers` are the pids of the processes that write there, for want of a mount."""
        self.folder = folder
        self.store = folder / "store"
        self._away = folder / "store-away"
        self._writers = writers
        self.is_mounted = False
        self.shadows = 0  # stores begun anew while the true one was away
        folder.mkdir(parents=True)
        if _MARK in os.environ:
            mount = [
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={_SIZE_MIB}m",
                "quorum-faults",
                str(folder),
            ]
            self.is_mounted = subprocess.run(mount, check=False).returncode == 0
        self.store.mkdir()

    @property
    def way(self) -> str:
        """How it is filled, for the report."""
        if self.is_mounted:
            return f"a tmpfs of {_SIZE_MIB} MiB of its own, filled to the last byte (ENOSPC)"
        return "RLIMIT_FSIZE of 0 on the backend and the workers (EFBIG); no mount allowed here"

    def fill(self) -> None:
        """Not one byte more can be written."""
        if not self.is_mounted:
            self._limit(0)
            return
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            for size in (2**20, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def free(self) -> None:
        """Somebody made room."""
        if not self.is_mounted:
            self._limit(resource.RLIM_INFINITY)
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the mount."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def _limit(self, size: int) -> None:
        for pid in self._writers():
            with suppress(OSError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def take_away(self) -> None:
        """The store's folder is gone, as when a mount is lost."""
        self.store.rename(self._away)

    def bring_back(self) -> None:
        """The folder is back; what was written in its place lies under the mount, unseen."""
        if self.store.exists():
            self.shadows += 1
            self.store.rename(self.folder / f"shadow-{self.shadows}")
        self._away.rename(self.store)
