"""How long and in what batches a fit trains by default, by the number of data.

STEPS, LR and the sizes were chosen on ten small tables (100 to 10,000 rows, regression and classification, with much
noise and with hardly any): with half as many steps the loss is still falling on more of them, smaller batches keep a
learned noise scale from reaching its minimum, and twice LR ends worse on two.
"""

from __future__ import annotations

import math

STEPS = 4000  # a few seconds for a small network
LR = 5e-3  # Adam's, at the start
SMALLEST, LARGEST = 32, 128  # examples in a batch


def half_cosine(done: float, steps: float) -> float:
    """What the learning rate is multiplied by after so many steps: it falls from 1 to 0 (Loshchilov & Hutter, 2017)."""
    return (1 + math.cos(math.pi * done / steps)) / 2


def batch_size(size: int) -> int:
    """A power of two near N/16, from 32 to 128, and at most N."""
    return min(size, LARGEST, max(SMALLEST, 2 ** round(math.log2(size / 16))))


def epochs(size: int, batch_size: int) -> int:
    """The fewest that make STEPS steps."""
    return math.ceil(STEPS / math.ceil(size / max(1, batch_size)))  # a value below 1 is refused later
