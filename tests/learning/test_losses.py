"""The loss: padding, rare classes, empty masks."""

import numpy as np
import pytest
import torch

from ml_backend.learning.geometry import IGNORE
from ml_backend.learning.losses import class_weights, segmentation_loss


def test_padding_is_no_part_of_the_loss():
    logits = torch.randn(2, 3, 8, 8)
    target = torch.randint(0, 3, (2, 8, 8))
    target[:, 4:] = IGNORE
    changed = logits.clone()
    changed[:, :, 4:] = 100 * torch.randn(2, 3, 4, 8)
    weight = torch.ones(3)
    assert segmentation_loss(logits, target, weight) == pytest.approx(
        segmentation_loss(changed, target, weight).item()
    )


def test_padding_alone_teaches_nothing():
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((2, 8, 8), IGNORE), torch.ones(3))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad.abs().max() == 0


def test_an_empty_mask_asks_for_background():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    right, wrong = torch.zeros(2, 1, 2, 8, 8)
    right[:, 0], wrong[:, 1] = 9, 9
    weight = class_weights(target.numpy().astype(np.uint8), 2)
    assert (
        segmentation_loss(right, target, weight) < 0.01 < segmentation_loss(wrong, target, weight)
    )


def test_rare_classes_weigh_more():
    labels = np.zeros((1, 10, 10), np.uint8)
    labels[0, 0, :4] = 1
    background, rare, absent = class_weights(labels, 3).tolist()
    assert rare > background
    assert absent == 1.0


def test_a_lesion_of_a_few_pixels_pulls_many_times_harder_than_its_size():
    target = torch.zeros(1, 64, 64, dtype=torch.long)
    target[0, 30:32, 30:32] = 1  # 4 of 4,096
    weight = class_weights(target.numpy().astype(np.uint8), 2)

    def share_of_pull(loss):
        logits = torch.zeros(1, 2, 64, 64, requires_grad=True)
        loss(logits).backward()
        pull = logits.grad[0, 1].abs()
        return pull[target[0] == 1].sum() / pull.sum()

    plain = share_of_pull(lambda logits: torch.nn.functional.cross_entropy(logits, target))
    ours = share_of_pull(lambda logits: segmentation_loss(logits, target, weight))
    assert ours > 20 * plain
