"""A final name means a whole file, and what a matrix file holds is checked before it is used."""

import hashlib
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import (
    ABANDONED_AFTER,
    TextsHash,
    file_sha256,
    json_sha256,
    scratch_beside,
    write_json,
    written_beside,
)
from arxiv_embeddings.common.matrices import MatrixWriter, matrix_blocks, matrix_sha256, open_matrix

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_final_name_appears_when_the_block_is_done(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with written_beside(path) as partial:
        assert partial.parent == path.parent
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["file"]


def test_old_file_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with written_beside(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failed_block_leaves_the_old_file_and_nothing_else(
    failure: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(failure), written_beside(path) as partial:
        partial.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_folder_appears_when_the_block_is_done(tmp_path: Path) -> None:
    with written_beside(tmp_path / "folder") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner/file").write_text("text")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder/inner/file").read_text() == "text"
    assert names(tmp_path) == ["folder"]


def test_failed_block_removes_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"), written_beside(tmp_path / "folder") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner/file").write_text("text")
        raise ValueError("half")
    assert names(tmp_path) == []


def test_content_reaches_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        assert not (tmp_path / "folder").exists()
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    with written_beside(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "a").touch()
        (partial / "b").touch()
    assert sorted(synced) == ["a", "b"]


def test_partial_files_left_behind_are_removed_after_a_day(tmp_path: Path) -> None:
    now = time.time()
    for name, age in [
        (".file.node1-1.partial", ABANDONED_AFTER + 60),
        (".file.node1-2.partial", ABANDONED_AFTER - 60),
        (".other.node1-1.partial", ABANDONED_AFTER + 60),
        ("file.txt", ABANDONED_AFTER + 60),
    ]:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    folder = tmp_path / ".file.node1-3.partial"
    (folder / "inner").mkdir(parents=True)
    os.utime(folder, (0, 0))
    with written_beside(tmp_path / "file") as partial:
        partial.touch()
    assert names(tmp_path) == [
        ".file.node1-2.partial",
        ".other.node1-1.partial",
        "file",
        "file.txt",
    ]


def test_two_writers_do_not_share_a_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_beside(tmp_path / "file") as mine:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with scratch_beside(tmp_path / "file") as other_process:
            assert other_process != mine
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        with scratch_beside(tmp_path / "file") as other_machine:
            assert other_machine not in (mine, other_process)


def test_json_is_written_at_once_and_readable(tmp_path: Path) -> None:
    content = {"title": "Poincaré", "rows": [1, 2]}
    write_json(tmp_path / "file.json", content)
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == content
    assert names(tmp_path) == ["file.json"]


def test_hashes_of_files_and_json(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    assert json_sha256({"a": 1, "b": [2]}) == json_sha256({"b": [2], "a": 1})
    assert json_sha256({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert json_sha256({"a": 1}) != json_sha256({"a": "1"})


def texts_hash(*runs: list[str]) -> str:
    texts = TextsHash()
    for run in runs:
        texts.update(run)
    return texts.hexdigest()


def test_texts_are_hashed_with_their_borders() -> None:
    sequences = [[], [""], ["", ""], ["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["é"], ["e"]]
    assert len({texts_hash(sequence) for sequence in sequences}) == len(sequences)


def test_texts_may_come_in_any_runs() -> None:
    assert texts_hash(["ab", "c"], [], ["é"]) == texts_hash(["ab"], ["c", "é"])
    data = b"\2\0\0\0\0\0\0\0\xc3\xa9"
    assert texts_hash(["é"]) == hashlib.sha256(data).hexdigest()


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


def test_failure_of_the_block_is_told_rather_than_the_missing_rows(tmp_path: Path) -> None:
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
        (saved(MATRIX.astype(np.float64)), r"holds float64 numbers of shape \(4, 3\)"),
        (saved(MATRIX.astype(np.float16)), "holds float16 numbers"),
        (saved(MATRIX.astype(">f4")), "holds >f4 numbers"),
        (saved(MATRIX.astype(np.int32)), "holds int32 numbers"),
        (saved(MATRIX.ravel()), r"of shape \(12,\), not a float32 matrix in C order"),
        (saved(MATRIX[np.newaxis]), r"of shape \(1, 4, 3\), not a float32 matrix"),
        (saved(np.asfortranarray(MATRIX)), r"of shape \(4, 3\), not a float32 matrix in C order"),
        (saved(np.array([{"a": 1}], dtype=object)), "cannot be read"),
        (zipped_arrays(), "holds no matrix"),
    ],
    ids="empty text header-cut cut float64 float16 big-endian int32 1-d 3-d Fortran pickle npz".split(),
)
def test_what_is_no_matrix_is_refused_by_name(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"matrix\.npy .*{message}"):
        open_matrix(path)


def test_missing_matrix_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.npy cannot be read: .*No such file"):
        open_matrix(tmp_path / "matrix.npy")


class Dangerous:
    """Something that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_no_pickle_is_run(tmp_path: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Dangerous(tmp_path / "ran")
    (tmp_path / "matrix.npy").write_bytes(saved(array))
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
