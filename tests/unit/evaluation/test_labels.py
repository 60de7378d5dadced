"""Labels that do not match the vectors are refused, and unusable classes have a reason."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation.labels import Labels, read_labels
from arxiv_embeddings.evaluation.vectors import unit_vectors


def write_papers(path: Path, coarse: Sequence[str | None], fine: Sequence[str | None]) -> Path:
    pq.write_table(pa.table({"category 0": coarse, "category 1": fine}), path)
    return path


def labels_of(*names: str) -> Labels:
    unique, codes = np.unique(names, return_inverse=True)
    return Labels("category 1", codes.astype(np.int32), tuple(unique))


def test_classes_are_coded_by_name(tmp_path: Path) -> None:
    fine = ["math.IT", "cs.IT", "cs.CL", "cs.IT"]
    path = write_papers(tmp_path / "p", [name.split(".")[0] for name in fine], fine)
    coarse, full = read_labels(path, 4)
    assert (coarse.level, coarse.names, coarse.codes.tolist()) == (
        "category 0",
        ("cs", "math"),
        [1, 0, 0, 0],
    )
    # cs.IT and math.IT are two classes.
    assert full.names == ("cs.CL", "cs.IT", "math.IT")
    assert full.codes.tolist() == [2, 1, 0, 1] and full.codes.dtype == np.int32
    assert full.sizes.tolist() == [1, 2, 1]


def test_the_first_papers_take_part_and_fewer_are_refused(tmp_path: Path) -> None:
    path = write_papers(tmp_path / "papers.parquet", ["cs", "cs", "x"], ["cs.CL", "cs.AI", "x"])
    coarse, fine = read_labels(path, 2)
    assert (coarse.names, fine.names, len(fine.codes)) == (("cs",), ("cs.AI", "cs.CL"), 2)
    with pytest.raises(InputError, match=r"papers\.parquet has 3 papers, but 4 take part"):
        read_labels(path, 4)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_hierarchies_of_any_depth(tmp_path: Path, depth: int) -> None:
    columns = {f"category {level}": ["a", "b"] for level in range(depth)}
    pq.write_table(pa.table({"topic": ["x", "y"], **columns}), tmp_path / "p")
    assert [labels.level for labels in read_labels(tmp_path / "p", 2)] == list(columns)


@pytest.mark.parametrize("value", ["", None])
def test_empty_labels_are_refused_with_their_row(tmp_path: Path, value: str | None) -> None:
    path = write_papers(tmp_path / "p", ["cs", "cs", "cs"], ["cs.CL", value, value])
    with pytest.raises(
        InputError, match=r"category 1 is empty in 2 rows, the first of which is row 1"
    ):
        read_labels(path, 3)


def test_files_without_papers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.parquet", 3)
    pq.write_table(pa.table({"category 1": ["cs"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has no column category 0"):
        read_labels(tmp_path / "other.parquet", 1)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("aaa", "omitted: category 1 has fewer than two classes"),
        ("abc", "omitted: every class of category 1 has a single paper"),
        ("aab", ""),
    ],
)
def test_unusable_classes_have_a_reason(names: str, problem: str) -> None:
    assert labels_of(*names).problem == problem


def test_a_note_counts_the_single_paper_classes() -> None:
    assert labels_of(*"aabc").note == "single-paper classes: 2 of 3"
    assert labels_of(*"aabb").note == ""


def test_a_subset_of_the_papers_has_only_its_own_classes() -> None:
    part = labels_of(*"abcab").at(np.array([2, 0, 3]))
    assert (part.names, part.codes.tolist()) == (("a", "c"), [1, 0, 0])


def test_unit_vectors_keep_their_direction() -> None:
    matrix = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32) * 100
    # Squares of these would vanish in float32.
    matrix[0] *= 1e-30
    rows = np.array([0, 4, 7])
    found = unit_vectors(matrix, rows)
    wanted = matrix[rows].astype(float)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_vectors_without_direction_are_refused_with_their_row(value: float) -> None:
    matrix = np.ones((9, 5), np.float32)
    matrix[[6, 8]] = value
    with pytest.raises(
        InputError, match=r"2 of 5 rows .* zero or not finite, the first of which is row 6"
    ):
        unit_vectors(matrix, np.array([0, 2, 4, 6, 8]))
