"""How much to send Label Studio at once, and how long to leave it alone, so that clicks stay quick.

Label Studio's own server is one process: while it takes in predictions, annotators wait. Each
request also costs it a fixed time that grows with the project (it counts the predictions of every
task anew), so that many small requests are slower, for everybody, than fewer larger ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")

_TARGET_S = 0.3  # a request that a click waits for goes unnoticed
_LEAST_BYTES, _FIRST_BYTES, _MOST_BYTES = 128 * 2**10, 512 * 2**10, 16 * 2**20
# What an item costs beyond its bytes, as if they were more: checking it and storing a row.
_ITEM_BYTES = 4 * 2**10


@dataclass
class Pace:
    """Adapts the size of requests to how long Label Studio took for those before."""

    budget_bytes: float = _FIRST_BYTES
    fixed_s: float = float("inf")  # the least that any request took
    most_bytes: float = _MOST_BYTES  # more is refused, by a proxy perhaps
    rests_until: float = 0.0  # time.monotonic() before which nothing is sent

    def target_s(self) -> float:
        """How long a request is to take: as long as its fixed cost again, if that is more."""
        return max(_TARGET_S, 2 * self.fixed_s) if self.fixed_s < float("inf") else _TARGET_S

    def took(self, elapsed_s: float, sent: int, count: int) -> None:
        """Learn from a request of so many bytes and items."""
        self.fixed_s = min(self.fixed_s, elapsed_s)
        # By what this request really held: the last of a push is small, and quick for that.
        held = min(self.budget_bytes, sent + count * _ITEM_BYTES)
        factor = min(1.5, max(0.5, self.target_s() / max(elapsed_s, 1e-3)))
        wanted = held * factor
        if factor < 1 or wanted > self.budget_bytes:
            self.budget_bytes = min(self.most_bytes, max(_LEAST_BYTES, wanted))

    def too_large(self, sent: int) -> None:
        """Remember that a request of so many bytes was refused for its size."""
        self.most_bytes = max(_LEAST_BYTES, min(self.most_bytes, sent / 2))
        self.budget_bytes = min(self.budget_bytes, self.most_bytes)

    def parts(
        self, items: Iterable[tuple[_Item, bytes]], at_most: int
    ) -> Iterator[list[tuple[_Item, bytes]]]:
        """Cut items with their bytes into requests, each as large as is right when it is cut.

        An item larger than the budget goes alone.
        """
        part: list[tuple[_Item, bytes]] = []
        held = 0
        for item, content in items:
            weight = len(content) + _ITEM_BYTES
            if part and (len(part) >= at_most or held + weight > self.budget_bytes):
                yield part
                part, held = [], 0
            part.append((item, content))
            held += weight
        if part:
            yield part
