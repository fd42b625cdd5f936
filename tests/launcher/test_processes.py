"""Processes are started, watched and stopped: these and no others."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from launcher.data_lock import DataLock
from launcher.processes import (
    ServiceError,
    Supervisor,
    free_port,
    port_is_free,
    port_number,
    port_trouble,
)


def wait_for(condition, timeout_s=10.0):
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stop_ends_what_was_started_with_its_children_and_nothing_else(tmp_path):
    bystander = subprocess.Popen(["sleep", "60"])
    supervisor = Supervisor()
    script = "sleep 60 & echo $! > child; wait"
    pid = supervisor.start(
        "Service", ["bash", "-c", f"cd {tmp_path}; {script}"], os.environ, tmp_path / "log"
    )
    assert wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    child = int((tmp_path / "child").read_text())
    supervisor.check()
    supervisor.stop()
    try:
        assert wait_for(lambda: not is_running(pid) and not is_running(child))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_service_that_ignores_the_request_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("launcher.processes._PATIENCE_S", (0.3, 0.3))
    supervisor = Supervisor()
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    pid = supervisor.start(
        "Stubborn",
        [sys.executable, "-c", f"{stubborn}; time.sleep(60)"],
        os.environ,
        tmp_path / "log",
    )
    assert wait_for(lambda: (tmp_path / "log").read_text())
    supervisor.stop()
    assert not is_running(pid)


def test_a_dead_service_is_named_with_its_log(tmp_path):
    supervisor = Supervisor()
    supervisor.start("Redis", ["false"], os.environ, tmp_path / "redis.log")
    with pytest.raises(ServiceError, match=r"Redis ended unexpectedly.*redis\.log"):
        supervisor.wait_until(lambda: False, "Redis", 10)
    with pytest.raises(ServiceError, match="Nothing cannot be started"):
        supervisor.start("Nothing", ["/no/such/program"], os.environ, tmp_path / "log")


def test_a_worker_that_died_is_started_again_but_not_for_ever(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("launcher.processes._STILLBORN_S", 0)
    supervisor = Supervisor()
    supervisor.start("Worker 0", ["sh", "-c", "exit 3"], os.environ, tmp_path / "log", 2)
    with pytest.raises(ServiceError, match=r"Worker 0 ended unexpectedly \(status 3\)"):
        supervisor.wait_until(lambda: False, "The backend", 10)
    assert capsys.readouterr().err.count("starting it again") == 2


def test_a_service_that_ends_before_it_first_worked_is_not_started_again(
    tmp_path, capsys, monkeypatch
):
    """A setting that it refuses shows only after seconds of imports."""
    monkeypatch.setattr("launcher.processes._STILLBORN_S", 0)
    supervisor = Supervisor()
    supervisor.start("The backend", ["sh", "-c", "exit 3"], os.environ, tmp_path / "log", 20)
    with pytest.raises(ServiceError, match=r"The backend ended unexpectedly.*: see .*log"):
        supervisor.wait_until(lambda: False, "The backend", 10)
    assert "starting it again" not in capsys.readouterr().err


def test_who_ends_right_after_its_first_start_is_not_started_again(tmp_path, capsys):
    supervisor = Supervisor()
    supervisor.start("The backend", ["sh", "-c", "exit 3"], os.environ, tmp_path / "log", 20)
    with pytest.raises(ServiceError, match=r"The backend ended unexpectedly \(status 3\)"):
        supervisor.wait_until(lambda: False, "The backend", 10)
    assert "starting it again" not in capsys.readouterr().err


def test_a_service_that_never_answers_is_given_up_and_its_log_is_named(tmp_path):
    supervisor = Supervisor()
    supervisor.start("Label Studio", ["sleep", "60"], os.environ, tmp_path / "ls.log")
    try:
        with pytest.raises(ServiceError, match=r"Label Studio did not start within 0 s: see .*ls"):
            supervisor.wait_until(lambda: False, "Label Studio", 0.3)
    finally:
        supervisor.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_services_do_not_outlive_a_launcher_that_was_killed(tmp_path):
    code = (
        "import os, time; from pathlib import Path; from launcher.processes import Supervisor\n"
        f"pid = Supervisor().start('S', ['sleep', '60'], os.environ, Path({str(tmp_path)!r})/'l')\n"
        "print(pid, flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(launcher.stdout.readline())
    assert is_running(pid)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    assert wait_for(lambda: not is_running(pid))


def test_logs_are_their_owner_s_alone(tmp_path):
    supervisor = Supervisor()
    supervisor.start("S", ["sleep", "1"], os.environ, tmp_path / "log")
    supervisor.stop()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_second_start_is_told_where_the_first_one_is(tmp_path):
    lock = DataLock(tmp_path)
    lock.announce("http://127.0.0.1:8080", {"QUORUM_REDIS_URL": "unix:///x"})
    with pytest.raises(ServiceError, match=r"running already at http://127\.0\.0\.1:8080"):
        DataLock(tmp_path)
    assert json.loads((tmp_path / "running.json").read_text())["pid"] == os.getpid()
    lock.release()
    DataLock(tmp_path).release()


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_ports(family, host):
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    port = free_port()
    assert port_is_free(port, host)
    with socket.socket(family) as server:
        server.bind((host, port))
        server.listen()
        assert not port_is_free(port, host)


@pytest.mark.parametrize(
    ("port", "host", "told"),
    [
        (9090, "nosuchhost.invalid", "--host"),
        (9090, "192.0.2.1", "--host"),  # RFC 5737: nobody's
        (9090, "x" * 70, "--host"),
    ],
)
def test_a_host_that_cannot_be_listened_at_is_not_called_a_port_in_use(port, host, told):
    trouble = port_trouble(port, "--port", host)
    assert told in trouble and "in use" not in trouble


def test_a_port_in_use_is_told_with_the_option_that_chooses_another():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        trouble = port_trouble(server.getsockname()[1], "--backend-port")
    assert "in use by another program" in trouble and "--backend-port" in trouble
    assert port_trouble(free_port(), "--port") == ""


@pytest.mark.skipif(not Path("/proc/sys/net").exists(), reason="this setting is Linux's")
def test_a_port_for_root_alone_is_told_as_such():
    if os.geteuid() or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 81:
        pytest.skip("needs root, and ports that are root's alone")
    code = (
        "import os; from launcher.processes import port_trouble\n"
        "os.setgid(65534); os.setuid(65534); print(port_trouble(80, '--port'))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "not for ordinary users" in told.stdout and "in use" not in told.stdout


@pytest.mark.parametrize("text", ["0", "-1", "65536", "99999", "http", "", "9" * 5000])
def test_what_is_no_port_is_refused_on_the_command_line(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no port"):
        port_number(text)


def test_all_are_stopped_at_the_same_time_but_those_that_others_need_after_them(tmp_path):
    """Each notes that it was asked to end, and how it took its time for it."""
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    print('asked', time.time(), flush=True); time.sleep(1.5)\n"
        "    print('ended', time.time(), flush=True); sys.exit()\n"
        "signal.signal(15, end); print('up', time.time(), flush=True)\n"
        "while True: time.sleep(0.1)"
    )
    supervisor = Supervisor()
    names = ("Redis", "The backend", "Worker 0", "Worker 1")
    for name in names:
        supervisor.start(name, [sys.executable, "-c", code], os.environ, tmp_path / name)
    assert wait_for(lambda: all((tmp_path / name).read_text() for name in names), 30)
    supervisor.stop()
    told = {
        name: dict(line.split() for line in (tmp_path / name).read_text().splitlines())
        for name in names
    }
    others = names[1:]
    assert max(told[n]["asked"] for n in others) < min(told[n]["ended"] for n in others)
    assert told["Redis"]["asked"] > max(told[n]["ended"] for n in others)


def test_a_signal_during_the_stop_hastens_it_and_leaves_nothing_behind(tmp_path):
    """A second Ctrl-C, a terminal that is closed, systemd losing patience."""
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    code = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from launcher.processes import Supervisor, stop_on_signals\n"
        "stop_on_signals(); supervisor = Supervisor()\n"
        f"log = Path({str(tmp_path)!r}) / 'log'\n"
        f"argv = [sys.executable, '-c', {stubborn + '; time.sleep(60)'!r}]\n"
        "print(supervisor.start('Stubborn', argv, os.environ, log), flush=True)\n"
        "try:\n"
        "    while True: time.sleep(1)\n"
        "except KeyboardInterrupt: print('stopping', flush=True)\n"
        "finally: supervisor.stop()\n"
        "print('done', flush=True)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(launcher.stdout.readline())
        assert wait_for(lambda: (tmp_path / "log").read_text(), 30)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.stdout.readline() == "stopping\n"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            launcher.send_signal(number)
            time.sleep(0.3)
        assert launcher.stdout.readline() == "done\n"
        assert launcher.wait(30) == 0
    finally:
        launcher.kill()
        launcher.wait()
        launcher.stdout.close()
    assert not is_running(pid)
