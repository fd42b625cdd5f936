"""The network of a setting: one of this package, one of MONAI, or a class of the user's own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .baselines import NETWORKS
from .dropout import dropout_layers, with_seeded_dropout
from .monai_networks import Adapted, build_monai, padded


def build_network(
    name: str, in_channels: int, classes: int, width: int, scales: int, dropout: float = 0.0
) -> nn.Module:
    """A network that gives (logits, descriptor) as FCN.forward does.

    `name` is in baselines.NETWORKS; or "monai:SegResNet" and the like, a class of
    monai.networks.nets; or "package.module:ClassName", called as ClassName(in_channels, classes,
    width, scales), with dropout=... if it takes that. Of a network from outside, dropout layers
    are replaced by ones that repeat themselves; other random layers draw from the global state,
    and are not repeated.
    Raises ValueError for a name that is none of these, or a class that does not fit.
    """
    if name in NETWORKS:
        return NETWORKS[name](in_channels, classes, width, scales, dropout)
    source, colon, class_name = name.partition(":")
    if not colon or not source or not class_name:
        raise ValueError(
            f"there is no network {name!r}: choose one of {', '.join(NETWORKS)}, monai:NAME "
            "(such as monai:SegResNet), or package.module:ClassName for one of your own"
        )
    if source == "monai":
        network = build_monai(class_name, in_channels, classes, width, scales, dropout)
    else:
        network = _build_own(name, in_channels, classes, width, scales, dropout)
    if dropout > 0 and not dropout_layers(network):
        raise ValueError(f"network {name!r} has no dropout: set dropout to 0")
    return network


def _build_own(
    name: str, in_channels: int, classes: int, width: int, scales: int, dropout: float
) -> nn.Module:
    source, _, class_name = name.partition(":")
    try:
        factory = getattr(importlib.import_module(source), class_name)
    except (ImportError, ValueError) as error:
        raise ValueError(f"network {name!r} cannot be imported: {error}") from None
    except AttributeError:
        raise ValueError(f"module {source!r} has no class {class_name!r}") from None
    extra = {"dropout": dropout} if "dropout" in inspect.signature(factory).parameters else {}
    try:
        network = factory(in_channels, classes, width, scales, **extra)
    except TypeError as error:
        raise ValueError(
            f"network {name!r} must be callable as {class_name}(in_channels, classes, width, "
            f"scales): {error}"
        ) from None
    if not isinstance(network, nn.Module):
        raise ValueError(f"network {name!r} must be a torch.nn.Module: it is {type(network)}")
    network = with_seeded_dropout(network)
    stride = int(getattr(network, "stride", 2 ** (scales - 1)))
    side = 2 * stride
    found = _outputs(network, torch.zeros(2, in_channels, side, side))
    wanted = (2, classes, side, side)
    if len(found) == 1 and tuple(found[0].shape) == wanted:
        return Adapted(network, stride, in_channels)  # logits alone: its own deepest features
    if len(found) != 2 or tuple(found[0].shape) != wanted or found[1].shape[:-1] != (2,):
        raise ValueError(
            f"network {name!r} must give logits {wanted} for (2, {in_channels}, {side}, {side}), "
            "or those and a descriptor (2, D): its outputs have the shapes "
            f"{[tuple(value.shape) for value in found]}"
        )
    return Padded(network, stride)


class Padded(nn.Module):
    """A network with a descriptor of its own, its input padded to a multiple of its stride.

    Its weights go by the network's own names, with or without this around it: versions that were
    published before networks were padded fit, and whatever their modules are called.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride
        self.auxiliary: Sequence[Tensor] = ()

    def state_dict(self, *arguments: Any, **more: Any) -> Any:
        return self.network.state_dict(*arguments, **more)

    def load_state_dict(self, *arguments: Any, **more: Any) -> Any:
        return self.network.load_state_dict(*arguments, **more)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits, descriptor) of (N, C, H, W), H and W as they came."""
        height, width = x.shape[-2:]
        logits, descriptor = self.network(padded(x, self.stride))
        # For deep supervision, as CUMedNet's; a module of that name is the network's own affair.
        found = getattr(self.network, "auxiliary", ())
        heads: Sequence[Tensor] = found if isinstance(found, tuple | list) else ()
        if heads:
            setattr(self.network, "auxiliary", ())  # noqa: B010 (mypy takes it for a Module)
        self.auxiliary = tuple(each[..., :height, :width] for each in heads)
        return logits[..., :height, :width], descriptor


@torch.no_grad()
def _outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
    found = network.eval()(x)
    network.train()
    values = list(found) if isinstance(found, tuple | list) else [found]
    return [value for value in values if isinstance(value, Tensor)]


def predict(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (N, C, H, W) and descriptors (N, D) for (N, in_channels, H, W), in float32."""
    on_gpu = x.device.type == "cuda"
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=on_gpu):
        logits, features = network(x)
    return logits.float().softmax(dim=1), features.float()
