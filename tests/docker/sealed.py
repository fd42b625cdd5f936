"""Commands as a container runs them: all file systems read-only, no capabilities, no new rights."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from launcher import CLONE

ENTRY = CLONE / "docker" / "entry"
_PRIVATE = ["unshare", "--user", "--map-root-user", "--mount"]
# Writable stay a volume, bound onto itself, and a tmpfs that nothing can be run from; /proc, /sys
# and /dev, with its shared memory, are a container's own there too.
_SEAL = r"""
set -eu
volume=$1; scratch=$2; shift 2
mount --bind "$volume" "$volume"
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 none "$scratch"
while read -r _ _ _ _ point _; do
  case $point in
    "$volume" | "$scratch" | /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) ;;
    *) mount -o remount,bind,ro "$point" 2>/dev/null || : ;;
  esac
done </proc/self/mountinfo
cd /
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""


def is_possible() -> bool:
    """Whether this machine lets a test have mounts of its own."""
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    done = subprocess.run(
        [*_PRIVATE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


def sealed(argv, volume: Path, scratch: Path) -> list[str]:
    """A command line that runs `argv` with nothing writable but two folders, made if missing."""
    for folder in (volume, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return [*_PRIVATE, "sh", "-c", _SEAL, "sh", str(volume), str(scratch), *map(str, argv)]


def environment(volume: Path, scratch: Path, **more: object) -> dict[str, str]:
    """What the image sets, with this interpreter in the place of the image's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(CLONE),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "QUORUM_DATA_DIR": str(volume),
        "QUORUM_LOG_FORMAT": "json",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **{name: str(value) for name, value in more.items()},
    }
