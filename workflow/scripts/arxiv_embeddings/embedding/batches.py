"""Which texts go through the model together."""

from collections.abc import Sequence

import numpy as np


def plan_batches(lengths: Sequence[int], tokens_per_batch: int) -> list[np.ndarray]:
    """Return the positions of ``lengths`` in batches of texts of like length, the longest first.

    A batch of r rows whose longest text has l tokens is computed as r * l tokens; that stays within
    ``tokens_per_batch``, except where one text alone is longer. Longest first, so that memory that
    does not suffice shows at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, tokens_per_batch // max(1, lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches
