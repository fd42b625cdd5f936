"""The page of commands comes from the parsers that run."""

import argparse

from launcher import cli
from launcher.reference import commands
from launcher.reference.help_text import help_of


def test_each_command_of_quorum_is_asked_for_its_parser():
    asked = set(commands.commands())
    assert asked >= set(cli._COMMANDS) - {"bench"}
    assert asked >= {f"bench {name}" for name in cli._BENCHES}


def test_each_command_and_bench_that_there_is_has_its_section():
    page = commands.page()
    for name in ("demo", "up", "connect", "project", "import", "export", "return", "bench growth"):
        assert f"\n## ./quorum {name}\n" in page
    assert "\n### ./quorum project … rollback\n" in page


def test_asking_for_a_parser_runs_nothing_and_leaves_the_environment(monkeypatch):
    monkeypatch.setenv("QUORUM_DATA_DIR", "/nowhere")
    parser = commands.parser_of("connect", cli._COMMANDS["connect"])
    assert parser is not None
    assert parser.prog == "quorum connect"
    assert commands.os.environ["QUORUM_DATA_DIR"] == "/nowhere"
    assert argparse.ArgumentParser().parse_args([]) == argparse.Namespace()


def test_help_is_the_same_whatever_the_width_of_the_terminal(monkeypatch):
    parser = argparse.ArgumentParser(prog="quorum x", description="word " * 40)
    parser.add_argument("-o", "--out", metavar="FILE", help="where to; " * 9)
    monkeypatch.setenv("COLUMNS", "200")
    wide = help_of(parser)
    monkeypatch.setenv("COLUMNS", "40")
    assert help_of(parser) == wide
    assert max(map(len, wide.splitlines())) < 80
    assert "  -o, --out FILE  where to;" in wide


def test_what_cannot_be_given_together_stands_together():
    parser = argparse.ArgumentParser(prog="quorum x")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--out")
    group.add_argument("--send", action="store_true")
    parser.add_argument("source", nargs="+")
    usage = help_of(parser).splitlines()[0]
    assert usage == "usage: quorum x [-h] (--out OUT | --send) source [source ...]"
