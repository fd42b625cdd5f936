"""A round as a graph of steps, and which of them can run now: pure, from what the store holds.

encode → train each group of members → train them further → publish → score each shard → order.
A step is done when its artefact is there, so nothing has to be remembered about steps: a round
that lost its worker, its queue or its host goes on with whatever is missing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

_NAME = re.compile(r"(gather|encode|train|further|publish|score|order)(?:-(\d+))?")


@dataclass(frozen=True)
class Step:
    """One piece of work: its kind, and which group of members or shard it is about."""

    kind: str
    index: int = 0

    @property
    def name(self) -> str:
        """Such as ``train-0``, and ``publish`` for what there is once."""
        return f"{self.kind}-{self.index}" if self.kind in _INDEXED else self.kind

    @classmethod
    def named(cls, name: str) -> Step:
        """The step of that name. Raises ValueError for another name."""
        match = _NAME.fullmatch(name)
        if match is None or (match[2] is not None) != (match[1] in _INDEXED):
            raise ValueError(f"there is no step {name!r}")
        return cls(match[1], int(match[2] or 0))


_INDEXED = frozenset({"train", "further", "score"})
GATHER = Step("gather")
# Shares of a round's time, roughly, for one progress bar over all steps.
ORDER_OF_KINDS = ("gather", "encode", "train", "further", "publish", "score", "order")


@dataclass(frozen=True)
class Plan:
    """What a round has to do, as gather decided it; kept in the version's work area."""

    version: str
    groups: Sequence[Sequence[int]]  # members that train together; none: an order alone
    shards: Sequence[Sequence[int]]  # task ids that are scored together
    encoder: bool = False  # members start from a self-supervised encoder
    further: bool = False  # a second, semi-supervised stage
    # Of each shard, in short, what it holds: a round begun again may have others in its place.
    marks: Sequence[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON-able values, for from_json()."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Plan:
        """The plan that as_json() was taken from."""
        # One of an earlier release has no marks.
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})

    @property
    def members(self) -> list[int]:
        """All members' numbers."""
        return sorted(index for group in self.groups for index in group)


def ready(plan: Plan, artefacts: Set[str], published: bool) -> list[Step]:
    """The steps that can run now, all at once; the last is `order`, ready until it has run.

    `artefacts` are the names in the version's work area; `published` says whether the version is
    in the store.
    """
    if not published:
        return _training(plan, artefacts)
    scoring = [
        Step("score", shard)
        for shard in range(len(plan.shards))
        if not {name(plan, shard) for name in (shard_name, descriptors_name, drafts_name)}
        <= artefacts
    ]
    return scoring or [Step("order")]


def _training(plan: Plan, artefacts: Set[str]) -> list[Step]:
    if plan.encoder and ENCODER not in artefacts:
        return [Step("encode")]

    def lacking(kind: str, name: Mapping[int, str]) -> list[Step]:
        return [
            Step(kind, index)
            for index, group in enumerate(plan.groups)
            if any(name[member] not in artefacts for member in group)
        ]

    steps = lacking("train", {index: member_name(index) for index in plan.members})
    if not steps and plan.further:
        steps = lacking("further", {index: final_name(index) for index in plan.members})
    return steps or [Step("publish")]


def grouped(members: int, workers: int) -> list[list[int]]:
    """Members dealt out to the workers there are: one group each, on one copy of the data."""
    count = max(1, min(members, workers))
    return [list(range(first, members, count)) for first in range(count)]


def sharded(task_ids: Sequence[int], size: int) -> list[list[int]]:
    """Task ids in shards of at most `size`."""
    return [list(task_ids[start : start + size]) for start in range(0, len(task_ids), size)]


def marked(shards: Sequence[Sequence[int]]) -> list[str]:
    """Each shard's mark: eight hex digits that differ with its task ids."""
    return [f"{zlib.crc32(','.join(map(str, shard)).encode()):08x}" for shard in shards]


ENCODER = "encoder"


def member_name(index: int) -> str:
    """Artefact of a member after its first stage."""
    return f"member-{index}"


def final_name(index: int) -> str:
    """Artefact of a member after its second, semi-supervised stage."""
    return f"final-{index}"


def shard_name(plan: Plan, index: int) -> str:
    """Artefact of a shard's scores."""
    return f"shard-{_shard(plan, index)}"


def descriptors_name(plan: Plan, index: int) -> str:
    """Artefact of a shard's descriptors, of which selecting needs a few."""
    return f"descriptors-{_shard(plan, index)}"


def drafts_name(plan: Plan, index: int) -> str:
    """Artefact of a shard's drafts, apart: selecting needs none of them."""
    return f"drafts-{_shard(plan, index)}"


def problems_name(plan: Plan, index: int) -> str:
    """Artefact of what could not be scored of a shard."""
    return f"problems-{_shard(plan, index)}"


def _shard(plan: Plan, index: int) -> str:
    return f"{index}-{plan.marks[index]}" if plan.marks else str(index)
