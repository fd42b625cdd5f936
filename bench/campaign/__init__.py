"""``./quorum bench campaign``: hours to label a set, and minutes annotators wait, simulated.

A discrete-event simulation of annotators and rounds, fed by measured times: the loop that waits
for each training, and the product's, in which an order over the whole pool always exists.
"""

from .cli import main

__all__ = ["main"]
