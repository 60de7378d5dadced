"""A matrix file is written row by row as numpy would write it, and checked before it is used."""

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.matrices import MatrixWriter, matrix_blocks, matrix_sha256, open_matrix

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def write_matrix(path: Path, *blocks: np.ndarray, rows: int = 4) -> str:
    with MatrixWriter(path, rows, 3) as writer:
        for block in blocks:
            writer.append(block)
    return writer.sha256


@pytest.mark.parametrize(
    "blocks",
    [
        [MATRIX],
        [MATRIX[:1], MATRIX[1:1], MATRIX[1:]],
        [np.asfortranarray(MATRIX)],
        [MATRIX.astype(">f4")],
    ],
    ids=["one block", "several blocks", "Fortran order", "big endian"],
)
def test_written_matrix_is_read_by_numpy(blocks: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    digest = write_matrix(path, *blocks)
    saved = io.BytesIO()
    np.save(saved, MATRIX)
    assert path.read_bytes() == saved.getvalue()
    assert digest == matrix_sha256(MATRIX) == hashlib.sha256(MATRIX.tobytes()).hexdigest()
    matrix = open_matrix(path)
    assert isinstance(matrix, np.memmap)
    assert not matrix.flags.writeable
    np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize("rows", [0, 3, 5])
def test_wrong_number_of_rows_fails(rows: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{4 - rows} of 4 rows were not written"):
        write_matrix(tmp_path / "matrix.npy", np.zeros((rows, 3), np.float32))


def test_block_of_another_width_fails(tmp_path: Path) -> None:
    message = r"a block of shape \(4, 2\) does not fit a matrix of shape \(4, 3\)"
    with pytest.raises(ValueError, match=message):
        write_matrix(tmp_path / "matrix.npy", MATRIX[:, :2])


def test_error_in_the_block_is_raised_instead_of_the_missing_rows(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), MatrixWriter(tmp_path / "matrix.npy", 4, 3):
        raise OSError("disk")


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_matrix_is_read_in_blocks(rows: int, tmp_path: Path) -> None:
    np.save(tmp_path / "matrix.npy", MATRIX)
    blocks = list(matrix_blocks(tmp_path / "matrix.npy", rows))
    assert all(len(block) == rows for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), MATRIX)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped_arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, MATRIX)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read"),
        (b"text", "cannot be read"),
        (saved(MATRIX)[:5], "cannot be read"),
        (saved(MATRIX)[:-1], "cannot be read"),
        (saved(MATRIX.astype(np.float64)), r"contains float64 numbers of shape \(4, 3\)"),
        (saved(MATRIX.astype(np.float16)), "contains float16 numbers"),
        (saved(MATRIX.astype(">f4")), "contains >f4 numbers"),
        (saved(MATRIX.astype(np.int32)), "contains int32 numbers"),
        (saved(MATRIX.ravel()), r"of shape \(12,\), not a float32 matrix in C order"),
        (saved(MATRIX[np.newaxis]), r"of shape \(1, 4, 3\), not a float32 matrix"),
        (saved(np.asfortranarray(MATRIX)), r"of shape \(4, 3\), not a float32 matrix in C order"),
        (saved(np.array([{"a": 1}], dtype=object)), "cannot be read"),
        (zipped_arrays(), "is an archive of arrays, not a matrix"),
    ],
    ids="empty text header-cut cut float64 float16 big-endian int32 1-d 3-d Fortran pickle npz".split(),
)
def test_other_content_is_refused_with_the_name_of_the_file(
    data: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "matrix.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"matrix\.npy .*{message}"):
        open_matrix(path)


def test_missing_matrix_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.npy cannot be read: .*No such file"):
        open_matrix(tmp_path / "matrix.npy")


class Dangerous:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("in_array", [True, False])
def test_pickle_is_never_loaded(in_array: bool, tmp_path: Path) -> None:
    dangerous = Dangerous(tmp_path / "ran")
    array = np.empty(1, dtype=object)
    array[0] = dangerous
    data = saved(array) if in_array else pickle.dumps(dangerous)
    (tmp_path / "matrix.npy").write_bytes(data)
    with pytest.raises(InputError):
        open_matrix(tmp_path / "matrix.npy")
    assert not (tmp_path / "ran").exists()


def test_damaged_header_is_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    for place in range(128):
        data = bytearray(saved(MATRIX))
        data[place] ^= 1
        path.write_bytes(data)
        try:
            open_matrix(path)
        except InputError:
            continue
