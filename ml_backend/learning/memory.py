"""When a GPU's memory runs out: half the batch, and on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from ..errors import QuorumError
from .dropout import reseed
from .training_settings import TrainingSettings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# Libraries under torch tell it in words of their own (cuDNN, cuBLAS, the CPU's allocator, Metal).
_PHRASES = ("out of memory", "ALLOC_FAILED", "not enough memory", "can't allocate memory")


class TooLittleMemory(QuorumError, RuntimeError):
    """Not even a single slice fits into the device's memory; the text names the remedy."""

    def __init__(self, device: torch.device, settings: TrainingSettings) -> None:
        super().__init__(
            f"the memory of {device} is too small for a single slice, or others use it: set a "
            f"smaller side_px (it is {settings.side_px}) or width (it is {settings.width}), or "
            "another device"
        )


class BatchSize:
    """How many slices fit into a device's memory at once: halved whenever it runs out."""

    def __init__(self, slices: int, device: torch.device, settings: TrainingSettings) -> None:
        self.slices = slices
        self._device = device
        self._settings = settings

    def run(self, attempt: Callable[[int], Result], count: int) -> Result:
        """attempt(slices at once) for `count` of them, again with half as many if it must be.

        Half stays half: what did not fit once would fail again at each step. Raises
        TooLittleMemory if a single one does not fit.
        """
        while True:
            at_once = min(self.slices, count)
            try:
                return attempt(at_once)
            except RuntimeError as error:
                if not _ran_out(error):
                    raise
            # Here, not above: while an error is handled, its traceback holds the tensors.
            if at_once <= 1:
                raise TooLittleMemory(self._device, self._settings)
            self.slices = at_once // 2
            logger.warning("%s ran out of memory: %d slices at once", self._device, self.slices)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def each(
        self, items: Iterable[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> Iterator[Result]:
        """What work(items) gives for as many at once as fit, one after another, in their order."""
        source = iter(items)
        while batch := list(islice(source, self.slices)):
            yield from self.run(partial(_by, batch, work), len(batch))


def _by(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]], at_once: int
) -> list[Result]:
    found: list[Result] = []
    for start in range(0, len(items), at_once):
        found += work(items[start : start + at_once])
    return found


@contextmanager
def told_when_too_small(device: torch.device, settings: TrainingSettings) -> Iterator[None]:
    """Turn an error for want of memory that no smaller batch mends into TooLittleMemory."""
    try:
        yield
    except RuntimeError as error:
        if not _ran_out(error):
            raise
        raise TooLittleMemory(device, settings) from None


def in_parts(
    network: nn.Module,
    forward: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    at_once: int,
    seed: int,
) -> list[Tensor]:
    """The outputs of forward(x), (B, ...) each, computed from at most `at_once` slices at a time.

    A part's activations are dropped, and computed again when the gradient comes back (gradient
    checkpointing, Chen et al. 2016), so that gradients add up over the parts while the loss is the
    whole batch's. They are those of forward(x), but for what looks at a batch as a whole: batch
    norm takes its statistics from each part, and dropout draws other masks, from `seed`.
    """
    if at_once >= len(x):
        return list(forward(x))

    def run(part: Tensor, number: int) -> tuple[Tensor, ...]:
        reseed(network, (seed + number) % 2**24)  # the same masks when it is computed again
        return tuple(forward(part))

    # To the end each time: a network may keep what an early stop would keep it from putting away.
    with set_checkpoint_early_stop(False):
        parts = [
            # On a CPU other members, in threads, share the random state that it would set.
            checkpoint(run, part, number, use_reentrant=False, preserve_rng_state=part.is_cuda)
            for number, part in enumerate(torch.split(x, at_once))
        ]
    return [torch.cat(each) for each in zip(*parts, strict=True)]


@contextmanager
def computed_again(network: nn.Module) -> Iterator[None]:
    """Backward of in_parts(): batch norm's running statistics must not count a part twice."""
    kept = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), kept, strict=True):
                buffer.copy_(value)


def _ran_out(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or (
        not isinstance(error, TooLittleMemory) and any(text in str(error) for text in _PHRASES)
    )
