"""The vectors that are scored, scaled to length 1 so that Euclidean distance and cosine agree."""

import numpy as np

from ..common.errors import InputError


def unit_vectors(matrix: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Return the rows of a matrix (n, d) divided by their Euclidean length, float32 (rows, d), in memory.

    Two such vectors with cosine c are at the squared Euclidean distance 2 - 2c.

    Args:
        matrix: float32 (n, d), usually memory-mapped; only ``rows`` are read.
        rows: int64 row numbers, or a slice.

    Raises:
        InputError: a vector is zero or not finite.
    """
    # A copy already, unless rows is a slice.
    vectors = matrix[rows]
    if np.may_share_memory(vectors, matrix):
        vectors = vectors.copy()
    # Squares of float32 numbers can overflow or vanish in float32, but not in float64.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        row = np.arange(len(matrix))[rows][bad[0]]
        raise InputError(
            f"{len(bad):,} of {len(vectors):,} rows of the embeddings are zero or not finite, the first of "
            f"which is row {row}. Check these papers and the settings of the model."
        )
    vectors /= lengths[:, None]
    return vectors
