"""U-Net and CUMedNet under the FCN's interface: forward(x) → (logits, descriptor)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import SeededDropout
from .fcn import FCN


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with batch norm and padded convolutions."""

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 3,
        width: int = 32,
        scales: int = 5,
        dropout: float = 0.0,
    ) -> None:
        """Arguments as FCN's. Raises ValueError for fewer than two classes or scales."""
        super().__init__()
        _check("a U-Net", in_channels, classes, width, scales)
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
        self.dropout = SeededDropout(dropout, channels=True)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as FCN.forward's. Raises ValueError if H or W is no multiple of 2**(scales-1)."""
        _check_size(x, self.stride)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        descriptor = x.mean(dim=(2, 3))
        for skip, lift, block in zip(skips[-2::-1], self.raise_, self.up, strict=True):
            x = block(torch.cat([skip, lift(x)], dim=1))
        return cast(Tensor, self.head(self.dropout(x))), descriptor


class CUMedNet(nn.Module):
    """Deep contextual network (Chen et al., AAAI 2016): every halved scale classifies by itself.

    Each scale below full size is brought up by one transposed convolution and classified; the
    logits are the sum. While it trains, `auxiliary` holds each scale's own logits for deep
    supervision. Batch norm is added, without which it does not train from scratch in few steps.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 3,
        width: int = 32,
        scales: int = 5,
        dropout: float = 0.0,
    ) -> None:
        """Arguments as FCN's. Raises ValueError for fewer than two classes or scales."""
        super().__init__()
        _check("a CUMedNet", in_channels, classes, width, scales)
        self.stride = 2 ** (scales - 1)
        self.auxiliary: Sequence[Tensor] = ()
        channels = [width * 2**s for s in range(scales)]
        self.down = nn.ModuleList(
            _double_convolution(in_channels if s == 0 else channels[s - 1], c)
            for s, c in enumerate(channels)
        )
        self.contexts = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(channels[s], width, 2 * 2**s, stride=2**s, padding=2**s // 2),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                SeededDropout(dropout, channels=True),
                nn.Conv2d(width, classes, 1),
            )
            for s in range(1, scales)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as FCN.forward's. Raises ValueError if H or W is no multiple of 2**(scales-1)."""
        _check_size(x, self.stride)
        heads: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            if level:
                heads.append(self.contexts[level - 1](x))  # (B, classes, H, W)
        self.auxiliary = heads if self.training else ()
        return torch.stack(heads).sum(dim=0), x.mean(dim=(2, 3))


# Called as (in_channels, classes, width, scales, dropout).
NETWORKS: dict[str, Callable[[int, int, int, int, float], nn.Module]] = {
    "fcn": FCN,
    "unet": UNet,
    "cumednet": CUMedNet,
}


def _double_convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _check(what: str, in_channels: int, classes: int, width: int, scales: int) -> None:
    if classes < 2 or scales < 2 or width < 1 or in_channels < 1:
        raise ValueError(
            f"{what} needs classes >= 2, scales >= 2, width >= 1 and in_channels >= 1: "
            f"it was given {classes}, {scales}, {width} and {in_channels}"
        )


def _check_size(x: Tensor, stride: int) -> None:
    if x.shape[-1] % stride or x.shape[-2] % stride:
        raise ValueError(f"height and width must be multiples of {stride}: {x.shape[-2:]}")
