"""Requests of one kind, timed in turn with the passes that they cannot do without."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import torch

from demo.brain import CLASS_NAMES, slices
from ml_backend.learning.geometry import fit, to_input
from ml_backend.learning.members import side_by_side
from ml_backend.learning.training import torch_device

from .servers import PROJECT_ID, Servers

WARM_UP = 3
_SCORING_BATCH = 8  # slices that the committee scores at once
_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    + "".join(f'<Label value="{name}"/>' for name in CLASS_NAMES)
    + "</BrushLabels></View>"
)


@dataclass(frozen=True)
class Measured:
    """Requests of one kind."""

    side: int  # of the pictures, pixels
    tasks: int  # of one request
    clients: int
    requests: int
    p50_ms: float
    p99_ms: float
    forward_ms: float  # the members' passes over as many squares as are asked for at a time
    shares: list[float]  # spent outside of them, of each run
    response_kb: float


def request(addresses: Sequence[str], count: int, start: int) -> dict[str, Any]:
    """The body of a request for `count` tasks, from the `start`-th picture on."""
    numbers = [(start + place) % len(addresses) for place in range(count)]
    tasks = [{"id": n + 1, "data": {"image": addresses[n]}} for n in numbers]
    return {"tasks": tasks, "project": f"{PROJECT_ID}.1", "label_config": _CONFIG, "params": {}}


def ask(client: httpx.Client, body: Mapping[str, Any]) -> tuple[float, int]:
    """Milliseconds of one request, and the answer's bytes. Raises RuntimeError if a draft lacks."""
    started = time.perf_counter()
    answer = client.post("/predict", json=body)
    took_ms = 1000 * (time.perf_counter() - started)
    if answer.status_code != 200:
        raise RuntimeError(f"/predict answered HTTP {answer.status_code}: {answer.text[:200]}")
    results = answer.json()["results"]
    # An empty draft is an answer, too; a task whose picture was not read goes to the end.
    if len(results) != len(body["tasks"]) or any(found["score"] >= 1 for found in results):
        raise RuntimeError("a task got no draft")
    return took_ms, len(answer.content)


class Load:
    """Requests of one kind, and the forward passes that they cannot do without."""

    def __init__(self, servers: Servers, addresses: Sequence[str], tasks: int, clients: int):
        self.tasks, self.clients = tasks, clients
        self._addresses, self._servers = addresses, servers
        side_px = servers.committee.settings.side_px
        images = itertools.islice(itertools.cycle(slices()[0]), tasks)
        squares = torch.from_numpy(np.stack([fit(image, side_px)[0] for image in images]))
        self._batches = to_input(squares).split(_SCORING_BATCH)

    def asked(self, requests: int) -> tuple[list[float], int]:
        """Milliseconds of each request, and the bytes of an answer."""
        each = max(1, requests // self.clients)

        def one(number: int) -> list[tuple[float, int]]:
            with self._servers.client() as client:
                bodies = [
                    request(self._addresses, self.tasks, self.tasks * (number * each + place))
                    for place in range(each)
                ]
                return [ask(client, body) for body in bodies]

        with ThreadPoolExecutor(self.clients) as pool:
            found = list(itertools.chain.from_iterable(pool.map(one, range(self.clients))))
        return [took for took, _ in found], found[0][1]

    def forward_ms(self, times: int) -> float:
        """The median of the passes alone; of several clients' squares one after the other."""
        committee, took = self._servers.committee, []
        device = torch_device(committee.settings.device)
        with torch.inference_mode(), side_by_side(committee.members, device) as answers:
            for _ in range(times + 1):
                started = time.perf_counter()
                for batch in self._batches:
                    for _probability, _features in answers(batch):
                        pass
                took.append(1000 * (time.perf_counter() - started))
        return statistics.median(took[1:]) * self.clients


def measure(load: Load, side: int, requests: int, runs: int) -> Measured:
    """Requests and passes in turn."""
    load.asked(WARM_UP * load.clients if load.tasks == 1 else 1)
    times = max(2, 10 // load.tasks)
    took, shares, forwards, size = [], [], [], 0
    for _ in range(runs):
        before = load.forward_ms(times)
        found, size = load.asked(max(load.clients, requests // runs))
        forward = (before + load.forward_ms(times)) / 2
        took += found
        forwards.append(forward)
        shares.append(1 - forward / statistics.median(found))
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    kb = size / 1000
    forward = statistics.median(forwards)
    return Measured(side, load.tasks, load.clients, len(took), p50, p99, forward, shares, kb)
