"""Which version's order a request may have been answered by, from what was seen of it."""

from __future__ import annotations

import math
from collections import defaultdict

from .recording import Asked, Published, Recording

CRITERION = """\
A task that is handed out for the first time must not pass over another. For the version that Label
Studio serves, no task that stands before it in the order noted in the store may still be without a
reader: one that was there, not deleted, and asked for by nobody until after this answer came.
Allowed, for requests run at the same time: of two requests whose times overlap either may have been
first; a request in flight while the version switches may belong to either version (the switch lies
between the last sight of the old and the first of the new); tasks imported after an order was made
may come anywhere behind its selected batch. Second readers are not compared: Label Studio gives
started tasks first ("breadth first"), and a task is locked once as many hold it as are to read it.
"""


class Timeline:
    """When each version may have been live, in Unix seconds.

    Label Studio's project was read again and again, and a task is served with its draft's version:
    each such sight proves a version live at some moment between the request and its answer.
    """

    def __init__(self, recording: Recording) -> None:
        sights: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for seen in recording.seen:
            sights[seen.version].append((seen.begun, seen.ended))
        for asked in recording.asked:
            if asked.version:
                sights[asked.version].append((asked.begun, asked.ended))
        self._published = recording.published
        names = [version.version for version in recording.published]
        self.first_seen = {
            name: min((e for _, e in sights[name]), default=math.inf) for name in names
        }
        self._last_seen = {
            name: max((b for b, _ in sights[name]), default=-math.inf) for name in names
        }
        self._from = [
            max((self._last_seen[n] for n in names[:i]), default=-math.inf)
            for i in range(len(names))
        ]
        self._until = [
            min((self.first_seen[n] for n in names[i + 1 :]), default=math.inf)
            for i in range(len(names))
        ]

    def was_live(self, version: str) -> bool:
        """Whether Label Studio was ever seen to serve it."""
        return self.first_seen.get(version, math.inf) < math.inf

    def possible(self, asked: Asked) -> list[Published]:
        """The versions that a request may have been answered by."""
        spans = zip(self._published, self._from, self._until, strict=True)
        return [v for v, begin, end in spans if asked.ended >= begin and asked.begun <= end]


def first_handouts(recording: Recording) -> list[Asked]:
    """The answer by which each task first reached anybody, in the order of the answers."""
    firsts: dict[int, Asked] = {}
    for asked in recording.asked:
        if asked.task is not None:
            known = firsts.get(asked.task)
            if known is None or asked.ended < known.ended:
                firsts[asked.task] = asked
    return sorted(firsts.values(), key=lambda asked: asked.ended)
