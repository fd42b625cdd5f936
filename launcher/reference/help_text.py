"""A command's --help as the same text on every Python and every terminal.

argparse wraps by the terminal's width, and from 3.13 on writes usage and short options in another
way: both are written here.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from typing import Any

_WIDTH = 80


class _Stable(argparse.HelpFormatter):
    def __init__(self, prog: str, *arguments: Any, **more: Any) -> None:
        super().__init__(prog, max_help_position=24, width=_WIDTH - 2)

    def _format_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None,
    ) -> str:
        start = f"usage: {self._prog}"
        if usage is not None:
            return f"usage: {usage % {'prog': self._prog}}\n\n"
        # A line that begins with the program's name and goes on under its first argument.
        indent = " " * (len(start) + 1 if len(start) < _WIDTH // 2 else 10)
        lines = [start]
        for part in self._usage_parts(list(actions), list(groups)):
            if len(lines[-1]) + 1 + len(part) > _WIDTH - 2 and lines[-1].strip():
                lines.append(indent + part)
            else:
                lines[-1] += f" {part}"
        return "\n".join(lines) + "\n\n"

    def _usage_parts(self, actions: list[argparse.Action], groups: list[Any]) -> list[str]:
        parts: list[str] = []
        done: set[int] = set()
        for action in sorted(actions, key=lambda action: not action.option_strings):
            if action.help == argparse.SUPPRESS or id(action) in done:
                continue
            group = next((g for g in groups if action in g._group_actions), None)
            together = group._group_actions if group else [action]
            done.update(map(id, together))
            words = " | ".join(self._usage_of(each) for each in together)
            needed = group.required if group else action.required or not action.option_strings
            if needed:
                parts.append(f"({words})" if len(together) > 1 else words)
            else:
                parts.append(f"[{words}]")
        return parts

    def _usage_of(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(self._format_args(action, self._get_default_metavar_for_positional(action)))
        values = self._format_args(action, self._get_default_metavar_for_optional(action))
        return (
            f"{action.option_strings[0]} {values}".rstrip()
            if action.nargs != 0
            else (action.option_strings[0])
        )

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return str(super()._format_action_invocation(action))
        values = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {values}"


def help_of(parser: argparse.ArgumentParser) -> str:
    """The help of a parser, 78 columns at most, without colours."""
    before: Any = parser.formatter_class
    # Descriptions that are laid out by hand stay so.
    stable: Any = type("_Stable", (_Stable, before), {})
    parser.formatter_class = stable
    try:
        text = parser.format_help()
    finally:
        parser.formatter_class = before
    return textwrap.dedent(text).rstrip() + "\n"


def sub_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's sub-commands, by name."""
    return {
        name: sub
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, sub in action.choices.items()
    }
