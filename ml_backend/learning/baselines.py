"""Other networks under the FCN's interface, chosen by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from .fcn import FCN


def _double_convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with batch norm and padded convolutions."""

    def __init__(
        self, in_channels: int = 1, classes: int = 3, width: int = 32, scales: int = 5
    ) -> None:
        """Arguments as FCN's. Raises ValueError for fewer than two classes or scales."""
        super().__init__()
        if classes < 2 or scales < 2 or width < 1 or in_channels < 1:
            raise ValueError("a U-Net needs classes >= 2, scales >= 2, width and in_channels >= 1")
        self.stride = 2 ** (scales - 1)
        channels = [width * 2**s for s in range(scales)]
        self.down = nn.ModuleList(
            _double_convolution(in_channels if s == 0 else channels[s - 1], c)
            for s, c in enumerate(channels)
        )
        self.raise_ = nn.ModuleList(
            nn.ConvTranspose2d(channels[s], channels[s - 1], 2, stride=2)
            for s in range(scales - 1, 0, -1)
        )
        self.up = nn.ModuleList(
            _double_convolution(2 * channels[s - 1], channels[s - 1])
            for s in range(scales - 1, 0, -1)
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as FCN.forward's. Raises ValueError if H or W is no multiple of 2**(scales-1)."""
        if x.shape[-1] % self.stride or x.shape[-2] % self.stride:
            raise ValueError(f"height and width must be multiples of {self.stride}: {x.shape[-2:]}")
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        descriptor = x.mean(dim=(2, 3))
        for skip, lift, block in zip(skips[-2::-1], self.raise_, self.up, strict=True):
            x = block(torch.cat([skip, lift(x)], dim=1))
        return cast(Tensor, self.head(x)), descriptor


NETWORKS: dict[str, Callable[[int, int, int, int], nn.Module]] = {"fcn": FCN, "unet": UNet}


def build_network(name: str, in_channels: int, classes: int, width: int, scales: int) -> nn.Module:
    """A network by its name in NETWORKS. Raises ValueError naming those there are."""
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](in_channels, classes, width, scales)
