"""The papers and the report of a filtered snapshot, and the errors of a snapshot that is not good enough."""

import hashlib
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus import filtering, streams
from arxiv_embeddings.corpus.arxiv import ArxivReader
from arxiv_embeddings.corpus.filtering import filter_papers
from support.records import PHYSICS, REQUIRED, WANTED, record


def filtered(
    folder: Path, lines: Iterable[bytes], limit: float = 0.001, end: bytes = b"\n"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Filter a snapshot of ``lines``; return the papers and the report."""
    (folder / "snapshot.json").write_bytes(b"\n".join(lines) + end)
    papers = folder / "papers.parquet"
    report = filter_papers(ArxivReader(folder / "snapshot.json", WANTED), limit, papers)
    return pd.read_parquet(papers), report


def test_report_counts_what_was_read_kept_and_dropped(tmp_path: Path) -> None:
    lines = [
        record(id="1", categories="cs.CL math.AG"),
        record(id="2"),
        b"",
        record(id="3", categories="physics.optics"),
        b"hello",
        record(id="4", title=None),
        record(id="5", categories="cs.CL"),
        record(id="5", categories="cs.DB"),
        record(id="5", categories="cs.AI"),
        record(id="2"),
        b"world",
    ]
    papers, report = filtered(tmp_path, lines, limit=0.5)
    data = (tmp_path / "snapshot.json").read_bytes()
    assert report == {
        "snapshot": {
            "name": "snapshot.json",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "format": "plain",
        },
        "categories": ["cs.", "physics."],
        "records": {
            "read": 10,
            "kept": 5,
            "dropped": {"other_category": 2, "not_json": 2, "title_is_not_text": 1},
        },
        "bad_lines": {"not_json": [5, 11], "title_is_not_text": [6]},
        "blank_lines": 1,
        "duplicate_ids": 2,
        "papers_per_category": {"cs.AI": 1, "cs.CL": 2, "cs.DB": 1, "physics.optics": 1},
    }
    assert json.loads(json.dumps(report)) == report
    assert list(papers["id"]) == ["1", "3", "5", "5", "5"]


def test_duplicate_ids_are_kept_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [record(id=name, categories="cs.CL") for name in ("a", "b", "a", "c", "b", "a")]
    papers, report = filtered(tmp_path, lines)
    assert "".join(papers["id"]) == "abacba"
    assert report["duplicate_ids"] == 3
    assert "3 papers repeat the id of an earlier paper and are kept" in caplog.text
    assert "a, b" in caplog.text


def test_many_repeated_ids_are_counted_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(filtering, "IDS_COMPARED", 7)
    names = [f"{number:03d}" for number in range(100)]
    lines = [record(id=name, categories="cs.CL") for name in [*names, "x", *names[::-1], "000"]]
    _, report = filtered(tmp_path, lines)
    assert report["duplicate_ids"] == 101
    assert "101 papers repeat the id of an earlier paper and are kept" in caplog.text
    assert ": 000, 001, 002, 003, 004." in caplog.text


def test_ids_of_dropped_records_are_not_compared(tmp_path: Path) -> None:
    _, report = filtered(tmp_path, [PHYSICS, record(), record()])
    assert report["duplicate_ids"] == 0


def test_papers_are_the_same_in_any_row_groups(
    made_snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for rows, block in ((16_384, 1 << 18), (100, 5_000)):
        monkeypatch.setattr(filtering, "ROWS_PER_GROUP", rows)
        monkeypatch.setattr("arxiv_embeddings.corpus.streams.BLOCK", block)
        filter_papers(ArxivReader(made_snapshot, WANTED), 0, tmp_path / "papers.parquet")
        tables.append(pq.read_table(tmp_path / "papers.parquet"))
    assert pq.read_metadata(tmp_path / "papers.parquet").num_row_groups > 5
    assert tables[0].equals(tables[1])


BAD = [b"hello"]


@pytest.mark.parametrize(
    ("valid", "bad", "limit"),
    [
        (999, 1, 0.001),
        (98, 2, 0.02),
        (5, 0, 0),
        (1, 9, 1),
        (71, 29, 0.29),  # 0.29 * 100 is less than 29 in floating point
    ],
)
def test_bad_records_up_to_the_limit_pass(
    valid: int, bad: int, limit: float, tmp_path: Path
) -> None:
    papers, _ = filtered(tmp_path, [PHYSICS] * valid + BAD * bad, limit)
    assert len(papers) == valid


@pytest.mark.parametrize(
    ("valid", "bad", "limit", "message"),
    [
        (
            998,
            2,
            0.001,
            r"2 of 1,000 records of .* \(0.001\) allows: 2 not_json \(lines 999, 1000\)",
        ),
        (9, 1, 0, r"1 of 10 records .*: 1 not_json \(lines 10\)\. Download"),
        (0, 7, 0.5, r"7 of 7 records .*: 7 not_json \(lines 1, 2, 3, 4, 5, …\)\. Download"),
    ],
)
def test_more_bad_records_than_the_limit_fail(
    valid: int, bad: int, limit: float, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [PHYSICS] * valid + BAD * bad, limit)


def test_every_reason_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 no_title \(lines 2\); 1 not_json \(lines 3\)\."):
        filtered(tmp_path, [PHYSICS, record(title=...), *BAD])


def test_blank_lines_are_not_records(tmp_path: Path) -> None:
    filtered(tmp_path, [PHYSICS] * 999 + BAD + [b""] * 5)
    with pytest.raises(InputError, match="1 of 999 records"):
        filtered(tmp_path, [PHYSICS] * 998 + BAD + [b""] * 5)


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b"\n\n", b"\n \n"])
def test_file_may_end_with_or_without_newlines(end: bytes, tmp_path: Path) -> None:
    papers, report = filtered(tmp_path, [PHYSICS, PHYSICS], 0, end)
    assert len(papers) == report["records"]["read"] == 2


@pytest.mark.parametrize("length", [1, 7, 30, len(PHYSICS) - 1])
@pytest.mark.parametrize("limit", [0.001, 1])
def test_truncated_last_line_fails_whatever_the_limit(
    length: int, limit: float, tmp_path: Path
) -> None:
    message = r"ends in the middle of a record \(line 1,001\): the download was cut"
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [PHYSICS] * 1_000 + [PHYSICS[:length]], limit, end=b"")


def test_last_line_truncated_after_a_brace_fails_too(tmp_path: Path) -> None:
    line = record(abstract="In time $O(n^{2})$")
    cut = line[: line.index(b"}") + 1]
    with pytest.raises(InputError, match="ends in the middle of a record"):
        filtered(tmp_path, [PHYSICS, cut], end=b"")


def test_last_line_that_is_not_a_record_is_not_a_cut_download(tmp_path: Path) -> None:
    papers, report = filtered(tmp_path, [PHYSICS] * 3 + [b"hello"], limit=0.5, end=b"")
    assert (len(papers), report["bad_lines"]) == (3, {"not_json": [4]})


def test_no_wanted_paper_fails(tmp_path: Path) -> None:
    message = (
        r"None of the 2 records .* start with 'cs\.' or 'physics\.'\. Check corpus\.categories"
    )
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [record(), record(categories="math.AG cs.CL")])


def notebook(lines: Iterable[str]) -> pd.DataFrame:
    """Return the papers as the original notebook selected them, with pandas from complete records, and their metadata."""
    frame = pd.DataFrame([json.loads(line) for line in lines])
    frame = frame[frame["categories"].str.startswith(WANTED)].reset_index(drop=True)
    frame["topic"] = frame["title"] + " " + frame["abstract"]
    frame["category 1"] = frame["categories"].apply(lambda text: text.split(" ")[0])
    frame["category 0"] = frame["category 1"].apply(lambda text: text.split(".")[0])
    # Damage can rename a key.
    created = frame["versions"].map(
        lambda own: own[0].get("created") if isinstance(own, list) else None
    )
    form = "%a, %d %b %Y %H:%M:%S GMT"
    frame["submitted"] = pd.to_datetime(created, format=form, errors="coerce").dt.date
    frame["updated"] = pd.to_datetime(frame["update_date"], errors="coerce").dt.date
    columns = ["id", "topic", "categories", "category 0", "category 1"]
    return frame[[*columns, "title", "authors", "submitted", "updated", "doi", "license"]]


def assert_same(papers: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check that two tables are equal; None and NaN both mean that there is no value."""
    assert papers.columns.tolist() == expected.columns.tolist()
    assert len(papers) == len(expected)
    same = (papers == expected) | (papers.isna() & expected.isna())
    assert same.all(axis=None)


@pytest.mark.parametrize("name", ["made_snapshot", "verbatim_snapshot", "real_snapshot"])
def test_papers_equal_those_of_the_notebook(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    snapshot: Path = request.getfixturevalue(name)
    report = filter_papers(ArxivReader(snapshot, WANTED), 0, tmp_path / "papers.parquet")
    lines = snapshot.read_text(encoding="utf-8").split("\n")[:-1]
    expected = notebook(lines)
    assert_same(pd.read_parquet(tmp_path / "papers.parquet"), expected)
    assert report["records"] == {
        "read": len(lines),
        "kept": len(expected),
        "dropped": {"other_category": len(lines) - len(expected)},
    }
    assert report["papers_per_category"] == expected["category 1"].value_counts().to_dict()
    assert report["duplicate_ids"] == expected["id"].duplicated().sum()


def parses(line: bytes) -> bool:
    """Return whether the standard library parses ``line`` as an object with texts for all fields used."""
    try:
        content = json.loads(line.decode())
        return all(isinstance(content[name], str) for name in REQUIRED)
    except (ValueError, LookupError, TypeError):
        return False


@pytest.mark.parametrize("name", ["verbatim_snapshot", "real_snapshot"])
def test_papers_of_a_damaged_snapshot_equal_those_of_the_notebook(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    snapshot: Path = request.getfixturevalue(name)
    lines = snapshot.read_bytes().split(b"\n")[:-1]
    rng = random.Random(0)
    for place in range(0, len(lines), 5):
        line, at = lines[place], rng.randrange(len(lines[place]))
        byte = rng.choice([b"\0", b"\x1f", b"\xff", b"\\", b"{", b"}", b'"'])
        damaged = [line[:at], line[:at] + byte + line[at + 1 :], line + line, byte, b"{}", line[1:]]
        lines[place] = rng.choice(damaged)
    lines = [line for line in lines if line]
    papers, report = filtered(tmp_path, lines, limit=0.5)
    good = [line for line in lines if parses(line)]
    expected = notebook(line.decode() for line in good)
    # Of a damaged time, pandas reads nothing and the filter the date.
    dates = ["submitted", "updated"]
    assert_same(papers.drop(columns=dates), expected.drop(columns=dates))
    dropped = report["records"]["dropped"]
    assert report["records"]["read"] == len(lines)
    assert dropped.pop("other_category") == len(good) - len(expected)
    assert sum(dropped.values()) == len(lines) - len(good) > 0.1 * len(lines)
    bad = [number for number, line in enumerate(lines, start=1) if not parses(line)]
    assert min(min(numbers) for numbers in report["bad_lines"].values()) == bad[0]
    assert {number for numbers in report["bad_lines"].values() for number in numbers} <= set(bad)


def test_blocks_may_end_at_every_position_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        record(id="1"),
        record(id="2", title='"}\n{"', categories="cs.CL"),
        b"",
        record(id="3", title="é😀", categories="cs.CL"),
        b'{"id":"4","title":"\xff","abstract":"A","categories":"cs.CL"}',
        record(id="5", categories=" physics.optics\t"),
        record(id="6") + record(id="7"),
        record(id="8", title="é", categories="cs.AI").replace(rb"\u00e9", "é".encode()),
        record(id="9", categories="cs.CL") + b"\r",
        record(id="10", categories="cs.CL"),
    ]
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_bytes(b"\n".join(lines))
    for size in range(1, snapshot.stat().st_size + 1):
        monkeypatch.setattr(streams, "BLOCK", size)
        reader = ArxivReader(snapshot, WANTED)
        assert [paper[0] for paper in reader.papers()] == ["2", "3", "5", "8", "9", "10"]
        tally = reader.tally
        assert (tally.read, tally.other, tally.blank) == (9, 1, 1)
        assert tally.bad_lines == {"not_json": [5], "several_records_on_a_line": [7]}


@pytest.mark.parametrize("data", [b"\n \n", b"hello\n"], ids=["blank", "bad"])
def test_snapshot_without_a_readable_record_fails(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"snapshot.json contains no readable record\. Set"):
        filtered(tmp_path, [data], limit=1)


def test_no_limit_allows_no_bad_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 2 records .* \(nan\) allows"):
        filtered(tmp_path, [PHYSICS, *BAD], limit=float("nan"))
