"""The files of a Web of Science set become papers with unique sub-fields, or an error says why not."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus.filtering import filter_papers
from arxiv_embeddings.corpus.wos import WosReader
from hypothesis import given, settings
from hypothesis import strategies as st

FILES = ("X.txt", "YL1.txt", "YL2.txt")
TEXTS = ["Waves in a fibre", "<i>Asthma</i> in children", "[Purpose] Robots", "Bridges – in wind"]
FIELDS = ["0", "5", "0", "4"]
SUBFIELDS = ["12", "2", "2", "12"]


def write(folder: Path, *files: list[str] | bytes, end: str = "\n") -> Path:
    """Write the three files, each given by its lines or its bytes; return their folder."""
    folder.mkdir(exist_ok=True)
    for name, lines in zip(FILES, files, strict=True):
        data = lines if isinstance(lines, bytes) else "".join(x + end for x in lines).encode()
        (folder / name).write_bytes(data)
    return folder


def filtered(
    folder: Path, limit: float = 0, prefixes: tuple[str, ...] = ()
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Filter the set in ``folder``; return the papers and the report."""
    out = folder.parent / "papers.parquet"
    report = filter_papers(WosReader(folder, prefixes), limit, out)
    return pd.read_parquet(out), report


def test_papers_have_the_labels_of_their_lines(tmp_path: Path) -> None:
    papers, report = filtered(write(tmp_path / "WOS", TEXTS, FIELDS, SUBFIELDS))
    assert papers.to_dict("list") == {
        "id": ["1", "2", "3", "4"],
        "topic": TEXTS,
        "categories": ["0.12", "5.2", "0.2", "4.12"],
        "category 0": FIELDS,
        "category 1": ["0.12", "5.2", "0.2", "4.12"],
    }
    assert report["records"] == {"read": 4, "kept": 4, "dropped": {"other_category": 0}}
    assert report["papers_per_category"] == {"0.12": 1, "0.2": 1, "4.12": 1, "5.2": 1}
    assert (report["bad_lines"], report["blank_lines"], report["duplicate_ids"]) == ({}, 0, 0)


def test_checksum_of_the_report_is_that_of_sha256sum(tmp_path: Path) -> None:
    folder = write(tmp_path / "WOS", TEXTS, FIELDS, SUBFIELDS)
    _, report = filtered(folder)
    command = "sha256sum X.txt YL1.txt YL2.txt | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)  # noqa: S602
    assert report["snapshot"] == {
        "name": "WOS",
        "bytes": sum((folder / name).stat().st_size for name in FILES),
        "sha256": printed.stdout.split()[0],
        "format": "folder",
    }


def test_windows_line_ends_and_no_last_one_change_nothing(tmp_path: Path) -> None:
    """The labels of the published WOS-46985 are like this: 140,953 bytes are 46,985 * 3 - 2."""
    labels = ["\r\n".join(lines).encode() for lines in (FIELDS, SUBFIELDS)]
    papers, _ = filtered(write(tmp_path / "WOS", TEXTS, *labels))
    crlf, _ = filtered(write(tmp_path / "CRLF", TEXTS, FIELDS, SUBFIELDS, end="\r\n"))
    plain, _ = filtered(write(tmp_path / "plain", TEXTS, FIELDS, SUBFIELDS))
    pd.testing.assert_frame_equal(papers, plain)
    pd.testing.assert_frame_equal(crlf, plain)


lines = st.text(min_size=1, max_size=9).map(lambda text: re.sub(r"[\n\r\ufeff]", " ", text))
labels = st.integers(0, 52).map(str)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(lines, labels, labels), min_size=1, max_size=20))
def test_lines_with_the_same_number_make_a_paper(
    rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    reader = WosReader(write(tmp_path_factory.mktemp("wos"), *columns), ())
    papers = list(reader.papers())
    assert [(int(name), text, category) for name, text, _, _, category in papers] == [
        (number, text, f"{field}.{subfield}")
        for number, (text, field, subfield) in enumerate(rows, start=1)
        if text.strip()
    ]
    assert reader.tally.read == len(papers) + reader.tally.bad.total() == len(rows)


def test_prefixes_select_fields_and_sub_fields(tmp_path: Path) -> None:
    folder = write(tmp_path / "WOS", TEXTS, FIELDS, SUBFIELDS)
    papers, report = filtered(folder, prefixes=("0.", "4.12"))
    assert list(papers["id"]) == ["1", "3", "4"]
    assert report["records"]["dropped"] == {"other_category": 1}
    assert report["categories"] == ["0.", "4.12"]
    message = (
        r"None of the 4 records of .* start with 'cs\.'\. Check corpus.categories, or set it to all"
    )
    with pytest.raises(InputError, match=message):
        filtered(folder, prefixes=("cs.",))


def test_missing_texts_and_labels_are_counted_by_reason(tmp_path: Path) -> None:
    texts = b"one\n \ntwo\nthr\xe9e\nfour\nfive\n"
    folder = write(tmp_path / "WOS", texts, [*"01", "", *"345"], [*"01234", " "])
    papers, report = filtered(folder, limit=0.7)
    assert list(papers["id"]) == ["1", "5"]
    dropped = {"no_text": 1, "no_category_0": 1, "no_category_1": 1, "not_utf8": 1}
    assert report["records"] == {"read": 6, "kept": 2, "dropped": {"other_category": 0, **dropped}}
    numbers = {"no_text": [2], "no_category_0": [3], "not_utf8": [4], "no_category_1": [6]}
    assert report["bad_lines"] == numbers
    with pytest.raises(
        InputError, match=r"4 of 6 .* allows: .*; 1 not_utf8 \(lines 4\)\. Download"
    ):
        filtered(folder, limit=0.6)


@pytest.mark.parametrize("short", range(3))
@pytest.mark.parametrize("missing", [1, 3])
def test_files_of_different_lengths_are_refused(short: int, missing: int, tmp_path: Path) -> None:
    files = [TEXTS, FIELDS, SUBFIELDS]
    files[short] = files[short][:-missing]
    lengths = ", ".join(f"{name} {len(x)}" for name, x in zip(FILES, files, strict=True))
    with pytest.raises(InputError, match=rf"have different numbers of lines \({lengths}\)"):
        filtered(write(tmp_path / "WOS", *files), limit=1)


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "WOS", TEXTS, FIELDS, SUBFIELDS)
    (folder / "YL2.txt").unlink()
    with pytest.raises(
        InputError, match=r"WOS has no YL2.txt\. Set 'snapshot' .* to a folder with X"
    ):
        WosReader(folder, ())
    with pytest.raises(InputError, match=r"X.txt has no X.txt and no YL1.txt and no YL2.txt"):
        WosReader(folder / "X.txt", ())


def test_empty_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^The file .*WOS/YL1.txt is empty"):
        filtered(write(tmp_path / "WOS", TEXTS, b"", SUBFIELDS))


def test_command_reads_the_format(
    script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = write(tmp_path / "WOS", TEXTS, FIELDS, SUBFIELDS)
    arguments = ["--papers", tmp_path / "p", "--report", tmp_path / "r"]
    done = script("filter_papers.py", "--snapshot", folder, "--format", "wos", *arguments)
    assert done.returncode == 0, done.stdout
    assert list(pd.read_parquet(tmp_path / "p")["topic"]) == TEXTS
    assert json.loads((tmp_path / "r").read_text())["records"]["kept"] == 4
