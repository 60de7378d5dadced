"""The named columns of a table become papers, or an error names the column, line or file that is wrong."""

import csv
import datetime
import gzip
import hashlib
import json
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.currency import files_sha256, is_snapshot
from arxiv_embeddings.corpus.arxiv import ArxivReader
from arxiv_embeddings.corpus.filtering import filter_papers
from arxiv_embeddings.corpus.table import Columns, TableReader
from hypothesis import example, given, settings
from hypothesis import strategies as st

CONFIG: dict[str, Any] = {"id": "no", "text": ["title", "abstract"], "category 1": "label"}
PARENT: dict[str, Any] = {"category 0": "year"}
HEADER = ["label", "abstract", "year", "title", "no"]
ROWS = [
    ["cs.CL", "of words,\nand lines", "1999", 'A "grammar"', "1"],
    ["hep-th", " strings ", "", "Branes", "2"],
    ["cs.CV", "é – 😀", "2003", "Pixels", "x/3"],
]
PAPERS = {
    "id": ["1", "2", "x/3"],
    "topic": ['A "grammar" of words,\nand lines', "Branes  strings ", "Pixels é – 😀"],
    "categories": ["cs.CL", "hep-th", "cs.CV"],
    "category 0": ["cs", "hep-th", "cs"],
    "category 1": ["cs.CL", "hep-th", "cs.CV"],
}


def write_csv(path: Path, rows: list[list[str]], **form: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **form).writerows([HEADER, *rows])
    return path


def write_parquet(path: Path, rows: list[list[str]], **form: Any) -> Path:
    columns = list(map(list, zip(*rows, strict=True))) or [[]] * len(HEADER)
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=HEADER)
    pq.write_table(table, path, **form)
    return path


def write_excel(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in [HEADER, *rows]:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def filtered(
    path: Path, limit: float = 0, prefixes: tuple[str, ...] = (), **columns: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Filter the table ``path``; return the papers and the report."""
    out = path.parent / "papers"
    reader = TableReader(path, prefixes, Columns.of({**CONFIG, **columns}))
    report = filter_papers(reader, limit, out)
    return pd.read_parquet(out), report


def raw(folder: Path, data: bytes) -> Path:
    path = folder / "table"
    path.write_bytes(data)
    return path


FORMATS: dict[Callable[..., Path], str] = {
    write_csv: "plain",
    write_parquet: "parquet",
    write_excel: "xlsx",
}


@pytest.mark.parametrize("write", FORMATS)
def test_columns_become_papers(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(tmp_path / "table", ROWS)
    papers, report = filtered(path)
    assert papers.to_dict("list") == PAPERS
    assert report == {
        "snapshot": {
            "name": "table",
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "format": FORMATS[write],
        },
        "categories": [],
        "records": {"read": 3, "kept": 3, "dropped": {"other_category": 0}},
        "bad_lines": {},
        "blank_lines": 0,
        "duplicate_ids": 0,
        "papers_per_category": {"cs.CL": 1, "cs.CV": 1, "hep-th": 1},
    }


@pytest.mark.parametrize(
    "form",
    [{"lineterminator": "\n"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n\n"}],
    ids=["unix line ends", "all quoted", "blank lines"],
)
def test_csv_dialects_give_the_same_papers(form: dict[str, Any], tmp_path: Path) -> None:
    papers, report = filtered(write_csv(tmp_path / "table", ROWS, **form))
    assert papers.to_dict("list") == PAPERS
    assert report["records"]["read"] == 3


def test_packed_csv_with_a_byte_order_mark_and_no_last_newline(tmp_path: Path) -> None:
    plain = write_csv(tmp_path / "table", ROWS).read_bytes()
    packed = gzip.compress(b"\xef\xbb\xbf" + plain.removesuffix(b"\r\n"))
    papers, report = filtered(raw(tmp_path, packed))
    assert papers.to_dict("list") == PAPERS
    assert report["snapshot"]["format"] == "gzip"


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.lists(cells, min_size=5, max_size=5), max_size=12))
@example(rows=[["a", 'a"', "", '"', ","], ["\r\n", "\n\n", "\r", "b", "\0"]])
def test_csv_and_parquet_give_what_was_written(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    complete = [row for row in rows if all(row[i].strip() for i in (0, 1, 3, 4))]
    for write in (write_csv, write_parquet):
        path = write(folder / write.__name__, rows)
        reader = TableReader(path, (), Columns.of(CONFIG))
        papers = list(reader.papers())
        assert [(paper[0], paper[1], paper[-1]) for paper in papers] == [
            (name, f"{title} {abstract}", label) for label, abstract, _, title, name in complete
        ]
        assert reader.tally.read == len(rows)
        assert reader.tally.bad.total() == len(rows) - len(complete)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_row_groups_and_batches_do_not_change_the_papers(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arxiv_embeddings.corpus.table.ROWS_READ", rows)
    monkeypatch.setattr("arxiv_embeddings.corpus.table.BYTES_READ", 10)
    many = [[f"cs.{i % 3}", f"a{i}", "", f"t{i}", str(i)] for i in range(20)]
    papers, _ = filtered(write_parquet(tmp_path / "table", many, row_group_size=3))
    assert list(papers["topic"]) == [f"t{i} a{i}" for i in range(20)]


def test_text_may_be_one_column_and_category_0_its_own(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table", ROWS[::2])
    papers, _ = filtered(path, text="title", **PARENT)
    assert list(papers["topic"]) == ['A "grammar"', "Pixels"]
    assert list(papers["category 0"]) == ["1999", "2003"]
    assert list(papers["category 1"]) == ["cs.CL", "cs.CV"]


LEVELS = ("label", "year", "title", "abstract")


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_hierarchy_has_any_number_of_levels(
    depth: int, write: Callable[..., Path], tmp_path: Path
) -> None:
    """Columns of HEADER: label, abstract, year, title, no; the levels are the first of LEVELS."""
    rows = [["A", "w", "x", "y", "1"], ["A", "v", "x", "y", "2"], ["B", "u", "z", "t", "3"]]
    levels = {f"category {level}": LEVELS[level] for level in range(depth)}
    path = write(tmp_path / "table", rows)
    reader = TableReader(path, (), Columns.of({"text": "no", **levels}))
    report = filter_papers(reader, 0, tmp_path / "papers")
    papers = pq.read_table(tmp_path / "papers")
    assert papers.column_names == ["id", "topic", "categories", *levels]
    cells = [dict(zip(HEADER, row, strict=True)) for row in rows]
    labels = {level: [row[name] for row in cells] for level, name in levels.items()}
    finest = labels[f"category {depth - 1}"]
    expected = {"id": ["1", "2", "3"], "topic": ["1", "2", "3"], "categories": finest, **labels}
    assert papers.to_pydict() == expected
    counts = {level: dict(Counter(own)) for level, own in labels.items()}
    assert report["papers_per_category"] == counts[f"category {depth - 1}"]
    assert report.get("papers_per_level") == (None if depth == 2 else counts)


def test_without_a_column_of_ids_the_number_of_the_record_is_the_id(tmp_path: Path) -> None:
    """Bad records and records of other categories count, so that the choice of papers changes no id."""
    rows = [*ROWS, ["cs.CL", "", "", "t", "4"], ["cs.CL", "a\na", "", "t", "5"], ROWS[0]]
    columns = Columns.of({"text": "abstract", "category 1": "label"})
    for write in FORMATS:
        reader = TableReader(write(tmp_path / "table", rows), ("cs.",), columns)
        assert [paper[0] for paper in reader.papers()] == ["1", "3", "5", "6"]


def test_a_label_of_any_level_under_two_labels_is_refused(tmp_path: Path) -> None:
    rows = [["A", "p", "x", "t", "1"], ["A", "q", "y", "t", "2"], ["B", "r", "x", "t", "3"]]
    columns = {"text": "title", "category 0": "label", "category 1": "year", "category 2": "no"}
    reader = TableReader(write_csv(tmp_path / "table", rows), (), Columns.of(columns))
    message = "category 1 'x' of .* under category 0 'A' and, in line 4, under 'B'"
    with pytest.raises(InputError, match=message):
        list(reader.papers())


def test_label_under_two_labels_is_refused(tmp_path: Path) -> None:
    rows = [[label, "a", year, "t", "1"] for label, year in (("x", "A"), ("y", "A"), ("x", "B"))]
    message = r"'x' of .* under category 0 'A' and, in line 4, under 'B'\. .* for example, 'B.x'"
    with pytest.raises(InputError, match=message):
        filtered(write_csv(tmp_path / "table", rows), limit=1, **PARENT)


def test_prefixes_are_those_of_category_1(tmp_path: Path) -> None:
    papers, report = filtered(write_csv(tmp_path / "table", ROWS), prefixes=("cs.", "math."))
    assert list(papers["id"]) == ["1", "x/3"]
    assert report["records"]["dropped"] == {"other_category": 1}


def test_bad_records_are_counted_by_reason_and_line(tmp_path: Path) -> None:
    data = (
        b'label,abstract,year,title,no\ncs.CL,"of\nmany\nlines",,t,1\ncs.CL,,,t,2\n\n'
        b"cs.CL,a,,t\n ,a,,t,4\ncs.CL,a,,\xe9,5\ncs.CL,a,\xe9,t,6\ncs.CL,a,,t,7,8\ncs.CL,a,,t,1\n"
    )
    papers, report = filtered(raw(tmp_path, data), limit=0.7)
    assert list(papers["id"]) == ["1", "6", "1"]
    dropped = {"no_abstract": 1, "no_label": 1, "not_utf8": 1, "wrong_number_of_cells": 2}
    assert report["records"] == {"read": 8, "kept": 3, "dropped": {"other_category": 0, **dropped}}
    assert report["bad_lines"] == {
        "no_abstract": [5],
        "no_label": [8],
        "not_utf8": [9],
        "wrong_number_of_cells": [7, 11],
    }
    assert (report["blank_lines"], report["duplicate_ids"]) == (1, 1)
    with pytest.raises(
        InputError, match=r"5 of 8 records .* 2 wrong_number_of_cells \(lines 7, 11\)"
    ):
        filtered(raw(tmp_path, data), limit=0.6)


def test_null_cells_of_parquet_are_counted(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[*row] for row in ROWS * 2]
    rows[1][0], rows[3][1], rows[4][4] = None, None, " "
    papers, report = filtered(write_parquet(tmp_path / "table", rows), limit=0.5)
    assert list(papers["id"]) == ["1", "x/3", "x/3"]
    assert report["bad_lines"] == {"no_abstract": [4], "no_label": [2], "no_no": [5]}


def of_types(path: Path, **columns: pa.Array) -> Path:
    texts = {name: pa.array(["a", "b"]) for name in HEADER}
    pq.write_table(pa.table({**texts, **columns}), path)
    return path


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array([3, 12], pa.int8()), ["3", "12"]),
        (pa.array([3, 12], pa.uint64()), ["3", "12"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array(["x", "y"], pa.string_view()), ["x", "y"]),
        (pa.array(["x", None]), ["x"]),
    ],
    ids=str,
)
def test_texts_and_integers_are_read(column: pa.Array, labels: list[str], tmp_path: Path) -> None:
    papers, _ = filtered(of_types(tmp_path / "table", label=column), limit=0.5)
    assert list(papers["category 1"]) == labels


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([3.0, None]), "double"),
        (pa.array([[1], [2]]), "list<"),
        (pa.array([True, False]), "bool"),
        (pa.array([b"a", b"b"]), "binary"),
    ],
    ids=str,
)
def test_other_types_are_refused(column: pa.Array, kind: str, tmp_path: Path) -> None:
    message = f"corpus.columns: the column 'label' of .* contains {kind}.*, not text or integers"
    with pytest.raises(InputError, match=message):
        filtered(of_types(tmp_path / "table", label=column), limit=1)


@pytest.mark.parametrize("write", FORMATS)
def test_missing_column_is_reported_with_the_existing_ones(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "table", ROWS)
    message = (
        r"^corpus.columns: .*/table has no column 'topic'. Its columns: 'label', 'abstract', 'year'"
    )
    with pytest.raises(InputError, match=message):
        filtered(path, text="topic")


def test_only_some_of_many_columns_are_listed(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" for number in range(100)).encode()
    with pytest.raises(InputError, match=r"'c0', .*, 'c29' and 70 more\."):
        filtered(raw(tmp_path, header + b"\n"))


def test_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has several columns 'no'"):
        filtered(raw(tmp_path, b"label,abstract,no,title,no\n"))


HEAD = b"label,abstract,year,title,no\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (HEAD, "contains no readable record"),
        (
            HEAD + b"a,b,c,d,e\n" + b'a,"b,c,d,1\n' * 3,
            "CSV: .*, in the record that begins on line 3",
        ),
        (
            HEAD + b'a,b,c,d,"e\n',
            "CSV: unexpected end of data, in the record that begins on line 2",
        ),
        (HEAD + b"a,b\rc,c,d,e\n", "not valid CSV: .* begins on line 2"),
        (HEAD + b'a,"' + b"b" * 20_000_000, "longer than 16,777,216 bytes"),
        (HEAD.decode().encode("utf-16"), "is text in UTF-16. .* iconv -f UTF-16 -t"),
        (HEAD.replace(b",", b";"), "Its columns: 'label;abstract;year;title;no'"),
        (b"<html>\n<body>\n", "Its columns: '<html>'"),
        (b"PAR1" + b"x" * 100, "is a damaged Parquet file"),
        (gzip.compress(HEAD * 9)[:-9], "^The table .* ends in the middle of its gzip data"),
    ],
    ids="empty header open-quote end quote-at-end long utf-16 semicolons html parquet gzip".split(),
)
def test_unsuitable_file_is_reported(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        filtered(raw(tmp_path, data), limit=1)


def test_truncated_or_changed_parquet_is_reported(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "table", ROWS * 100, compression="zstd")
    complete = path.read_bytes()
    for length in (5, 100, len(complete) - 1):
        with pytest.raises(InputError, match="is a damaged Parquet file"):
            filtered(raw(tmp_path, complete[:length]))
    with pytest.raises(InputError, match="is a damaged Parquet file"):
        filtered(raw(tmp_path, complete[:10] + bytes(20) + complete[30:]))


def test_parquet_text_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    broken = pa.array([b"a", b"\xe9"]).view(pa.string())
    with pytest.raises(InputError, match=r"is a damaged Parquet file \(.*utf-8"):
        filtered(of_types(tmp_path / "table", title=broken))


def test_parquet_as_arxiv_snapshot_is_reported(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "table", ROWS)
    with pytest.raises(InputError, match=r"is a Parquet file\. Set corpus.format to table"):
        list(ArxivReader(path, ()).papers())


def test_numbers_and_blank_cells_of_excel(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [3, "a", None, "t", 12],
        [None] * 5,
        ["=1/0", "a", None, "t", 2],
        [-4, " ", None, "t", 3],
        [3, "a", None, "t", 2**53 - 1],
    ]
    papers, report = filtered(write_excel(tmp_path / "table", rows), limit=0.5)
    assert papers[["id", "category 1"]].to_numpy().tolist() == [["12", "3"], [str(2**53 - 1), "3"]]
    assert report["bad_lines"] == {"no_abstract": [5], "no_label": [4]}
    assert (report["records"]["read"], report["blank_lines"]) == (4, 1)


@pytest.mark.parametrize("cell", [2.5, True, 2**53, datetime.date(2020, 1, 2)], ids=str)
def test_other_cells_of_excel_are_refused(cell: Any, tmp_path: Path) -> None:
    rows = [["a", "a", cell, "t", 1], ["a", "a", "", "t", cell]]
    path = write_excel(tmp_path / "table", rows)
    message = r"corpus.columns: the column 'no' of .* contains .* in row 3, which is neither text"
    with pytest.raises(InputError, match=message):
        filtered(path, limit=1)


def test_only_the_first_sheet_of_excel_is_read_and_the_others_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = openpyxl.Workbook()
    # A table may begin below and beside the first cell.
    for row, cells in enumerate([HEADER, *ROWS], start=3):
        for column, cell in enumerate(cells, start=2):
            book.worksheets[0].cell(row, column, cell)
    book.create_sheet("notes").append(["x"])
    book.save(tmp_path / "table")
    papers, report = filtered(tmp_path / "table")
    assert papers.to_dict("list") == PAPERS
    assert report["blank_lines"] == 2
    assert "Only the first sheet of" in caplog.text
    assert "'notes'" in caplog.text


def test_unsuitable_excel_files_are_reported(tmp_path: Path) -> None:
    path = write_excel(tmp_path / "table", ROWS)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["xl/worksheets/sheet1.xml"] = b"<worksheet><sheetData><row"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="is a damaged Excel file"):
        filtered(path)
    openpyxl.Workbook().save(path)
    with pytest.raises(InputError, match=r"first sheet of .*, 'Sheet', is empty"):
        filtered(path)
    write_excel(path, ROWS)
    with pytest.raises(InputError, match="is a zip archive without its end"):
        filtered(raw(tmp_path, path.read_bytes()[:-30]))
    with pytest.raises(InputError, match=r"is an Excel file of the old kind \(.xls\).*soffice"):
        filtered(raw(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)))


def test_a_table_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    for write in FORMATS:
        path = write(tmp_path / write.__name__, ROWS)
        reader = TableReader(path, (), Columns.of(CONFIG))
        next(papers := reader.papers())
        write(path, [*ROWS, *ROWS])
        with pytest.raises(InputError, match="changed while it was read"):
            list(papers)
            reader.source()


def test_several_files_are_read_in_a_row(tmp_path: Path) -> None:
    files = [tmp_path / "train.csv", tmp_path / "val.xlsx", tmp_path / "test.parquet"]
    bad = ["", "a", "", "t", "9"]
    for write, file in zip(FORMATS, (files[0], files[2], files[1]), strict=True):
        write(file, [*ROWS, bad] if write is write_excel else ROWS)
    reader = TableReader(files, ("cs.",), Columns.of({**CONFIG, "id": None}))
    report = filter_papers(reader, 0.2, tmp_path / "papers")
    papers = pd.read_parquet(tmp_path / "papers")
    assert list(papers["id"]) == ["1", "3", "4", "6", "8", "10"]
    assert list(papers["topic"]) == [PAPERS["topic"][0], PAPERS["topic"][2]] * 3
    snapshot = report["snapshot"]
    command = f"sha256sum {' '.join(file.name for file in files)} | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)  # noqa: S602
    assert snapshot["sha256"] == printed.stdout.split()[0] == files_sha256(files)
    assert (snapshot["name"], snapshot["format"]) == ("train.csv, val.xlsx, test.parquet", "files")
    assert snapshot["bytes"] == sum(file.stat().st_size for file in files)
    assert snapshot["files"] == [
        {
            "name": file.name,
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "format": kind,
            "read": 3 + (kind == "xlsx"),
            "kept": 2,
        }
        for file, kind in zip(files, ("plain", "xlsx", "parquet"), strict=True)
    ]
    assert report["records"]["read"] == 10
    assert report["bad_lines"] == {"no_label": ["val.xlsx:5"]}
    with pytest.raises(InputError, match=r"1 no_label \(lines val.xlsx:5\)"):
        filter_papers(reader_of(files), 0, tmp_path / "papers")


def reader_of(files: list[Path]) -> TableReader:
    return TableReader(files, (), Columns.of(CONFIG))


def test_every_file_needs_the_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    (tmp_path / "b.csv").write_text("label,abstract\n")
    with pytest.raises(InputError, match=r"corpus.columns: .*b.csv has no column 'no'"):
        list(reader_of([tmp_path / "a.csv", tmp_path / "b.csv"]).papers())


def test_a_file_of_one_in_a_list_is_as_one_alone(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table", ROWS)
    alone, _ = reader_of([path]), list(reader_of([path]).papers())
    assert list(alone.papers()) == list(TableReader(path, (), Columns.of(CONFIG)).papers())
    assert alone.source()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_first_record_of_a_distinct_value_is_kept(tmp_path: Path) -> None:
    """Of all files; values of bad and unwanted records do not count."""
    rows = [
        ["cs.CL", "", "", "T", "1"],
        ["math.AG", "a", "", "T", "2"],
        ["cs.CL", "a", "", "T", "3"],
        ["cs.AI", "b", "", "T", "4"],
        ["cs.CL", "a", "", "t", "5"],
        ["cs.CL", "a", "", "T ", "6"],
    ]
    files = [write_csv(tmp_path / "a.csv", rows), write_csv(tmp_path / "b.csv", rows[2:])]
    columns = Columns.of({**CONFIG, "distinct": "title"})
    report = filter_papers(TableReader(files, ("cs.",), columns), 0.2, tmp_path / "papers")
    assert list(pd.read_parquet(tmp_path / "papers")["id"]) == ["3", "5", "6"]
    assert report["records"]["dropped"] == {"other_category": 1, "repeated": 5, "no_abstract": 1}
    assert [file["kept"] for file in report["snapshot"]["files"]] == [3, 0]
    assert report["records"]["read"] == 10


def test_full_labels_make_equal_labels_of_several_parents_distinct(tmp_path: Path) -> None:
    rows = [["A", "p", "other", "t", "1"], ["B", "q", "other", "t", "2"], ["B", "r", "x", "t", "3"]]
    config = {"text": "title", "category 0": "label", "category 1": "year", "category 2": "no"}
    columns = Columns.of({**config, "full_labels": True})
    path = write_csv(tmp_path / "table", rows)
    papers = [paper[2:] for paper in TableReader(path, ("B/",), columns).papers()]
    assert papers == [
        ("B/other/2", "B", "B/other", "B/other/2"),
        ("B/x/3", "B", "B/x", "B/x/3"),
    ]


def test_command_reads_several_files(
    script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    files = [write_csv(tmp_path / "it's a", ROWS), write_csv(tmp_path / "b", ROWS[1:])]
    arguments = ["--papers", tmp_path / "p", "--report", tmp_path / "r", "--format", "table"]
    arguments += ["--columns", json.dumps(CONFIG), "--snapshot", json.dumps(list(map(str, files)))]
    done = script("filter_papers.py", *arguments)
    assert done.returncode == 0, done.stdout
    assert list(pd.read_parquet(tmp_path / "p")["id"]) == ["1", "2", "x/3", "2", "x/3"]
    record = json.loads((tmp_path / "r").read_text())
    assert is_snapshot(record, files, "table")


def test_command_reads_the_columns(
    script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "table", ROWS)
    arguments = ["--categories", "cs.", "--papers", tmp_path / "p", "--report", tmp_path / "r"]
    arguments += ["--format", "table", "--columns", json.dumps(CONFIG), "--snapshot", path]
    done = script("filter_papers.py", *arguments)
    assert done.returncode == 0, done.stdout
    assert list(pd.read_parquet(tmp_path / "p")["id"]) == ["1", "x/3"]
