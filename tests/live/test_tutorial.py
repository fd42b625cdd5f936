"""A newcomer's run of docs/tutorial.md: its blocks are typed word for word, in two terminals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher import CLONE
from launcher.processes import free_port, port_is_free
from launcher.setup import LABEL_STUDIO_ENVIRONMENT, QUORUM

TUTORIAL = CLONE / "docs" / "tutorial.md"
STEP_TIMEOUT_S = 600.0
_LEFT_BEHIND = (".git", ".venv*", ".quorum", "__pycache__", "*.pyc", ".*_cache", "shared")


@dataclass
class Step:
    """What is typed (or done by hand), in which terminal, and what the text says is printed."""

    terminal: str
    typed: str
    by_hand: bool = False
    expected: list[str] = field(default_factory=list)


def steps_of(text: str) -> list[Step]:
    """The blocks of a tutorial in their order."""
    found: list[Step] = []
    terminal = ""
    blocks = re.compile(
        r"\*\*(?P<terminal>first|second) terminal\*\*"
        r"|^```(?P<kind>\w+)\n(?P<block>.*?)^```$"
        r"|^<!-- by hand:(?P<hand>.*?)-->$",
        re.DOTALL | re.MULTILINE,
    )
    for match in blocks.finditer(text):
        if match["terminal"]:
            terminal = match["terminal"]
        elif match["hand"]:
            found.append(Step(terminal, match["hand"].strip(), by_hand=True))
        elif match["kind"] == "bash":
            found.append(Step(terminal, match["block"]))
        elif match["kind"] == "text":
            found[-1].expected.append(match["block"])
        else:
            raise AssertionError(f"a block is neither bash nor text: {match['kind']}")
    return found


def pattern_of(expected: str) -> re.Pattern[str]:
    """What a text block stands for: ... is anything within a line, runs of blanks are one."""
    lines = []
    for line in expected.strip().splitlines():
        words = [re.escape(part) for part in line.strip().split("...")]
        lines.append(r"[ \t]*" + re.sub(r"(\\ )+", r"[ \\t]+", ".*".join(words)) + r"[^\n]*")
    return re.compile(r"\n".join(lines))


class Terminal:
    """One bash, as a person's: what is typed, and what it shows."""

    def __init__(self, folder: Path, environment: dict[str, str], screen: Path) -> None:
        self._screen = screen
        self._stream = screen.open("wb")
        self._shell = subprocess.Popen(
            ["bash", "--norc", "-e"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._blocks = 0

    def shown(self) -> str:
        """All that was printed so far."""
        return self._screen.read_text(errors="replace")

    def type(self, block: str) -> str:
        """Type a block; a mark that is printed once it has ended well."""
        self._blocks += 1
        mark = f"-- block {self._blocks} ended --"
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{block}\necho '{mark}'\n")
        self._shell.stdin.flush()
        return mark

    def await_text(self, wanted: re.Pattern[str], since: int, what: str) -> None:
        """Wait until something is shown; fails with all that was shown instead."""
        limit = time.monotonic() + STEP_TIMEOUT_S
        while not wanted.search(self.shown(), since):
            ended = self._shell.poll() is not None
            if ended or time.monotonic() > limit:
                time.sleep(0.2)
                if wanted.search(self.shown(), since):
                    return
                why = "the shell ended" if ended else f"not within {STEP_TIMEOUT_S:.0f} s"
                raise AssertionError(f"{what}\n{why}; the terminal shows:\n{self.shown()[since:]}")
            time.sleep(0.2)

    def interrupt(self) -> None:
        """Ctrl-C: what runs in the foreground gets SIGINT, and so does the shell."""
        os.killpg(self._shell.pid, signal.SIGINT)

    def close(self) -> None:
        """End the shell and what runs in it."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        try:
            if self._shell.poll() is None:
                self.interrupt()
            self._shell.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        self._stream.close()


def with_free_ports(text: str) -> str:
    """The tutorial as it is; only if another program has its ports, with others in their place."""
    for usual, option in ((8080, "--port"), (9090, "--backend-port")):
        if not port_is_free(usual):
            other = free_port()
            text = text.replace("./quorum demo\n", f"./quorum demo {option} {other}\n")
            text = re.sub(r"(\./quorum demo .*)\n", rf"\1 {option} {other}\n", text, count=1)
            text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{other}")
            if option == "--backend-port":
                address = f"--backend-url http://127.0.0.1:{other}"
                text = text.replace("./quorum connect 2\n", f"./quorum connect 2 {address}\n")
    return text


@pytest.fixture
def clone(tmp_path):
    """A copy of the clone with nothing done in it yet, but the packages, which take 3 GB."""
    for environment in (QUORUM, LABEL_STUDIO_ENVIRONMENT):
        assert environment.is_ready(), f"{environment.name} is not set up: run ./quorum test"
    folder = tmp_path / "clone"
    shutil.copytree(CLONE, folder, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
    for environment in (QUORUM, LABEL_STUDIO_ENVIRONMENT):
        (folder / environment.name).symlink_to(environment.folder)
    return folder


@pytest.mark.slow
def test_a_newcomer_gets_from_a_clone_to_an_export_by_the_tutorial_alone(clone, tmp_path):
    ours = ("QUORUM_", "LABEL_STUDIO_", "PYTHONPATH", "PYTHONSAFEPATH", "OMP_")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(ours)}
    steps = steps_of(with_free_ports(TUTORIAL.read_text()))
    assert {step.terminal for step in steps} == {"first", "second"}
    terminals = {
        name: Terminal(clone, environment, tmp_path / f"{name}.txt") for name in ("first", "second")
    }
    try:
        for number, step in enumerate(steps, start=1):
            if step.by_hand and "Ctrl-C" in step.typed:
                terminal = terminals["first"]
                since = len(terminal.shown())
                terminal.interrupt()
                ends = None
            else:
                terminal = terminals[step.terminal]
                since = len(terminal.shown())
                ends = terminal.type(step.typed)
            what = f"step {number}: {step.typed.strip()}"
            # What the first terminal runs stays: there is only what it prints to wait for.
            if ends and step.terminal != "first":
                terminal.await_text(re.compile(re.escape(ends)), since, what)
            for expected in step.expected:
                terminal.await_text(pattern_of(expected), since, f"{what}\nto print:\n{expected}")
    finally:
        for terminal in reversed(terminals.values()):
            terminal.close()
    exported = clone / "my-first-masks.zip"
    assert exported.is_file() and exported.stat().st_mode & 0o077 == 0


def test_every_block_of_the_tutorial_is_read():
    text = TUTORIAL.read_text()
    steps = steps_of(text)
    blocks = len(re.findall(r"^```\w+$", text, re.MULTILINE))
    hands = text.count("<!-- by hand:")
    assert sum(1 + len(step.expected) for step in steps) == blocks + hands
    assert all(step.terminal for step in steps)
    assert len([step for step in steps if not step.by_hand]) >= 12


def test_what_is_expected_is_compared_but_for_what_differs():
    wanted = pattern_of("* r0001-...  ... labels  mean IoU 0...\nnext 5")
    assert wanted.search("x\n* r0001-3f9c2a       8 labels  mean IoU 0.412\nnext   5\n")
    assert not wanted.search("* r0001-3f9c2a  8 labels  mean IoU –\nnext 5")
    assert not wanted.search("* r0001-3f9c2a  8 labels  mean IoU 0.4\nother\nnext 5")
