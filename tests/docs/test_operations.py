"""What docs/operations.md says of a service holds together, and its script runs."""

from __future__ import annotations

import configparser
import grp
import os
import pwd
import re
import shutil
import subprocess

import pytest

from launcher import CLONE
from launcher.processes import _PATIENCE_S

TEXT = (CLONE / "docs" / "operations.md").read_text()
SCRIPT = re.search(r"```sh\n(#!/bin/sh\n.*?)```", TEXT, re.S)[1]


@pytest.fixture(scope="module")
def unit():
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    text = re.search(r"```ini\n(.*?)```", TEXT, re.S)[1]
    # A key may come twice, and all of its values count.
    several = re.findall(r"^Environment=(\w+)=(.*)$", text, re.M)
    parser.read_string(text)
    return dict(parser["Service"]), dict(several)


def test_the_socket_of_redis_lies_where_other_commands_reach_it(unit):
    """A folder of the service's own, for PrivateTmp hides /tmp from everybody else."""
    service, environment = unit
    assert service["PrivateTmp"] == "yes"
    assert environment["TMPDIR"] == f"/run/{service['RuntimeDirectory']}"
    assert service["RuntimeDirectoryMode"] == "0700"


def test_systemd_waits_longer_than_a_stop_takes(unit):
    service, _ = unit
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 2 * sum(_PATIENCE_S)
    said = int(re.search(r"It takes (\d+) s at most", TEXT)[1])
    assert 2 * sum(_PATIENCE_S) <= said < int(service["TimeoutStopSec"])


def test_prometheus_asks_where_the_service_listens(unit):
    service, _ = unit
    assert "--host" not in service["ExecStart"]
    assert 'targets: ["127.0.0.1:9090"]' in TEXT


def test_the_script_has_the_services_user_settings_and_folders(unit):
    service, environment = unit
    assert f". {service['EnvironmentFile']};" in SCRIPT
    assert f"QUORUM_DATA_DIR={environment['QUORUM_DATA_DIR']} " in SCRIPT
    assert f"--reuid {service['User']} " in SCRIPT
    assert f"cd {service['WorkingDirectory']}\n" in SCRIPT
    assert f"{service['WorkingDirectory']}/quorum up" in service["ExecStart"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="root's script")
def test_the_script_runs_a_command_with_the_settings_of_the_service(tmp_path):
    user, group = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
    clone, data, settings = tmp_path / "opt", tmp_path / "data", tmp_path / "quorum.env"
    clone.mkdir()
    settings.write_text("LABEL_STUDIO_URL='https://label-studio.example'\nQUORUM_BATCH=16\n")
    command = clone / "quorum"
    command.write_text(
        '#!/bin/sh\npwd\nenv | grep -E "^(QUORUM|LABEL_STUDIO)_" | sort\necho "$# $2"\n'
    )
    command.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(
        SCRIPT.replace("/etc/quorum.env", str(settings))
        .replace("/var/lib/quorum", str(data))
        .replace("/opt/quorum", str(clone))
        .replace("--reuid quorum --regid quorum", f"--reuid {user} --regid {group}")
    )
    script.chmod(0o755)
    done = subprocess.run(
        [script, "backup", "a name with spaces"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(clone),
        "LABEL_STUDIO_URL=https://label-studio.example",
        "QUORUM_BATCH=16",
        f"QUORUM_DATA_DIR={data}",
        "2 a name with spaces",
    ]
