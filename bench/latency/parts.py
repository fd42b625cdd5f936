"""Where a request's time goes, told by the application inside this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import flask
import torch

from ml_backend import app as backend
from ml_backend import gathering
from ml_backend.label_studio import LabelStudio
from ml_backend.learning import scoring
from ml_backend.learning.members import Ask
from ml_backend.learning.uncertainty import Votes
from ml_backend.masks import regions
from ml_backend.settings import Settings
from ml_backend.store import Store

from ..parts import Named, Parts
from .load import WARM_UP, request
from .servers import Servers

PASSES = "forward passes"
REST = "all else, and waiting for these"
_TIMED: tuple[Named, ...] = (
    ("connections to Label Studio made and ended", LabelStudio, "of"),
    ("connections to Label Studio made and ended", LabelStudio, "__exit__"),
    ("pictures fetched", LabelStudio, "image"),
    ("PNG", gathering, "decode_image"),
    ("fitted into squares", scoring, "fit"),
    ("votes of the members", Votes, "add"),
    ("votes of the members", Votes, "variance"),
    ("votes of the members", Votes, "entropy"),
    ("votes of the members", Votes, "mutual_information"),
    ("votes of the members", Votes, "mean"),
    ("drafts at the slices' own size", scoring, "_draft"),
    ("means over pixels", scoring, "_own_means"),
    ("brush code", regions, "encode_rle"),
    ("JSON", backend, "jsonify"),
    ("the request read and checked", backend.bodies, "read_object"),
    ("the store asked", Store, "current"),
    ("the store asked", Store, "metadata"),
    ("the store asked", Store, "noted"),
    ("the store asked", Store, "overrides"),
)


@contextmanager
def _passes_timed(parts: Parts) -> Iterator[None]:
    """Time the wait for the members: they answer in threads of their own."""
    module: Any = scoring
    usual = module.side_by_side

    def wait(answers: Ask, x: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        coming = answers(x)
        while True:
            with parts.block(PASSES):
                answer = next(coming, None)
            if answer is None:
                return
            yield answer

    @contextmanager
    def timed(asked: Sequence[torch.nn.Module], device: torch.device) -> Iterator[Ask]:
        with ExitStack() as stack:
            with parts.block("threads of the members"):
                answers = stack.enter_context(usual(asked, device))
            yield partial(wait, answers)
            with parts.block("threads of the members"):
                stack.close()

    module.side_by_side = timed
    try:
        yield
    finally:
        module.side_by_side = usual


def parts_of(
    servers: Servers, addresses: Sequence[str], tasks: int, requests: int
) -> dict[str, float]:
    """Milliseconds a request of each part, of the same application in this process."""
    made = backend.create_app(Settings.from_environment(servers.environment))
    client, credentials = made.test_client(), servers.credentials()

    def call(number: int) -> None:
        body = request(addresses, tasks, number * tasks)
        if client.post("/predict", json=body, auth=credentials).status_code != 200:
            raise RuntimeError("the application in this process gave no drafts")

    for number in range(WARM_UP):
        call(number)
    parts = Parts()
    named = [(REST, flask.Flask, "full_dispatch_request"), *_TIMED]
    with parts.timed(named), _passes_timed(parts):
        for number in range(requests):
            call(number)
    return {part: 1000 * seconds / requests for part, seconds in parts.seconds.items()}
