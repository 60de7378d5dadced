"""The first papers take part; the checksum changes with what the scores depend on, and with nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation.selection import read_selection, select_papers

MATRIX = np.arange(40, dtype=np.float32).reshape(10, 4)


def papers(path: Path, rows: int = 10, **columns: Any) -> Path:
    table = {
        "id": [str(row) for row in range(rows)],
        "topic": ["text"] * rows,
        "category 0": ["cs"] * rows,
        "category 1": [f"cs.{row}" for row in range(rows)],
        **columns,
    }
    pq.write_table(pa.table(table), path)
    return path


def test_a_larger_sample_keeps_the_selection(tmp_path: Path) -> None:
    small = select_papers(MATRIX[:6], papers(tmp_path / "small.parquet", 6), 4)
    large = select_papers(MATRIX, papers(tmp_path / "large.parquet"), 4)
    assert small == large
    assert small["papers"] == 4


@pytest.mark.parametrize(("most", "count"), [(None, 10), (4, 4), (30_000, 10)])
def test_how_many_take_part(tmp_path: Path, most: int | None, count: int) -> None:
    assert select_papers(MATRIX, papers(tmp_path / "p.parquet"), most)["papers"] == count


def test_the_checksum_is_of_vectors_ids_and_categories(tmp_path: Path) -> None:
    def checksum(matrix: np.ndarray = MATRIX, **columns: Any) -> str:
        path = papers(tmp_path / "p.parquet", **columns)
        return str(select_papers(matrix, path, 5)["sha256"])

    base = checksum()
    other = MATRIX.copy()
    other[4, 0] += 1
    beyond = MATRIX.copy()
    beyond[5:] += 1
    names = [f"x{row}" for row in range(10)]
    assert checksum(topic=names) == base
    assert checksum(beyond) == base
    changed = [
        *(checksum(other), checksum(id=names), checksum(MATRIX, **{"category 0": names})),
        *(checksum(categories=names), checksum(categories=names[::-1])),
    ]
    assert len({base, *changed}) == 6


def test_files_of_different_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9 papers, but the embeddings have 10"):
        select_papers(MATRIX, papers(tmp_path / "p.parquet", 9), None)
    with pytest.raises(InputError, match="at least 2"):
        select_papers(MATRIX[:1], papers(tmp_path / "p.parquet", 1), None)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"papers": 11}', '{"papers": 1}', '{"papers": "5"}']
)
def test_a_selection_that_does_not_fit_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "selection.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"selection\.json .*Delete it"):
        read_selection(path, 10)
    path.write_text('{"papers": 5}')
    assert read_selection(path, 10) == 5
