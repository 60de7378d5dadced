"""The filter keeps what a full parse would keep, and says what it does not."""

import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus import filtering
from arxiv_embeddings.corpus.arxiv import ArxivReader, Filter, Record
from arxiv_embeddings.corpus.filtering import filter_papers
from hypothesis import example, given, settings
from hypothesis import strategies as st

WANTED = ("cs.", "physics.")
REQUIRED = ("id", "title", "abstract", "categories")
PROPERTY = settings(max_examples=200, deadline=None)

Paper = tuple[str, str, str, str]
Script = Callable[..., subprocess.CompletedProcess[str]]


def record(**fields: Any) -> bytes:
    """Return a line as it stands in the snapshot: a sound record of mathematics, but for ``fields``."""
    content = {"id": "0704.0001", "title": "T", "categories": "math.AG", "abstract": "A", **fields}
    known = {name: value for name, value in content.items() if value is not ...}
    return json.dumps(known | {"authors_parsed": AUTHORS}, separators=(",", ":")).encode()


AUTHORS = [["Balázs", "C.", ""], ["Berger", "E. L.", ""]]
PHYSICS = record(categories="physics.optics")


def of_text(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise UnicodeEncodeError for a lone surrogate, which is no text."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def retold(line: bytes) -> Paper | None:
    """Return the fields of ``line`` by a full parse with the standard library; None if it is no record."""
    try:
        content = json.loads(line, object_pairs_hook=of_text)
        fields = tuple(content[name] for name in REQUIRED)
    except (ValueError, KeyError, TypeError):
        return None
    return fields if all(isinstance(field, str) for field in fields) else None


def kept(keep: Filter, lines: list[bytes]) -> list[Paper]:
    return [
        (paper.id, paper.title, paper.abstract, paper.categories) for paper in keep.papers(lines)
    ]


def wanted(papers: Iterable[Paper | None]) -> list[Paper]:
    return [paper for paper in papers if paper and paper[3].startswith(WANTED)]


# What is hard to tell apart without a parser: keys and ends of records inside of texts, escapes of
# escapes, and every way to write a character.
HARD = [
    '"categories":"cs.CL"',
    r"\"categories\":\"cs.",
    '{"id":"1","title":"t","categories":"cs.',
    ',"title":"',
    ',"abstract":"',
    '"}',
    "\\",
    "\\\\",
    r"\u0063s.",
    "é😀\u2028\x7f\x00",
    "\n  ",
]
texts = st.one_of(st.text(max_size=8), st.lists(st.sampled_from(HARD), max_size=3).map("".join))
categories = st.sampled_from(
    "cs.CL|cs.CL math.AG|physics.optics|math.AG cs.CL|physics|cs|c||hep-th|Cs.CL|cſ.CL| cs.CL|math.AG"
    '|math"categories":"cs.CL|q/cs.'.split("|")
)
spaces = st.sampled_from(["", "", "", " ", "\t", "\r", "  "])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*REQUIRED, "x"]) | texts, inner, max_size=3)
    ),
    max_leaves=4,
)


def character(char: str, style: str) -> str:
    """Return ``char`` as it stands in a JSON string of the given style."""
    if style == "escaped":
        units = char.encode("utf-16-be").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return json.dumps(char, ensure_ascii=style == "ascii")[1:-1].replace("/", r"\/")


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Draw one of the many ways to write ``value`` in JSON."""
    if isinstance(value, str):
        styles = st.lists(st.sampled_from(["raw", "ascii", "escaped"]), min_size=1, max_size=3)
        drawn = draw(styles)
        return f'"{"".join(character(c, drawn[i % len(drawn)]) for i, c in enumerate(value))}"'
    if isinstance(value, dict):
        return draw(written_object(list(value.items())))
    if isinstance(value, list):
        return f"[{','.join(draw(spaces) + draw(written(item)) for item in value)}]"
    return json.dumps(value)


@st.composite
def written_object(draw: st.DrawFn, pairs: list[tuple[str, Any]]) -> str:
    items = (
        f"{draw(spaces)}{json.dumps(key)}{draw(spaces)}:{draw(spaces)}{draw(written(value))}"
        for key, value in pairs
    )
    return f"{{{','.join(items)}{draw(spaces)}}}"


@st.composite
def sound_lines(draw: st.DrawFn, repeats: bool = True) -> bytes:
    """Draw a record in any order, with other keys between and, where ``repeats``, a key again."""
    fields = [(name, draw(categories if name == "categories" else texts)) for name in REQUIRED]
    fields += draw(
        st.lists(st.tuples(st.sampled_from(["x", "Categories", "categories "]), values), max_size=2)
    )
    if repeats:
        fields += draw(st.lists(st.tuples(st.sampled_from(REQUIRED), categories), max_size=2))
    pairs = draw(st.permutations(fields) | st.just(fields))
    return draw(written_object(pairs)).encode()


@st.composite
def plain_lines(draw: st.DrawFn) -> bytes:
    """Draw a record in the snapshot's own form, which is where the filter takes its short cut."""
    fields = {name: draw(texts) for name in REQUIRED}
    return record(**{**fields, "categories": draw(categories), "x": draw(values)})


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """Draw a record without a piece of it, as after a lost block of the download."""
    line = draw(plain_lines() | sound_lines(repeats=False).filter(bytes.isascii))
    start = draw(st.integers(0, len(line)))
    return line[:start] + line[start + draw(st.integers(1, 20)) :]


@PROPERTY
@given(st.lists(plain_lines() | sound_lines(), max_size=4))
@example([record(title='{"categories":"cs.CL"}')])
@example([record(title='"categories":"cs.CL', categories="physics.optics")])
@example([rb'{"id":"1","title":"T","categories":"\u0063s.CL","abstract":"A"}'])
@example([rb'{"id":"1","title":"T","\u0063ategories":"cs.CL","abstract":"A"}'])
@example([b'{"id":"1","title":"T","categories":"math","abstract":"A","categories":"cs.CL"}'])
@example([b'{"id":"1","title":"T","categories":"cs.CL","abstract":"A","categories":"math"}'])
@example([b'{"id":"1","title":"T","categories":"math","abstract":"A","categories" :"cs.CL"}'])
@example([b'{"id":"1","title":"T","x":{"categories":"math"},"abstract":"A","categories": "cs.CL"}'])
@example([rb'{"id":"1","title":"\ud83d\ude00","categories":"cs.CL","abstract":"A"}'])
def test_sound_records_are_kept_as_a_full_parse_would(lines: list[bytes]) -> None:
    keep = Filter(WANTED)
    assert kept(keep, lines) == wanted(map(retold, lines))
    assert keep.lines == len(lines)
    assert keep.other == len(lines) - len(wanted(map(retold, lines)))
    assert not keep.bad


@PROPERTY
@given(st.lists(plain_lines() | sound_lines(), max_size=4))
def test_no_prefix_keeps_all_sound_records(lines: list[bytes]) -> None:
    keep = Filter(())
    assert kept(keep, lines) == [paper for paper in map(retold, lines) if paper]
    assert (keep.other, keep.read) == (0, len(lines))


@PROPERTY
@given(st.lists(plain_lines() | sound_lines(), max_size=3))
def test_windows_line_ends_change_nothing(lines: list[bytes]) -> None:
    with_cr = [line + b"\r" for line in lines]
    assert kept(Filter(WANTED), with_cr) == kept(Filter(WANTED), lines)


@PROPERTY
@given(st.lists(damaged_lines(), max_size=4))
def test_damaged_records_are_kept_only_where_a_full_parse_keeps_them(lines: list[bytes]) -> None:
    keep = Filter(WANTED)
    papers = kept(keep, lines)
    assert papers == wanted(map(retold, lines))
    assert len(papers) + keep.other + keep.bad.total() + keep.blank == len(lines)


@pytest.mark.parametrize("first", ["null", "5", '["cs.CL"]'])
@pytest.mark.parametrize("key", REQUIRED)
def test_last_of_repeated_keys_wins_whatever_the_first_holds(key: str, first: str) -> None:
    line = f'{{"{key}":{first},'.encode() + record(categories="cs.CL")[1:]
    keep = Filter(WANTED)
    assert kept(keep, [line]) == wanted([retold(line)]) != []
    assert not keep.bad


def test_real_records_need_no_full_parse_to_be_dropped(
    verbatim_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = verbatim_snapshot.read_bytes().splitlines()
    papers = wanted(map(retold, lines))
    parsed = []
    decoder = msgspec.json.Decoder

    class Counting:
        def __init__(self, kind: type[Record]) -> None:
            self.real = decoder(kind)

        def decode(self, line: bytes) -> Any:
            parsed.append(line)
            return self.real.decode(line)

    monkeypatch.setattr(msgspec.json, "Decoder", Counting)
    assert kept(Filter(WANTED), lines) == papers
    unusual = [line for line in lines if not line.isascii()]
    assert len(parsed) <= len(papers) + len(unusual)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not_json"),
        (record()[:-1], "not_json"),
        (record(categories="cs.CL") + b",", "not_json"),
        (b'{"id":"1"}{"id":"2"}', "not_json"),
        (b"\0\0\0", "not_json"),
        (rb'{"id":"1","title":"\ud800","categories":"cs.CL","abstract":"A"}', "not_json"),
        (b'["id"]', "not_an_object"),
        (b'"id"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_id"),
        *((record(**{name: ...}), f"no_{name}") for name in REQUIRED),
        *((record(**{name: None}), f"{name}_is_not_text") for name in REQUIRED),
        (record(id=704.0001), "id_is_not_text"),
        (record(title=["T"]), "title_is_not_text"),
        (record(abstract={"text": "A"}), "abstract_is_not_text"),
        (record(categories=["cs.CL"]), "categories_is_not_text"),
    ],
)
def test_bad_records_are_counted_by_reason(line: bytes, reason: str) -> None:
    keep = Filter(WANTED)
    assert keep.papers([PHYSICS, line, PHYSICS]) != []
    assert keep.bad == {reason: 1}
    assert keep.bad_lines == {reason: [2]}
    assert (keep.other, keep.blank, keep.lines) == (0, 0, 3)


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"1","title":"\xff","categories":"cs.CL","abstract":"A"}',
        b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=["no UTF-8", "deeply nested"],
)
def test_bad_records_do_not_stop_the_filter(line: bytes) -> None:
    keep = Filter(WANTED)
    assert len(keep.papers([PHYSICS, line, PHYSICS])) == 2
    assert keep.bad == {"not_json": 1}


def test_line_numbers_go_on_over_blocks_and_count_blank_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep = Filter(WANTED)
    keep.papers([PHYSICS, b"", b"one", b"   \r", record()])
    keep.papers([b"two"])
    keep.papers([b"three", b"{}", b"four", b"five", b"six", b"seven"])
    assert keep.bad == {"not_json": 7, "no_id": 1}
    assert keep.bad_lines == {"not_json": [3, 6, 7, 9, 10], "no_id": [8]}
    assert (keep.blank, keep.other, keep.lines) == (2, 1, 12)
    told = [int(number) for number in re.findall(r"Line (\d+) is no readable", caplog.text)]
    assert told == [3, 6, 7, 8, 9, 10]


def test_last_error_is_that_of_the_last_run_of_lines() -> None:
    keep = Filter(WANTED)
    keep.papers([b"hello"])
    assert keep.last_error == "not_json"
    keep.papers([record()])
    assert keep.last_error is None


def filtered(
    folder: Path, lines: Iterable[bytes], limit: float = 0.001, end: bytes = b"\n"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Filter a snapshot of ``lines``; return the papers and the report."""
    (folder / "snapshot.json").write_bytes(b"\n".join(lines) + end)
    papers = folder / "papers.parquet"
    report = filter_papers(ArxivReader(folder / "snapshot.json", WANTED), limit, papers)
    return pd.read_parquet(papers), report


def test_report_tells_what_was_read_kept_and_dropped(tmp_path: Path) -> None:
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
    assert "3 papers repeat the id of an earlier one and are kept" in caplog.text
    assert "a, b" in caplog.text


def test_ids_of_papers_only_are_compared(tmp_path: Path) -> None:
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
    ("sound", "bad", "limit"),
    [
        (999, 1, 0.001),
        (98, 2, 0.02),
        (5, 0, 0),
        (1, 9, 1),
        (71, 29, 0.29),  # 0.29 * 100 is below 29 in binary
    ],
)
def test_as_many_bad_records_as_the_limit_pass(
    sound: int, bad: int, limit: float, tmp_path: Path
) -> None:
    papers, _ = filtered(tmp_path, [PHYSICS] * sound + BAD * bad, limit)
    assert len(papers) == sound


@pytest.mark.parametrize(
    ("sound", "bad", "limit", "message"),
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
    sound: int, bad: int, limit: float, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [PHYSICS] * sound + BAD * bad, limit)


def test_every_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 no_title \(lines 2\); 1 not_json \(lines 3\)\."):
        filtered(tmp_path, [PHYSICS, record(title=...), *BAD])


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    filtered(tmp_path, [PHYSICS] * 999 + BAD + [b""] * 5)
    with pytest.raises(InputError, match="1 of 999 records"):
        filtered(tmp_path, [PHYSICS] * 998 + BAD + [b""] * 5)


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b"\n\n", b"\n \n"])
def test_end_of_the_file_may_look_any_way(end: bytes, tmp_path: Path) -> None:
    papers, report = filtered(tmp_path, [PHYSICS, PHYSICS], 0, end)
    assert len(papers) == report["records"]["read"] == 2


@pytest.mark.parametrize("length", [1, 7, 30, len(PHYSICS) - 1])
@pytest.mark.parametrize("limit", [0.001, 1])
def test_cut_last_line_fails_whatever_the_limit(length: int, limit: float, tmp_path: Path) -> None:
    message = r"ends in the middle of a record \(line 1,001\): the download was cut"
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [PHYSICS] * 1_000 + [PHYSICS[:length]], limit, end=b"")


def test_last_line_cut_behind_a_brace_fails_too(tmp_path: Path) -> None:
    line = record(abstract="In time $O(n^{2})$")
    cut = line[: line.index(b"}") + 1]
    with pytest.raises(InputError, match="ends in the middle of a record"):
        filtered(tmp_path, [PHYSICS, cut], end=b"")


def test_no_wanted_paper_fails(tmp_path: Path) -> None:
    message = r"None of the 2 records .* start with cs\. or physics\.\. Check corpus\.categories"
    with pytest.raises(InputError, match=message):
        filtered(tmp_path, [record(), record(categories="math.AG cs.CL")])


def notebook(lines: Iterable[str]) -> pd.DataFrame:
    """Return the papers as the notebook made them, with pandas from whole records."""
    frame = pd.DataFrame([json.loads(line) for line in lines])
    frame = frame[frame["categories"].str.startswith(WANTED)].reset_index(drop=True)
    frame["topic"] = frame["title"] + " " + frame["abstract"]
    frame["category 1"] = frame["categories"].apply(lambda text: text.split(" ")[0])
    frame["category 0"] = frame["category 1"].apply(lambda text: text.split(".")[0])
    return frame[["id", "topic", "categories", "category 0", "category 1"]]


@pytest.mark.parametrize("name", ["made_snapshot", "verbatim_snapshot", "real_snapshot"])
def test_papers_are_those_of_the_notebook(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    snapshot: Path = request.getfixturevalue(name)
    report = filter_papers(ArxivReader(snapshot, WANTED), 0, tmp_path / "papers.parquet")
    lines = snapshot.read_text(encoding="utf-8").split("\n")[:-1]
    expected = notebook(lines)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "papers.parquet"), expected)
    assert report["records"] == {
        "read": len(lines),
        "kept": len(expected),
        "dropped": {"other_category": len(lines) - len(expected)},
    }
    assert report["papers_per_category"] == expected["category 1"].value_counts().to_dict()
    assert report["duplicate_ids"] == expected["id"].duplicated().sum()


def command(folder: Path, snapshot: Path) -> list[object]:
    """Return the arguments of ``filter_papers.py`` that write into ``folder``."""
    return [
        *("--snapshot", snapshot, "--categories", *WANTED),
        *("--papers", folder / "papers.parquet", "--report", folder / "filter.json"),
    ]


def test_command_writes_papers_report_and_log(
    script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    done = script("filter_papers.py", *command(tmp_path, made_snapshot), "--log", tmp_path / "log")
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "filter.json",
        "log",
        "papers.parquet",
    ]
    report = json.loads((tmp_path / "filter.json").read_text())
    assert report["records"]["kept"] == len(pd.read_parquet(tmp_path / "papers.parquet")) == 667
    assert "Read 2000 records, kept 667 papers, dropped 1333" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<html>", "is an HTML or XML page"),
        (PHYSICS + b"\nhello\n", "cannot be read, which is more than corpus.max_bad_records"),
        (record(), "None of the 1 records"),
        (PHYSICS + b"\n" + PHYSICS[:20], "ends in the middle of a record"),
    ],
    ids=["empty", "html", "bad", "none wanted", "cut"],
)
def test_failing_command_says_why_in_one_line_and_leaves_nothing(
    data: bytes, message: str, script: Script, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_bytes(data)
    done = script("filter_papers.py", *command(tmp_path / "out", snapshot))
    assert done.returncode == 1
    (error,) = [line for line in done.stdout.splitlines() if " ERROR " in line]
    assert message in error
    assert "Traceback" not in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [
        "os.fsync",
        "pyarrow.parquet.ParquetWriter.write_table",
        "pyarrow.parquet.ParquetWriter.close",
    ],
    ids=["before the rename", "at the first row group", "at the footer"],
)
def test_killed_command_leaves_no_final_name(
    moment: str, script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    kill = f"import pyarrow.parquet; {moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    killed = script("filter_papers.py", *command(tmp_path, made_snapshot), before=kill)
    assert killed.returncode == -signal.SIGKILL
    assert all(path.name.endswith(".partial") for path in tmp_path.iterdir())
    assert script("filter_papers.py", *command(tmp_path, made_snapshot)).returncode == 0
    assert len(pd.read_parquet(tmp_path / "papers.parquet")) == 667


def test_cancelled_command_leaves_nothing(
    script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    cancel = "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)"
    done = script("filter_papers.py", *command(tmp_path, made_snapshot), before=cancel)
    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the memory")
def test_memory_stays_under_300_mb(script: Script, made_snapshot: Path, tmp_path: Path) -> None:
    block = made_snapshot.read_bytes()
    snapshot = tmp_path / "large.json"
    with snapshot.open("wb") as file:
        for _ in range(300_000_000 // len(block)):
            file.write(block)
    tell = "print(open('/proc/self/status').read())"
    done = script("filter_papers.py", *command(tmp_path, snapshot), after=tell)
    snapshot.unlink()
    assert done.returncode == 0, done.stdout
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", done.stdout)
    # The ids of all of arXiv's papers take 20 MB more.
    assert int(kilobytes) * 1_024 < 275_000_000
