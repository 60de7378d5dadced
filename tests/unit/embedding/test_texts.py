"""Papers are read by their rows, from Parquet and from JSON lines."""

import json
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.embedding.shard import rows_to_embed
from arxiv_embeddings.embedding.texts import read_texts
from support.drawn import PAPERS, draw, paper_id


def write_lines(path: Path, texts: list[str]) -> Path:
    papers = [{"id": paper_id(row), "topic": text, "more": 1} for row, text in enumerate(texts)]
    path.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    return path


ROWS = [[], [0], [39], range(40), range(3, 21), [0, 6, 7, 8, 20, 39], range(0, 40, 3)]


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("size", [1, 8, 100])
def test_both_formats_yield_the_papers_of_the_rows(
    texts: list[str], tmp_path: Path, rows: list[int], size: int
) -> None:
    numbers = np.array(rows, dtype=np.int64)
    runs = list(read_texts(draw(tmp_path / "drawn.parquet", texts), numbers, size))
    assert runs == list(read_texts(write_lines(tmp_path / "lines", texts), numbers, size))
    assert [text for _, run in runs for text in run] == [texts[row] for row in rows]
    assert [one for ids, _ in runs for one in ids] == [paper_id(row) for row in rows]
    assert all(len(ids) == size for ids, _ in runs[:-1])
    assert all(0 < len(ids) <= size for ids, _ in runs[-1:])


def test_only_needed_row_groups_are_read(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    read: list[int] = []
    plain = pq.ParquetFile.read_row_group

    def count(file: pq.ParquetFile, group: int, **options: object) -> object:
        read.append(group)
        return plain(file, group, **options)

    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        count,
    )
    list(read_texts(draw(tmp_path / "drawn.parquet", texts), np.array([6, 7, 30]), 10))
    # A row group has 7 papers.
    assert read == [0, 1, 4]


@pytest.mark.parametrize("form", [draw, write_lines])
@pytest.mark.parametrize("last", [PAPERS, PAPERS + 5])
def test_rows_beyond_the_last_paper_are_refused(
    texts: list[str], tmp_path: Path, form: object, last: int
) -> None:
    path = form(tmp_path / "papers", texts)  # type: ignore[operator]
    with pytest.raises(
        InputError, match=rf"has only {PAPERS} papers, but papers up to row {last + 1} were"
    ):
        list(read_texts(path, np.array([3, last]), 2))


@pytest.mark.parametrize("form", [draw, write_lines])
@pytest.mark.parametrize("rows", [[-1], [-1, 3], [3, 2], [0, 5, 5], [1, 9, 4, 12]], ids=str)
def test_rows_that_are_negative_or_not_ascending_are_refused(
    texts: list[str], tmp_path: Path, form: object, rows: list[int]
) -> None:
    path = form(tmp_path / "papers", texts)  # type: ignore[operator]
    with pytest.raises(ValueError, match="Rows must be ascending and not negative"):
        list(read_texts(path, np.array(rows), 2))
    with pytest.raises(ValueError, match="Rows must be ascending and not negative"):
        rows_to_embed(path, np.array(rows), [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "0704.0001"', "Line 3 of .* is not a paper record"),
        ('{"id": "0704.0001"}', "Line 3 of .* is not a paper record .*'topic'"),
        ("[1, 2]", "Line 3 of .* is not a paper record"),
        ('{"id": "0704.0001", "topic": null}', "Line 3 of .* must be strings"),
        ('{"id": 704.0001, "topic": "a"}', "Line 3 of .* must be strings"),
    ],
)
def test_lines_that_are_not_papers_are_refused(
    texts: list[str], tmp_path: Path, line: str, message: str
) -> None:
    path = write_lines(tmp_path / "lines", texts[:2])
    path.write_text(path.read_text() + line)
    with pytest.raises(InputError, match=message):
        list(read_texts(path, np.arange(3), 2))
