"""docs/reference/cli.md: every command of ./quorum with its --help, from the real parsers."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from .. import cli
from .help_text import help_of, sub_parsers
from .markdown import document

Command = Callable[[Sequence[str]], int]


class _Found(BaseException):
    """Thrown by a parser in place of parsing; a BaseException, so that no command catches it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(name: str, command: Command) -> argparse.ArgumentParser | None:
    """The parser that a command makes; None if its module is not there or it has none."""

    def found(parser: argparse.ArgumentParser, *arguments: object, **more: object) -> None:
        raise _Found(parser)

    with _nowhere(), patch.object(argparse.ArgumentParser, "parse_known_args", found):
        try:
            command(["--help"])
        except _Found as reached:
            return reached.parser
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("bench", "launcher", "ml_backend"):
                raise
            return None
    raise RuntimeError(f"./quorum {name} has no argparse parser: give it one, or name it in _PLAIN")


@contextmanager
def _nowhere() -> Iterator[None]:
    """An environment in which nothing runs: the same help whatever this machine has."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("QUORUM_", "LABEL_STU"))}
        kept |= {"QUORUM_DATA_DIR": folder, "QUORUM_REDIS_URL": "redis://127.0.0.1:1/0"}
        with patch.dict(os.environ, kept, clear=True), patch.object(sys, "argv", ["quorum"]):
            yield


# Whose arguments are handed on to another program.
_PLAIN = {
    "test": "Sets up what the tests need, then runs ruff, mypy and pytest. Arguments go to pytest."
}


def commands() -> dict[str, Command]:
    """What can be asked of ./quorum, by its name: also each bench."""
    found = {name: command for name, command in cli._COMMANDS.items() if name != "bench"}
    for bench in cli._BENCHES:
        found[f"bench {bench}"] = _bench(bench)
    return found


def _bench(name: str) -> Command:
    return lambda arguments: cli._COMMANDS["bench"]([name, *arguments])


def page() -> str:
    """The whole page."""
    parts = []
    for name, command in commands().items():
        if name in _PLAIN:
            parts += [f"## ./quorum {name}", _PLAIN[name]]
            continue
        parser = parser_of(name, command)
        if parser is None:
            continue
        parts += [f"## ./quorum {name}", _block(help_of(parser))]
        for sub_name, sub in sub_parsers(parser).items():
            parts += [f"### ./quorum {name} … {sub_name}", _block(help_of(sub))]
    return document(
        "Commands",
        "the commands' parsers",
        "Everything is asked of one program, `./quorum`, in the folder of the clone. Exit status 0 "
        "means done, 2 wrong arguments; what else is said at the command.",
        _block(cli._HELP),
        *parts,
    )


def _block(text: str) -> str:
    return f"```\n{text.rstrip()}\n```"
