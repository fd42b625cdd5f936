"""What of a Markdown file can be checked: headings, code, links, anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
# [text](target), ![picture](target): the target without a title.
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HTML = re.compile(r"(?:href|src)=\"([^\"]+)\"")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Markdown:
    """One file's text, taken apart."""

    text: str

    @cached_property
    def prose(self) -> str:
        """The text without code blocks and comments."""
        return _FENCE.sub("", _COMMENT.sub("", self.text))

    @cached_property
    def code(self) -> list[str]:
        """The code blocks, without their comments and their indentation."""
        return [
            "\n".join(re.sub(r"\s+# .*$", "", line).strip() for line in block.splitlines())
            for block in _FENCE.findall(self.text)
        ]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [(len(marks), text) for marks, text in _HEADING.findall(self.prose)]

    @cached_property
    def links(self) -> list[str]:
        """The targets of links and pictures, in their order."""
        prose = _CODE.sub("", self.prose)
        return _LINK.findall(prose) + _HTML.findall(prose)

    @cached_property
    def anchors(self) -> set[str]:
        """What a #fragment may name, as GitHub makes it of headings, and ids in HTML."""
        found: set[str] = set()
        for _, heading in self.headings:
            # A link's text counts, its target does not.
            plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            number, unique = 0, slug
            while unique in found:
                number += 1
                unique = f"{slug}-{number}"
            found.add(unique)
        return found | set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", self.prose))
