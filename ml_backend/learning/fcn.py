"""The committee's network: a fully convolutional network of bottleneck residual modules.

After Yang et al., MICCAI 2017, section 2.1: batch norm and ReLU before each convolution of a
module (1x1, 3x3, 1x1), equal channels at a module's end, six scales, several scales of the decoder
brought to full size in steps and joined by a 3x3 and a 1x1 convolution.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .dropout import SeededDropout


class Bottleneck(nn.Module):
    """Residual module with pre-activation: (B, C_in, H, W) → (B, C_out, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        # A quarter as in the paper, but never so thin that a narrow network's 3x3 sees nothing.
        inner = max(8, channels_out // 4)
        self.residual = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_in, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels_out, 1, bias=False),
        )
        same = channels_in == channels_out and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.shortcut(x) + self.residual(x))


class FCN(nn.Module):
    """Segmentation network whose deepest features, averaged over space, describe a slice."""

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 3,
        width: int = 32,
        scales: int = 6,
        dropout: float = 0.0,
    ) -> None:
        """`width` channels at full size, doubled at each of the `scales` - 1 halvings.

        Width 32 and six scales give the paper's 1024-d descriptor. `dropout` is the probability
        that a channel is dropped before the last convolution.
        Raises ValueError for fewer than two classes or scales, no channel, or dropout outside
        [0, 1).
        """
        super().__init__()
        if classes < 2 or scales < 2 or width < 1 or in_channels < 1:
            raise ValueError(
                "an FCN needs classes >= 2, scales >= 2, width >= 1 and in_channels >= 1: "
                f"it was given {classes}, {scales}, {width} and {in_channels}"
            )
        self.stride = 2 ** (scales - 1)
        channels = [width * 2**s for s in range(scales)]
        self.descriptor_size = channels[-1]
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                Bottleneck(channels[max(0, s - 1)], c, stride=1 if s == 0 else 2),
                Bottleneck(c, c),
            )
            for s, c in enumerate(channels)
        )
        # Each scale is brought up by itself, doubling in steps.
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(c),
                nn.ReLU(inplace=True),
                nn.Conv2d(c, width, 1),
                *(nn.ConvTranspose2d(width, width, 2, stride=2) for _ in range(s)),
            )
            for s, c in enumerate(channels)
        )
        self.join = nn.Sequential(
            nn.BatchNorm2d(width * scales),
            nn.ReLU(inplace=True),
            nn.Conv2d(width * scales, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            # Together, so that weights published before there was dropout keep their names.
            nn.Sequential(nn.ReLU(inplace=True), SeededDropout(dropout, channels=True)),
            nn.Conv2d(width, classes, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, H, W) → logits (B, classes, H, W) and descriptor (B, D).

        D is width * 2**(scales - 1).

        Raises ValueError if H or W is no multiple of 2**(scales - 1).
        """
        if x.shape[-1] % self.stride or x.shape[-2] % self.stride:
            raise ValueError(f"height and width must be multiples of {self.stride}: {x.shape[-2:]}")
        x = self.stem(x)
        raised = []
        for encode, decode in zip(self.encoder, self.decoder, strict=True):
            x = encode(x)
            raised.append(decode(x))  # (B, width, H, W)
        logits = self.join(torch.cat(raised, dim=1))
        return logits, x.mean(dim=(2, 3))
