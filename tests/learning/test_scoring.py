"""A draft is the class of the highest mean probability."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ml_backend.learning.geometry import place, restore
from ml_backend.learning.scoring import _draft, _highest


def test_the_draft_is_argmax_the_first_of_equals():
    planes = torch.randint(0, 4, (5, 60, 70)).float()  # many equals
    first = torch.from_numpy(planes.numpy().argmax(axis=0))
    assert torch.equal(_highest(planes).long(), first)
    assert _highest(planes[:1]).sum() == 0


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor holds that is made meanwhile."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        held = [each.numel() for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
        self.numbers = max([self.numbers, *held])
        return made


def test_a_draft_of_many_classes_takes_no_more_than_a_plane_of_the_slice_at_once():
    mean = torch.rand(21, 16, 16, generator=torch.Generator().manual_seed(0))
    where = place(200, 150, 16)
    with Largest() as largest:
        draft = _draft(mean, where)
    assert largest.numbers <= 200 * 150
    assert (draft == restore(mean, where).argmax(dim=0).numpy()).all()
