"""A draft is the class of the highest mean probability."""

import torch

from ml_backend.learning.scoring import _highest


def test_the_draft_is_argmax_the_first_of_equals():
    planes = torch.randint(0, 4, (5, 60, 70)).float()  # many equals
    first = torch.from_numpy(planes.numpy().argmax(axis=0))
    assert torch.equal(_highest(planes).long(), first)
    assert _highest(planes[:1]).sum() == 0
