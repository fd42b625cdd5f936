"""Annotators whose habits are known, for tests of what is made of them."""

import numpy as np

SIDE = 64
_PLANE = (np.arange(SIDE) + 1j * np.arange(SIDE)[:, None]).astype(np.complex64)  # x + iy


class Lesion:
    """A star-shaped truth: a centre, and a radius by angle."""

    def __init__(self, generator):
        self.row, self.column = generator.uniform(26, 38, 2)
        self.mean = generator.uniform(10, 14)
        self.waves = generator.normal(0, 0.06, (2, 4))

    def drawn(self, size=1.0, shift=(0.0, 0.0), waves=0.0):
        """The lesion (H, W) drawn `size` times as wide, shifted, with its outline off by waves."""
        from_centre = _PLANE - complex(self.column + shift[1], self.row + shift[0])
        distance = np.abs(from_centre)
        direction = from_centre / np.maximum(distance, 1e-9)
        cosine, sine = self.waves + waves
        radius, turned = 1.0, 1.0
        for c, s in zip(cosine, sine, strict=True):
            turned = turned * direction
            radius = radius + c * turned.real + s * turned.imag
        return (distance <= self.mean * size * radius).astype(np.uint8)


def careful(lesion, generator):
    """Errs by a little each time, another way each time."""
    return lesion.drawn(
        generator.normal(1, 0.03), generator.normal(0, 0.5, 2), generator.normal(0, 0.02, (2, 4))
    )


def sloppy(lesion, generator):
    """As careful(), but twice as much."""
    return lesion.drawn(
        generator.normal(1, 0.06), generator.normal(0, 1.0, 2), generator.normal(0, 0.04, (2, 4))
    )


def too_large(lesion, generator):
    """20 % too wide, thus 44 % too much."""
    return lesion.drawn(1.2 * generator.normal(1, 0.03), generator.normal(0, 0.5, 2))


def too_small(lesion, generator):
    return lesion.drawn(0.8 * generator.normal(1, 0.03), generator.normal(0, 0.5, 2))


def shifted(lesion, generator):
    """Always a third of the lesion's radius to one side."""
    return lesion.drawn(1.0, (4 + generator.normal(0, 0.5), generator.normal(0, 0.5)))


def random(lesion, generator):
    """A lesion of the usual size, anywhere."""
    return Lesion(generator).drawn(1.0, generator.uniform(-18, 18, 2))


def crowd(habits, slices, overlap, seed):
    """Slices that `overlap` annotators, drawn at random, have drawn: (truths, maps by annotator).

    Annotators are numbered from 1 in the order of their habits.
    """
    generator = np.random.default_rng(seed)
    truths, drawn = [], []
    for _ in range(slices):
        lesion = Lesion(generator)
        who = generator.choice(len(habits), overlap, replace=False)
        truths.append(lesion.drawn())
        drawn.append({int(n) + 1: habits[n](lesion, generator) for n in who})
    return truths, drawn
