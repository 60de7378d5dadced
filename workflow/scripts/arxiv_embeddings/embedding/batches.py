"""Group texts into batches of similar length."""

from collections.abc import Sequence

import numpy as np


def plan_batches(lengths: Sequence[int], tokens_per_batch: int) -> list[np.ndarray]:
    """Return the positions of ``lengths`` in batches of texts of similar length, the longest first.

    A batch of r rows whose longest text has l tokens is computed as r * l tokens. This product is at most
    ``tokens_per_batch``, unless a single text is longer. The longest texts come first, so a lack of memory
    shows at the start.

    Returns:
        int64 arrays (rows,); every position is in exactly one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, tokens_per_batch // max(1, lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches
