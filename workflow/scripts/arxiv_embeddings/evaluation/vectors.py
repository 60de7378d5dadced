"""The vectors that are judged: scaled to length 1, so that Euclidean geometry is that of the cosine."""

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
    vectors = matrix[rows]  # a copy already, unless rows is a slice
    if np.may_share_memory(vectors, matrix):
        vectors = vectors.copy()
    # In float64 the squares of no float32 number overflow or vanish.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        row = np.arange(len(matrix))[rows][bad[0]]
        raise InputError(
            f"Row {row} of the embeddings is zero or not finite, as are {len(bad)} of the {len(vectors):,} rows "
            "looked at, so they have no direction. Look at these papers, and at the settings of the model."
        )
    vectors /= lengths[:, None]
    return vectors
