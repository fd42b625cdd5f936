"""MONAI's networks under the FCN's interface; MONAI is imported only when one is asked for."""

from __future__ import annotations

import importlib
import inspect
import math
import threading
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import with_seeded_dropout

_DROPOUT_NAMES = ("dropout", "dropout_prob", "dropout_rate", "drop_rate")
_MOST_STRIDE = 32  # of any network of MONAI whose depth is not set here


class Adapted(nn.Module):
    """A network that gives logits alone, with a descriptor from its own deepest features.

    The input is padded at the lower right to the stride the network needs, and the logits are cut
    back. The deepest features are the output of the smallest height and width, of these the one
    of most channels, of these the last.
    """

    def __init__(self, network: nn.Module, stride: int, in_channels: int) -> None:
        """Raises ValueError if the network has no feature map."""
        super().__init__()
        self.network = network
        self.stride = stride
        self._features: dict[int, Tensor] = {}  # by thread: a committee may serve several at once
        deepest = _deepest_module(network, torch.zeros(1, in_channels, 4 * stride, 4 * stride))
        deepest.register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, features: Tensor) -> None:
        self._features[threading.get_ident()] = features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as FCN.forward's, for any H and W."""
        height, width = x.shape[-2:]
        logits = _single(self.network(padded(x, self.stride)))[..., :height, :width]
        return logits, self._features.pop(threading.get_ident()).mean(dim=(2, 3))


def padded(x: Tensor, stride: int) -> Tensor:
    """(N, C, H, W) with zeros at the lower right up to a multiple of the stride."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % stride, 0, -height % stride))


def build_monai(
    name: str, in_channels: int, classes: int, width: int, scales: int, dropout: float
) -> nn.Module:
    """A class of monai.networks.nets by its name, for 2-D images; dropout where it takes any.

    Width and scales are followed where the class lets them be set (UNet, AttentionUnet, BasicUNet,
    BasicUNetPlusPlus, DynUNet, SegResNet). Raises ValueError if MONAI is not installed, has no
    such class, or the class needs more than can be told it here.
    """
    try:
        nets = importlib.import_module("monai.networks.nets")
    except ImportError:
        raise ValueError(
            f"network 'monai:{name}' needs MONAI: pip install --no-deps monai"
        ) from None
    factory = getattr(nets, name, None)
    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise ValueError(f"MONAI has no network {name!r} in monai.networks.nets")
    accepted = inspect.signature(factory.__init__).parameters
    shape, stride = _arguments(name, width, scales)
    arguments: dict[str, Any] = {
        "spatial_dims": 2,
        "in_channels": in_channels,
        "out_channels": classes,
        "num_classes": classes,
        **dict.fromkeys(_DROPOUT_NAMES, dropout),
        **shape,
    }
    try:
        network = factory(**{k: v for k, v in arguments.items() if k in accepted})
        adapted = Adapted(with_seeded_dropout(network), stride, in_channels)
        with torch.no_grad():
            logits, _ = adapted.eval()(torch.zeros(1, in_channels, 2 * stride, 2 * stride))
    except Exception as error:  # whatever a class that was not made for this raises
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"MONAI's {name} cannot be built from channels, classes, width and scales alone "
            f"({reason}): install what it lacks, or wrap it in a class of your own, named as "
            "package.module:ClassName"
        ) from None
    if tuple(logits.shape) != (1, classes, 2 * stride, 2 * stride):
        raise ValueError(
            f"MONAI's {name} is no segmentation network: its output is {tuple(logits.shape)}"
        )
    return adapted.train()


def _arguments(name: str, width: int, scales: int) -> tuple[dict[str, Any], int]:
    """What a class needs beside channels and classes, and the multiple its input must be."""
    stride = 2 ** (scales - 1)
    channels = [width * 2**s for s in range(scales)]
    if name in ("UNet", "AttentionUnet"):
        return {"channels": channels, "strides": [2] * (scales - 1), "num_res_units": 2}, stride
    if name in ("BasicUNet", "BasicUNetPlusPlus"):  # five scales, and the last one's width again
        return {"features": [width * 2**s for s in range(5)] + [width]}, 16
    if name == "SegResNet":
        blocks = tuple([1, 2, 2, *[4] * scales][:scales])
        groups = {"num_groups": math.gcd(8, width)}
        return {
            "init_filters": width,
            "blocks_down": blocks,
            "blocks_up": (1,) * (scales - 1),
            "norm": ("GROUP", groups),
        }, stride
    if name == "DynUNet":
        steps = [2] * (scales - 1)
        return {
            "kernel_size": [3] * scales,
            "strides": [1, *steps],
            "upsample_kernel_size": steps,
            "filters": channels,
        }, stride
    if name in ("FlexibleUNet", "FlexUNet"):
        # Its EfficientNets drop paths by the global random state, and would not repeat themselves.
        return {"backbone": "resnet18"}, _MOST_STRIDE
    return {}, _MOST_STRIDE


@torch.no_grad()
def _deepest_module(network: nn.Module, x: Tensor) -> nn.Module:
    seen: list[tuple[int, int, int, nn.Module]] = []  # (pixels, -channels, -when, module)

    def look(module: nn.Module, _inputs: Any, output: Any) -> None:
        # A map of one pixel is a pooled one (squeeze and excitation), not a scale of the network.
        if isinstance(output, Tensor) and output.dim() == 4 and min(output.shape[2:]) > 1:
            pixels = output.shape[2] * output.shape[3]
            seen.append((pixels, -output.shape[1], -len(seen), module))

    hooks = [m.register_forward_hook(look) for m in network.modules() if m is not network]
    try:
        network.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
        network.train()
    calls = [id(module) for *_, module in seen]
    once = [entry for entry in seen if calls.count(id(entry[3])) == 1]
    if not once:
        raise ValueError("the network has no feature map to describe a slice by")
    return min(once, key=lambda entry: entry[:3])[3]


def _single(output: Any) -> Tensor:
    """A network's logits: some of MONAI's wrap them into a list of one."""
    if isinstance(output, list | tuple):
        output = output[0]
    return cast(Tensor, output)
