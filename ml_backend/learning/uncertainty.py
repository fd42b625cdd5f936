"""What several members' probabilities say together: mean, variance, entropy, mutual information."""

from __future__ import annotations

import torch
from torch import Tensor


class Votes:
    """Running sums over members: all members' probabilities at once would take M times the memory.

    A member is a network of a committee, or one dropout pass of a network (MC dropout, Gal and
    Ghahramani, ICML 2016).
    """

    def __init__(self, entropies: bool = True) -> None:
        """Without `entropies` there is no mutual_information(); each member's takes a logarithm."""
        self.count = 0  # members added
        self._entropies = entropies
        self._first: Tensor | None = None  # (N, C, S, S)
        self._first_entropy: Tensor | None = None  # (N, S, S)

    def add(self, probability: Tensor) -> None:
        """Add one member's softmax (N, C, S, S), which is kept by reference, not copied.

        Raises ValueError if the shape is not (N, C, S, S) or not the first member's.
        """
        if probability.ndim != 4:
            raise ValueError(f"probability must be (N, C, S, S): its shape is {probability.shape}")
        entropy = _entropy(probability) if self._entropies else None
        # Sums of differences about the first member: of large equal numbers they cancel badly.
        if self._first is None:
            self._first, self._first_entropy = probability, entropy
            self._total = torch.zeros_like(probability)
            self._square = torch.zeros_like(probability)
            self._entropy_total = torch.zeros_like(probability[:, 0])
        else:
            if probability.shape != self._first.shape:
                raise ValueError(
                    f"every member must have the first one's shape {tuple(self._first.shape)}: "
                    f"this one has {tuple(probability.shape)}"
                )
            difference = probability - self._first
            self._total += difference
            self._square += difference**2
            if entropy is not None and self._first_entropy is not None:
                self._entropy_total += entropy - self._first_entropy
        self.count += 1

    def mean(self) -> Tensor:
        """Mean probability over members, (N, C, S, S). Raises ValueError before the first."""
        return self._added() + self._total / self.count

    def variance(self) -> Tensor:
        """Population variance over members, (N, C, S, S); 0 for one member.

        Raises ValueError before the first.
        """
        self._added()
        mean_difference = self._total / self.count
        return (self._square / self.count - mean_difference**2).clamp(min=0)

    def entropy(self) -> Tensor:
        """Entropy of the mean in nats, (N, S, S). Raises ValueError before the first member."""
        return _entropy(self.mean())

    def mutual_information(self) -> Tensor:
        """Entropy of the mean less the mean entropy, in nats, (N, S, S); 0 where members agree.

        It is the information that a label gives about which member is right (BALD: Houlsby et
        al., 2011; Gal et al., ICML 2017, eq. 4). Raises ValueError before the first, or if the
        votes are without entropies.
        """
        self._added()
        if self._first_entropy is None:
            raise ValueError("mutual information needs votes with entropies")
        gained = (self.entropy() - self._first_entropy) - self._entropy_total / self.count
        return gained.clamp(min=0)

    def _added(self) -> Tensor:
        if self._first is None:
            raise ValueError("no member was added yet")
        return self._first


def _entropy(probability: Tensor) -> Tensor:
    """Entropy over the classes of (N, C, S, S) in nats, (N, S, S); 0 log 0 is 0."""
    # Rounding may leave a mean just below 0, whose entropy would be minus infinity.
    terms: Tensor = torch.special.entr(probability.clamp(min=0))
    return terms.sum(dim=1)
