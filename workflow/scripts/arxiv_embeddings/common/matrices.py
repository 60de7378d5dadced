"""Float32 matrices as ``.npy`` files: written sequentially, read without unpickling."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from .errors import InputError


class MatrixWriter:
    """Writes a float32 matrix (rows, dimensions) in C order, block by block, without holding it in memory.

    ``sha256`` covers the numbers' bytes (little endian), not the header. Leaving the context raises
    ValueError if fewer or more than ``rows`` rows were written.
    """

    def __init__(self, path: Path, rows: int, dimensions: int) -> None:
        self.shape = (rows, dimensions)
        self._rows_left = rows
        self._sha256 = hashlib.sha256()
        self._file = path.open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None and self._rows_left:
            raise ValueError(f"{self._rows_left} of {self.shape[0]} rows were not written")

    def append(self, block: np.ndarray) -> None:
        """Write the next rows: a float32 block (any number of rows, dimensions)."""
        if block.shape[1:] != self.shape[1:]:
            raise ValueError(
                f"a block of shape {block.shape} does not fit a matrix of shape {self.shape}"
            )
        data = np.ascontiguousarray(block, dtype="<f4").data
        self._rows_left -= len(block)
        self._sha256.update(data)
        self._file.write(data)

    @property
    def sha256(self) -> str:
        """The hexadecimal SHA-256 of the numbers written so far."""
        return self._sha256.hexdigest()


def open_matrix(path: Path) -> np.memmap:
    """Return the float32 matrix (rows, dimensions) in ``path``, memory-mapped and read-only.

    Raises:
        InputError: the file is missing, truncated, or not a float32 matrix in C order. The message gives
            no instruction, because only the caller knows how to recompute the file.
    """
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    # A damaged header can make numpy raise any exception.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(matrix, np.memmap):
        raise InputError(f"{path} is an archive of arrays, not a matrix")
    if matrix.dtype != np.dtype("<f4") or matrix.ndim != 2 or not matrix.flags.c_contiguous:
        raise InputError(
            f"{path} contains {matrix.dtype} numbers of shape {matrix.shape}, not a float32 matrix in C order"
        )
    return matrix


def matrix_blocks(path: Path, rows: int) -> Iterator[np.ndarray]:
    """Yield the float32 matrix in ``path`` in blocks (rows, dimensions); the last may have fewer rows.

    The file is read, not memory-mapped, so only one block is in memory at a time.

    Raises:
        InputError: as ``open_matrix``.
    """
    matrix = open_matrix(path)
    dimensions = matrix.shape[1]
    with path.open("rb") as file:
        file.seek(matrix.offset)
        for start in range(0, len(matrix), rows):
            count = min(rows, len(matrix) - start)
            yield np.fromfile(file, dtype="<f4", count=count * dimensions).reshape(-1, dimensions)


def matrix_sha256(matrix: np.ndarray) -> str:
    """Return the hexadecimal SHA-256 of a float32 matrix's numbers, equal to ``MatrixWriter.sha256``."""
    return hashlib.sha256(np.ascontiguousarray(matrix, dtype="<f4").data).hexdigest()
