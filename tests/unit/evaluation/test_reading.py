"""Files of a run are read whole, or the error names the file, the problem and what to do."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation.reading import read_json, read_parquet


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": [3, 4], "c": ["x", "y"]}), path)
    return path


def test_columns_are_read_in_the_requested_order(table: Path) -> None:
    assert read_parquet(table).column_names == ["a", "b", "c"]
    assert read_parquet(table, ["c", "a"]).to_pydict() == {"c": ["x", "y"], "a": [1, 2]}


def test_missing_columns_are_named(table: Path) -> None:
    with pytest.raises(
        InputError, match=r"table\.parquet has no column d, e\. Delete it and run again"
    ):
        read_parquet(table, ["a", "d", "e"])


def test_damaged_and_missing_files_are_refused(table: Path) -> None:
    with pytest.raises(InputError, match=r"missing cannot be read: .* Delete it and run again"):
        read_parquet(table.with_name("missing"))
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"table\.parquet cannot be read: "):
        read_parquet(table)


@pytest.mark.parametrize(
    ("content", "problem"), [("{", "cannot be read: "), ("[1]", "does not hold a JSON object")]
)
def test_json_that_is_not_an_object_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"file\.json {problem}.*Delete it and run again"):
        read_json(path)
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "missing.json")
