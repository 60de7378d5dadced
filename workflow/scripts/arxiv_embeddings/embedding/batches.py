"""Group texts into batches: of similar length, or one behind the other in rows without padding."""

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


def plan_rows(lengths: Sequence[int], tokens_per_row: int, texts_per_row: int) -> list[np.ndarray]:
    """Return the positions of ``lengths`` in rows: next-fit, in the given order.

    A row has at most ``tokens_per_row`` tokens, unless a single text is longer, and at most ``texts_per_row`` texts.

    Returns:
        int64 arrays (texts,); every position is in exactly one row.
    """
    starts: list[int] = []
    used = 0
    for position, length in enumerate(lengths):
        full = not starts or position - starts[-1] == texts_per_row
        if full or used + length > tokens_per_row:
            starts.append(position)
            used = 0
        used += length
    return np.split(np.arange(len(lengths)), starts[1:]) if starts else []
