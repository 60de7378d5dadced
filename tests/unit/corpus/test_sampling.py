"""The drawn papers begin with pandas' sample of any size, and any range of them can be read."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import file_sha256, scratch_beside
from arxiv_embeddings.corpus import sampling
from arxiv_embeddings.corpus.arxiv import ArxivReader
from arxiv_embeddings.corpus.filtering import filter_papers, schema_of
from arxiv_embeddings.corpus.papers import read_papers
from arxiv_embeddings.corpus.sampling import drawing_order, hash_order, sample_papers

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 papers as the filter writes them."""
    path = tmp_path_factory.mktemp("papers") / "papers.parquet"
    write_papers(path, 2_500)
    return path


@pytest.fixture
def drawn(papers: Path, tmp_path: Path) -> Path:
    path = tmp_path / "drawn.parquet"
    draw(papers, 42, None, path)
    return path


def draw(papers: Path, seed: int, size: int | None, path: Path, order: str = "pandas") -> None:
    """Draw the papers with buckets in a folder that is removed afterwards, as the command does."""
    with scratch_beside(path) as scratch:
        sample_papers(papers, path, seed=seed, order=order, size=size, scratch=scratch)


def write_papers(path: Path, count: int, **options: Any) -> None:
    categories = ["cs.CL math.AG", "physics.optics", "cs.DB"]
    rows = [
        {
            "id": f"{number:05d}",
            "topic": f"Title {number} " + hashlib.sha256(b"%d" % number).hexdigest() * (number % 4),
            "categories": categories[number % 3],
            "category 0": categories[number % 3].split(".")[0],
            "category 1": categories[number % 3].split()[0],
        }
        for number in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema_of(levels=2)), path, **options)


def options(papers: Path, size: object, drawn: Path) -> list[object]:
    """Return the options of the command; the filter's report lies beside the papers."""
    report = papers.with_name("filter.json")
    report.write_text(
        json.dumps(
            {
                "snapshot": {"bytes": 5, "sha256": "0"},
                "records": {"kept": 2_500},
                "categories": ["cs."],
                "format": "arxiv",
                "columns": None,
            }
        )
    )
    named = {"papers": papers, "filter-report": report, "seed": 42, "order": "pandas", "size": size}
    named |= {"drawn": drawn, "report": drawn.with_name("drawn.json")}
    return [part for name, value in named.items() for part in (f"--{name}", value)]


def row_groups(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
@pytest.mark.parametrize("count", [1, 2, 10, 999, 1_000, 12_345])
def test_order_begins_with_pandas_sample_of_any_size(count: int, seed: int) -> None:
    order = drawing_order(count, seed)
    frame = pd.DataFrame({"position": range(count)})
    for size in {1, 2, count // 3, count - 1, count}:
        if 0 < size <= count:
            sample = frame.sample(size, random_state=seed)
            np.testing.assert_array_equal(order[:size], sample["position"])


def test_order_of_the_whole_corpus() -> None:
    order = drawing_order(924_085, 42)
    assert order[:5].tolist() == [843870, 93900, 713100, 335545, 325459]
    assert order[29_995:30_000].tolist() == [613497, 387965, 456633, 57689, 421669]
    assert len(np.unique(order)) == 924_085


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("size", [1, 10, 999, 2_500])
def test_drawn_papers_begin_with_pandas_sample(
    size: int, seed: int, papers: Path, tmp_path: Path
) -> None:
    draw(papers, seed, size, tmp_path / "drawn.parquet")
    drawn = pd.read_parquet(tmp_path / "drawn.parquet")
    assert len(drawn) == 2_500  # all of them, so that the sample can grow
    expected = pd.read_parquet(papers).sample(size, random_state=seed).reset_index(drop=True)
    pd.testing.assert_frame_equal(drawn[:size], expected)


def test_real_papers_are_drawn_as_pandas_draws_them(real_snapshot: Path, tmp_path: Path) -> None:
    papers, drawn = tmp_path / "papers.parquet", tmp_path / "drawn.parquet"
    filter_papers(ArxivReader(real_snapshot, ("cs.", "physics.")), 0, papers)
    draw(papers, 42, 3_000, drawn)
    expected = pd.read_parquet(papers).sample(3_000, random_state=42).reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(drawn)[:3_000], expected)


def test_columns_and_types_are_kept(papers: Path, drawn: Path) -> None:
    assert pq.read_schema(drawn) == pq.read_schema(papers) == schema_of(levels=2)


def test_row_groups_are_small_enough_for_a_shard(drawn: Path) -> None:
    assert row_groups(drawn) == [1_000, 1_000, 500]


@pytest.mark.parametrize("rows_per_bucket", [100, 1_000, 2_000, 2_500])
def test_several_buckets_give_the_same_order(
    rows_per_bucket: int,
    papers: Path,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "ROWS_PER_BUCKET", rows_per_bucket)
    draw(papers, 42, None, tmp_path / "bucketed.parquet")
    assert pq.read_table(tmp_path / "bucketed.parquet").equals(pq.read_table(drawn))
    if rows_per_bucket % sampling.ROWS_PER_GROUP == 0:
        assert file_sha256(tmp_path / "bucketed.parquet") == file_sha256(drawn)


@pytest.mark.parametrize("rows_read", [7, 1_000, 1 << 20])
@pytest.mark.parametrize("input_groups", [100, 2_500])
def test_bytes_are_the_same_however_the_papers_are_read(
    rows_read: int, input_groups: int, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_papers(tmp_path / "papers.parquet", 2_500, row_group_size=input_groups)
    monkeypatch.setattr(sampling, "ROWS_READ", rows_read)
    monkeypatch.setattr(sampling, "ROWS_PER_BUCKET", 1_000)
    draw(tmp_path / "papers.parquet", 42, None, tmp_path / "again.parquet")
    assert file_sha256(tmp_path / "again.parquet") == file_sha256(drawn)


def test_another_seed_gives_another_order(papers: Path, drawn: Path, tmp_path: Path) -> None:
    draw(papers, 43, None, tmp_path / "other.parquet")
    assert list(pd.read_parquet(tmp_path / "other.parquet")["id"]) != list(
        pd.read_parquet(drawn)["id"]
    )


def test_hash_order_is_the_order_of_the_hashes(papers: Path, tmp_path: Path) -> None:
    draw(papers, 42, None, tmp_path / "drawn.parquet", "hash")
    salt = hashlib.sha256(b"42").digest()
    frame = pd.read_parquet(papers)
    frame["key"] = [hashlib.sha256(salt + one.encode()).digest() for one in frame["id"]]
    expected = frame.sort_values("key").drop(columns="key").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "drawn.parquet"), expected)


def test_a_later_corpus_keeps_the_hash_sample_apart_from_new_papers() -> None:
    """The reason for this order: 1 % new papers replace about 1 % of a sample, in pandas' order nearly all."""
    old = [f"{number:05d}" for number in range(10_000)]
    new = sorted([*old, *(f"9{number:05d}" for number in range(100))], key=lambda one: one[::-1])
    before = {old[row] for row in hash_order(old, 42)[:1_000]}
    after = {new[row] for row in hash_order(new, 42)[:1_000]}
    assert 0 < len(after - before) < 30
    assert all(one.startswith("9") and len(one) == 6 for one in after - before)
    assert len({old[row] for row in hash_order(old, 43)[:1_000]} & before) < 200
    drawn = [{names[row] for row in drawing_order(len(names), 42)[:1_000]} for names in (old, new)]
    assert len(drawn[1] - drawn[0]) > 800


def test_papers_with_equal_ids_keep_their_order() -> None:
    order = hash_order(["b", "a", "b", "a", "b"], 0).tolist()
    assert [row for row in order if row in (0, 2, 4)] == [0, 2, 4]
    assert [row for row in order if row in (1, 3)] == [1, 3]


def test_too_large_sample_fails_with_both_numbers(papers: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="asks for 2,501 papers, but only 2,500 passed"):
        draw(papers, 42, 2_501, tmp_path / "drawn.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["all", "10"])
def test_command_writes_the_drawn_papers_and_how_they_were_drawn(
    size: str, script: Script, papers: Path, drawn: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out/drawn.parquet"
    arguments = options(papers, size, target)
    done = script("sample_papers.py", *arguments)
    assert done.returncode == 0, done.stdout
    report = target.with_name("drawn.json")
    assert sorted(target.parent.iterdir()) == [report, target]
    assert file_sha256(target) == file_sha256(drawn)
    assert json.loads(report.read_text()) == {
        "papers": 2_500,
        "seed": 42,
        "order": "pandas",
        "snapshot": {"bytes": 5, "sha256": "0"},
        "format": "arxiv",
        "categories": ["cs."],
        "columns": None,
    }


def test_too_large_sample_fails_in_one_line(script: Script, papers: Path, tmp_path: Path) -> None:
    arguments = options(papers, 9_999, tmp_path / "drawn")
    done = script("sample_papers.py", *arguments)
    assert done.returncode == 1
    assert "ERROR sample.size asks for 9,999 papers, but only 2,500 passed" in done.stdout
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []


FULL = """
import pyarrow.parquet
def full(*_, **__): raise OSError('No space left on device')
pyarrow.{} = full
"""


@pytest.mark.parametrize(
    "writer", ["RecordBatchStreamWriter.write_batch", "parquet.ParquetWriter.write_table"]
)
def test_full_disk_leaves_no_file(
    writer: str, script: Script, papers: Path, tmp_path: Path
) -> None:
    arguments = options(papers, 10, tmp_path / "drawn")
    done = script("sample_papers.py", *arguments, before=FULL.format(writer))
    assert done.returncode == 1
    assert "No space left on device" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_buckets_of_a_killed_command_are_removed_after_a_day(
    script: Script, papers: Path, tmp_path: Path
) -> None:
    arguments = options(papers, 10, tmp_path / "drawn")
    writer = "import pyarrow.parquet; pyarrow.parquet.ParquetWriter.write_table"
    kill = f"{writer} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
    assert script("sample_papers.py", *arguments, before=kill).returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert any(path.is_dir() for path in left)
    for path in left:
        os.utime(path, (0, 0))
    assert script("sample_papers.py", *arguments).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "drawn.json"]


RANGES = [(0, 2_500), (0, 1), (0, 1_000), (1_000, 2_000), (999, 1_001), (1_500, 2_500), (7, 7)]


@pytest.mark.parametrize("size", [1, 400, 1_000, 1_700, 5_000])
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_any_range_of_papers_is_read_in_tables_of_the_given_size(
    start: int, stop: int, size: int, drawn: Path
) -> None:
    tables = list(read_papers(drawn, start=start, stop=stop, size=size))
    expected = pq.read_table(drawn, columns=["id", "topic"]).slice(start, stop - start)
    assert pa.concat_tables([expected.slice(0, 0), *tables]).equals(expected)
    assert all(len(table) == size for table in tables[:-1])
    assert all(0 < len(table) <= size for table in tables[-1:])


def test_requested_columns_are_read(drawn: Path) -> None:
    columns = ["id", "category 0", "category 1"]
    (table,) = read_papers(drawn, start=0, stop=10, size=10, columns=columns)
    assert table.equals(pq.read_table(drawn, columns=columns).slice(0, 10))


def test_rows_after_the_end_fail_with_both_numbers(drawn: Path) -> None:
    with pytest.raises(
        InputError, match="has only 2,500 papers, but papers up to row 2,501 were requested"
    ):
        next(read_papers(drawn, start=2_400, stop=2_501, size=10))


@pytest.mark.parametrize(
    ("start", "stop", "groups"),
    [(0, 10, [0]), (0, 1_000, [0]), (1_000, 2_000, [1]), (999, 1_001, [0, 1]), (2_400, 2_500, [2])],
)
def test_only_the_row_groups_of_the_papers_are_read(
    start: int, stop: int, groups: list[int], drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, group: int, **options: Any) -> pa.Table:
        read.append(group)
        return real(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    list(read_papers(drawn, start=start, stop=stop, size=100))
    assert read == groups
