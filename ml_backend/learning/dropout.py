"""Dropout that repeats itself: its masks come from a seed of its own, not from the global state.

Members train in threads that share torch's global random state; nn.Dropout would make what they
learn depend on which thread came first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LAYERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class SeededDropout(nn.Module):
    """Drops values, or whole channels, with probability p while in train mode.

    (B, C, ...) keeps its shape. With `shared`, one mask serves the whole batch: a pass is then one
    sample of the network, the same for every slice whatever batch it comes in (consistent MC
    dropout, Kirsch et al., NeurIPS 2019, section 3.2).
    """

    def __init__(self, p: float, channels: bool, seed: int = 0) -> None:
        """Raises ValueError unless 0 <= p < 1."""
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1: it is {p}")
        self.p = p
        self.channels = channels
        self.shared = False
        self.seed = seed
        self._calls = 0

    def reseed(self, seed: int) -> None:
        """Begin the sequence of masks that belongs to a seed."""
        self.seed, self._calls = seed, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        number = ((self.seed << 24) + self._calls) % 2**63  # torch takes 64 bits
        generator = torch.Generator(x.device).manual_seed(number)
        self._calls += 1
        shape = list(x.shape)
        if self.shared:
            shape[0] = 1
        if self.channels:
            shape[2:] = [1] * (x.dim() - 2)
        kept = torch.rand(shape, generator=generator, device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)


def with_seeded_dropout(network: nn.Module) -> nn.Module:
    """The same network, each dropout layer of torch's replaced by a seeded one."""
    for module in list(network.modules()):
        # Not named_children(), which leaves out a layer that stands twice in a module.
        for name, child in list(module._modules.items()):
            if isinstance(child, _LAYERS):
                channels = not isinstance(child, nn.Dropout)
                setattr(module, name, SeededDropout(child.p, channels))
    return network


def dropout_layers(network: nn.Module) -> list[SeededDropout]:
    """The dropout layers that drop anything, in a fixed order."""
    return [m for m in network.modules() if isinstance(m, SeededDropout) and m.p > 0]


def reseed(network: nn.Module, seed: int) -> None:
    """Seed every dropout layer of a network, each differently."""
    for index, layer in enumerate(dropout_layers(network)):
        layer.reseed(1009 * seed + index)
