"""The filter selects the records that a full parse would select, and counts the others by reason."""

import datetime
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.corpus.arxiv import RecordFilter, is_cut, paper_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.records import PHYSICS, REQUIRED, WANTED, record

PROPERTY = settings(max_examples=200, deadline=None)

Fields = tuple[str, str, str, str]


def of_text(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise UnicodeEncodeError for a lone surrogate, which is not valid text."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def parsed(line: bytes) -> Fields | None:
    """Return the fields of ``line`` as the standard library parses them; None if it is not a record.

    As in JSON, there is no NaN: ``int`` does not accept it.
    """
    try:
        content = json.loads(line.decode(), object_pairs_hook=of_text, parse_constant=int)
        fields = tuple(content[name] for name in REQUIRED)
    except (ValueError, KeyError, TypeError):
        return None
    return fields if all(isinstance(field, str) for field in fields) else None


def block_of(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def selected(record_filter: RecordFilter, lines: list[bytes]) -> list[Fields]:
    """Return the fields of the records that are selected from ``lines`` in one block."""
    papers = record_filter.select(block_of(lines)) if lines else []
    return [(paper.id, paper.title, paper.abstract, paper.categories) for paper in papers]


def is_complete(paper: Fields) -> bool:
    return all(map(str.strip, paper)) and "," not in paper[3]


def wanted(papers: Iterable[Fields | None], prefixes: tuple[str, ...] = WANTED) -> list[Fields]:
    """Return the records among ``papers`` that are complete and of the wanted categories."""
    return [
        paper
        for paper in papers
        if paper and is_complete(paper) and paper[3].strip().startswith(prefixes)
    ]


# Texts that are hard to distinguish from keys without a parser: keys and ends of records within texts,
# escaped escapes, and all ways to write a character.
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
    '|math"categories":"cs.CL|q/cs.|\\tcs.CL|cs.CL, math.AG|cs.CL\\tmath.AG|\\n'.split("|")
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
    """Return ``char`` as a part of a JSON string, written in the given style."""
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
def valid_lines(draw: st.DrawFn, repeats: bool = True) -> bytes:
    """Draw a record with its keys in any order, with other keys and, if ``repeats``, repeated keys."""
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
    """Draw a record in the usual form of the snapshot."""
    fields = {name: draw(texts) for name in REQUIRED}
    return record(**{**fields, "categories": draw(categories), "x": draw(values)})


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """Draw a record of which a piece is missing, as after an incomplete download."""
    line = draw(plain_lines() | valid_lines(repeats=False).filter(bytes.isascii))
    start = draw(st.integers(0, len(line)))
    return line[:start] + line[start + draw(st.integers(1, 20)) :]


@PROPERTY
@given(st.lists(plain_lines() | valid_lines(), max_size=4))
@example([record(title='{"categories":"cs.CL"}')])
@example([record(title='"categories":"cs.CL', categories="physics.optics")])
@example([rb'{"id":"1","title":"T","categories":"\u0063s.CL","abstract":"A"}'])
@example([rb'{"id":"1","title":"T","\u0063ategories":"cs.CL","abstract":"A"}'])
@example([b'{"id":"1","title":"T","categories":"math","abstract":"A","categories":"cs.CL"}'])
@example([b'{"id":"1","title":"T","categories":"cs.CL","abstract":"A","categories":"math"}'])
@example([b'{"id":"1","title":"T","categories":"math","abstract":"A","categories" :"cs.CL"}'])
@example([b'{"id":"1","title":"T","x":{"categories":"math"},"abstract":"A","categories": "cs.CL"}'])
@example([rb'{"id":"1","title":"\ud83d\ude00","categories":"cs.CL","abstract":"A"}'])
def test_valid_records_are_selected_as_by_a_full_parse(lines: list[bytes]) -> None:
    record_filter = RecordFilter(WANTED)
    papers = [paper for paper in map(parsed, lines) if paper]
    complete = [paper for paper in papers if is_complete(paper)]
    assert selected(record_filter, lines) == wanted(papers)
    assert record_filter.lines == len(lines) == len(papers)
    assert record_filter.other == len(complete) - len(wanted(papers))
    assert record_filter.bad.total() == len(papers) - len(complete)


@PROPERTY
@given(st.lists(plain_lines() | valid_lines(), max_size=4))
def test_no_prefix_selects_all_complete_records(lines: list[bytes]) -> None:
    record_filter = RecordFilter(())
    assert selected(record_filter, lines) == wanted(map(parsed, lines), ("",))
    assert (record_filter.other, record_filter.read) == (0, len(lines))


@PROPERTY
@given(st.lists(plain_lines() | valid_lines(), max_size=3))
def test_windows_line_ends_change_nothing(lines: list[bytes]) -> None:
    with_cr = [line + b"\r" for line in lines]
    assert selected(RecordFilter(WANTED), with_cr) == selected(RecordFilter(WANTED), lines)


@PROPERTY
@given(st.lists(damaged_lines(), max_size=4))
def test_damaged_records_are_selected_as_by_a_full_parse(lines: list[bytes]) -> None:
    record_filter = RecordFilter(WANTED)
    papers = selected(record_filter, lines)
    assert papers == wanted(map(parsed, lines))
    assert len(
        papers
    ) + record_filter.other + record_filter.bad.total() + record_filter.blank == len(lines)


@pytest.mark.parametrize("first", ["null", "5", '["cs.CL"]'])
@pytest.mark.parametrize("key", REQUIRED)
def test_last_of_repeated_keys_wins_whatever_the_first_holds(key: str, first: str) -> None:
    line = f'{{"{key}":{first},'.encode() + record(categories="cs.CL")[1:]
    record_filter = RecordFilter(WANTED)
    assert selected(record_filter, [line]) == wanted([parsed(line)]) != []
    assert not record_filter.bad


def counts(record_filter: RecordFilter) -> tuple[Any, ...]:
    bad = dict(record_filter.bad), record_filter.bad_lines
    return (*bad, record_filter.other, record_filter.blank, record_filter.lines, record_filter.read)


@PROPERTY
@given(st.lists(plain_lines() | valid_lines() | damaged_lines(), min_size=1, max_size=5))
@example([b"{}{}", b"{", b"}"])
@example([record() + record(), b'{"id":"1","x":[{}', b'{}],"title":"T"}'])
@example([b'{"x":"}', b'{"}', record() + record()])
@example([b"", record(), b""])
@example(
    [
        record(x="\N{EURO SIGN}"),
        b'{"id":"1","x":"\xff","title":"T","categories":"m","abstract":"A"}',
    ]
)
def test_a_block_is_the_same_as_its_lines(lines: list[bytes]) -> None:
    whole, single = RecordFilter(WANTED), RecordFilter(WANTED)
    assert selected(whole, lines) == [paper for line in lines for paper in selected(single, [line])]
    assert counts(whole) == counts(single)


@pytest.mark.parametrize("prefixes", [WANTED, ()])
def test_damage_in_any_field_of_any_record_is_counted(
    prefixes: tuple[str, ...], verbatim_snapshot: Path
) -> None:
    lines = verbatim_snapshot.read_bytes().splitlines()
    rng = random.Random(0)
    for place in range(0, len(lines), 2):
        at = rng.randrange(len(lines[place]))
        byte = rng.choice([b"\0", b"\xff", b"\x1f", b'"', b"\\", b"", b"{"])
        lines[place] = lines[place][:at] + byte + lines[place][at + 1 :]
    record_filter = RecordFilter(prefixes)
    papers = list(map(parsed, lines))
    assert selected(record_filter, lines) == wanted(papers, prefixes or ("",))
    bad = [paper is None or not is_complete(paper) for paper in papers]
    assert record_filter.bad.total() == sum(bad) > 400


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not_json"),
        (record()[:-1], "not_json"),
        (record(categories="cs.CL") + b",", "not_json"),
        (b'{"id":"1"}{"id":"2"}', "several_records_on_a_line"),
        (record() + b" " + record(categories="cs.CL"), "several_records_on_a_line"),
        (record() + b"[]", "not_json"),
        (b"\0\0\0", "not_json"),
        (rb'{"id":"1","title":"\ud800","categories":"cs.CL","abstract":"A"}', "not_json"),
        (b'["id"]', "not_an_object"),
        (b'"id"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_id"),
        *((record(**{name: ...}), f"no_{name}") for name in REQUIRED),
        *((record(**{name: None}), f"{name}_is_not_text") for name in REQUIRED),
        *((record(**{name: ""}), f"no_{name}") for name in REQUIRED),
        *((record(**{name: " \n"}), f"no_{name}") for name in REQUIRED),
        (record(categories="cs.CL, math.AG"), "comma_in_categories"),
        (record(categories="math.AG,cs.CL"), "comma_in_categories"),
        (b'{"submitter":"\0",' + record()[1:], "not_json"),
        (b'{"submitter":"\xff",' + record()[1:], "not_json"),
        (record(id=704.0001), "id_is_not_text"),
        (record(title=["T"]), "title_is_not_text"),
        (record(abstract={"text": "A"}), "abstract_is_not_text"),
        (record(categories=["cs.CL"]), "categories_is_not_text"),
    ],
)
def test_bad_records_are_counted_by_reason(line: bytes, reason: str) -> None:
    record_filter = RecordFilter(WANTED)
    assert len(record_filter.select(block_of([PHYSICS, line, PHYSICS]))) == 2
    assert record_filter.bad == {reason: 1}
    assert record_filter.bad_lines == {reason: [2]}
    assert (record_filter.other, record_filter.blank, record_filter.lines) == (0, 0, 3)


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"1","title":"\xff","categories":"cs.CL","abstract":"A"}',
        b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=["not UTF-8", "deeply nested"],
)
def test_bad_records_do_not_stop_the_filter(line: bytes) -> None:
    record_filter = RecordFilter(WANTED)
    assert len(record_filter.select(block_of([PHYSICS, line, PHYSICS]))) == 2
    assert record_filter.bad == {"not_json": 1}


def test_line_numbers_continue_over_blocks_and_include_blank_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record_filter = RecordFilter(WANTED)
    record_filter.select(block_of([PHYSICS, b"", b"one", b"   \r", record()]))
    record_filter.select(b"two\n")
    record_filter.select(block_of([b"three", b"{}", b"four", b"five", b"six", b"seven"]))
    assert record_filter.bad == {"not_json": 7, "no_id": 1}
    assert record_filter.bad_lines == {"not_json": [3, 6, 7, 9, 10], "no_id": [8]}
    assert (record_filter.blank, record_filter.other, record_filter.lines) == (2, 1, 12)
    logged = [int(number) for number in re.findall(r"Line (\d+) is not a readable", caplog.text)]
    assert logged == [3, 6, 7, 8, 9, 10]


def metadata(**fields: Any) -> tuple[Any, ...]:
    """Return the metadata of the paper of a record with these fields."""
    (kept,) = RecordFilter(()).select(record(**fields) + b"\n")
    return paper_of(kept)[5:]


NO_METADATA = ("T", None, None, None, None, None)
VERSIONS = [{"version": "v1", "created": "Mon, 2 Apr 2007 23:18:42 GMT"}, {"version": "v2"}]
METADATA = {
    "authors": "A. Ö\n  and B",
    "versions": VERSIONS,
    "update_date": "2008-11-26",
    "doi": "10.1/x",
    "license": "http://x",
}
DATES = (datetime.date(2007, 4, 2), datetime.date(2008, 11, 26))
ALL_METADATA = ("T", "A. Ö\n  and B", *DATES, "10.1/x", "http://x")


def test_metadata_are_those_of_the_record_or_missing() -> None:
    assert metadata(**METADATA) == ALL_METADATA
    assert metadata() == metadata(**dict.fromkeys(METADATA)) == NO_METADATA
    assert metadata(**dict.fromkeys(METADATA, "")) == metadata(versions=[]) == NO_METADATA


NO_VERSIONS: list[Any] = [5, "v1", {}, [5], [{}]]
NO_TIMES: list[Any] = [5, "x", "Mon, 31 Feb 2007", "Mon, Apr 2007"]
NO_DATES: list[Any] = [20081126, "x", "2008-02-30"]


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("authors", 5, 1),
        ("authors", ["x"], 1),
        ("doi", 5, 4),
        ("license", ["x"], 5),
        *(("versions", value, 2) for value in NO_VERSIONS),
        *(("versions", [{"created": value}], 2) for value in NO_TIMES),
        *(("update_date", value, 3) for value in NO_DATES),
    ],
)  # fmt: skip
def test_metadata_that_are_damaged_are_missing_alone(name: str, value: Any, place: int) -> None:
    expected = list(ALL_METADATA)
    expected[place] = None
    assert list(metadata(**{**METADATA, name: value})) == expected


def test_metadata_are_those_of_the_own_line() -> None:
    """In a block that is parsed at once, and in one that is parsed line by line."""
    lines = [record(id=str(n), doi=f"10.1/{n}", categories="cs.CL") for n in range(5)]
    lines[2] = record(id="2", categories="math.AG")
    for block in (lines, [*lines, b"", b"hello"]):
        papers = [paper_of(kept) for kept in RecordFilter(WANTED).select(block_of(block))]
        assert [(paper[0], paper[9]) for paper in papers] == [
            (str(n), f"10.1/{n}") for n in (0, 1, 3, 4)
        ]


def test_the_abstract_is_the_topic_without_the_title() -> None:
    line = record(title=" T\n  u", abstract="  A\n b \n")
    (kept,) = RecordFilter(()).select(line + b"\n")
    _, topic, *_, title, _, _, _, _, _ = paper_of(kept)
    assert str(topic)[len(str(title)) + 1 :] == "  A\n b \n"


@pytest.mark.parametrize(
    ("categories", "stored", "parent", "label"),
    [
        ("cs.CL", "cs.CL", "cs", "cs.CL"),
        ("cs.CL math.AG", "cs.CL math.AG", "cs", "cs.CL"),
        (" cs.CL  math.AG\n", "cs.CL math.AG", "cs", "cs.CL"),
        ("physics.optics\tcs.CL", "physics.optics cs.CL", "physics", "physics.optics"),
        ("hep-th", "hep-th", "hep-th", "hep-th"),
    ],
)
def test_any_white_space_separates_categories(
    categories: str, stored: str, parent: str, label: str
) -> None:
    (kept,) = RecordFilter((label,)).select(record(categories=categories) + b"\n")
    assert paper_of(kept)[:5] == ("0704.0001", "T A", stored, parent, label)


@pytest.mark.parametrize("name", ["verbatim_snapshot", "real_snapshot"])
def test_every_truncated_record_is_recognised(name: str, request: pytest.FixtureRequest) -> None:
    snapshot: Path = request.getfixturevalue(name)
    lines = snapshot.read_bytes().splitlines()[:5]
    lines.append(b'{"a":true,"b":[1.5e+3,-2,null],"c":{"d":"\\u00e9\\\\ \xc3\xa9"}}')
    for line in lines:
        assert not is_cut(line)
        assert all(is_cut(line[:length]) for length in range(1, len(line)))


@pytest.mark.parametrize("line", [b"hello", b'{"id": hello}', record() + record(), b"[1", b"{}}"])
def test_an_unreadable_line_with_its_end_is_not_truncated(line: bytes) -> None:
    assert not is_cut(line)
