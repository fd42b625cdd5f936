"""Slices to learn from: bright discs on noise, and where they are."""

import numpy as np
import pytest
import torch

from ml_backend.learning.training import TrainingSettings

SMALL = TrainingSettings(
    members=2, width=8, scales=3, side_px=32, steps=60, batch_size=6, device="cpu"
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Slices this small are quickest on one, above all where other programs are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def discs(count, seed=0, shape=(32, 32)):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images, labels = [], []
    for _ in range(count):
        cy, cx = generator.uniform(0.3, 0.7, 2) * shape
        inside = (y - cy) ** 2 + (x - cx) ** 2 < generator.uniform(4, 8) ** 2
        noise = generator.normal(60, 15, shape)
        images.append(np.clip(noise + inside * 110, 0, 255).astype(np.uint8))
        labels.append(inside.astype(np.uint8))
    return images, labels


def coloured(count, seed=0):
    """Discs that differ from the rest in colour alone: their luma is the same."""
    grey, labels = discs(count, seed)
    images = []
    for image, label in zip(grey, labels, strict=True):
        base = np.clip(image.astype(float) * (1 - label) + 60 * label, 30, 120)
        red = np.clip(base + 60 * label, 0, 255)
        green = np.clip(base - 60 * 0.299 / 0.587 * label, 0, 255)
        images.append(np.stack([red, green, base], axis=2).astype(np.uint8))
    return images, labels
