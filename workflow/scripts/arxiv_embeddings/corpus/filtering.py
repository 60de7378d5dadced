"""Selecting the papers of the wanted categories from a corpus of any format, in one pass."""

import collections
import itertools
import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import naming
from .papers import level_columns, repeated_columns

log = logging.getLogger(__name__)

# About 10 MB of text.
ROWS_PER_GROUP = 8_192
# Number of line numbers kept for each kind of bad record.
LINES_SHOWN = 5

SPLIT = "The command 'jq -c .' writes each record on a line of its own. "
# Number of repeated ids compared at a time; they need several hundred bytes each.
IDS_COMPARED = 1 << 17

# The values of a reader's columns: text; of metadata also dates, and None where a paper has none.
Paper = tuple[Any, ...]
# Where a record is: the number of its line, with the name of the file before it if there are several.
Place = int | str


def schema_of(levels: int, metadata: Mapping[str, pa.DataType] | None = None) -> pa.Schema:
    """Return the columns of papers whose hierarchy has this number of levels, with the types of their metadata."""
    names = ("id", "topic", "categories", *(f"category {depth}" for depth in range(levels)))
    return pa.schema([*((name, pa.string()) for name in names), *(metadata or {}).items()])


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return how papers with these columns are written."""
    repeated = repeated_columns(schema.names)
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": repeated,
        "write_statistics": repeated,
    }


class Tally:
    """Counts the records of a corpus by what happens to them.

    Attributes:
        prefixes: prefixes of the wanted records' ``categories``; an empty one, which all have, if none
            are given.
        read: number of records so far.
        other: number of records of other categories so far.
        blank: number of blank lines so far, which are not records.
        bad: number of unreadable records so far, by reason.
        bad_lines: the first places for each of these reasons: line numbers from 1, with the name of the file
            (``train.csv:7``) if there are several.
        repeated: number of records so far that repeat a value which must be distinct; None if none must.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = tuple(prefixes) or ("",)
        self.read = self.other = self.blank = 0
        self.bad: collections.Counter[str] = collections.Counter()
        self.bad_lines: dict[str, list[Place]] = {}
        self.repeated: int | None = None

    def count_bad(self, place: Place, reason: str) -> None:
        """Count the record at ``place`` as unreadable."""
        self.bad[reason] += 1
        shown = self.bad_lines.setdefault(reason, [])
        if len(shown) < LINES_SHOWN:
            shown.append(place)
            log.warning("Line %s is not a readable record: %s.", place, reason)

    def is_complete(self, place: Place, cells: Mapping[str, str | None]) -> bool:
        """Return whether the record at ``place`` is complete; if not, count it with the reason.

        Args:
            place: of the record, for the report.
            cells: all required values, by name. None and blank values are missing (``no_<name>``); a lone
                surrogate stands for a byte that is not valid UTF-8 (``not_utf8``).
        """
        for name, text in cells.items():
            if text is None or not text.strip():
                self.count_bad(place, f"no_{name}")
                return False
            if not is_unicode(text):
                self.count_bad(place, "not_utf8")
                return False
        return True

    def wants(self, categories: str) -> bool:
        """Return whether a record with these ``categories`` is wanted; if not, count it."""
        wanted = categories.startswith(self.prefixes)
        self.other += not wanted
        return wanted


def is_unicode(text: str) -> bool:
    """Return whether ``text`` can be written as UTF-8, that is, has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Reader(Protocol):
    """A reader of one corpus format, which reads the corpus once from start to end.

    Attributes:
        name: the paths of the corpus, for messages.
        schema: the columns of its papers.
    """

    name: str
    schema: pa.Schema

    @property
    def tally(self) -> Tally:
        """The counts of the records read so far."""

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the order of the corpus, while ``tally`` counts all records.

        Raises:
            InputError: the corpus is damaged, or not in this format.
        """

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing (``format``) of the corpus. Call it after reading."""


def filter_papers(reader: Reader, max_bad_records: float, papers_path: Path) -> dict[str, Any]:
    """Write the papers that ``reader`` yields; return the report.

    The papers keep the order of the corpus. Memory does not grow with the corpus, except for 8 bytes
    per paper that are used to find duplicate ids.

    Args:
        reader: the reader of the corpus, for its wanted categories.
        max_bad_records: the share of unreadable records (0 to 1) above which filtering fails.
        papers_path: the Parquet file to write.

    Raises:
        InputError: the corpus is unreadable or truncated, too many records are bad, or none is wanted.
    """
    log.info("Filtering %s.", reader.name)
    id_hashes, per_level = _write_papers(reader, papers_path)
    tally, kept = reader.tally, len(id_hashes)
    _check(reader, kept, max_bad_records)
    duplicates, repeated = _duplicate_ids(papers_path, id_hashes)
    if duplicates:
        log.warning(
            "%d papers repeat the id of an earlier paper and are kept, as in pandas: %s.",
            duplicates,
            ", ".join(repeated),
        )
    log.info("Read %d records, kept %d papers, dropped %d.", tally.read, kept, tally.read - kept)
    report = {
        "snapshot": reader.source(),
        "categories": list(filter(None, tally.prefixes)),
        "records": {
            "read": tally.read,
            "kept": kept,
            "dropped": {
                "other_category": tally.other,
                **({} if tally.repeated is None else {"repeated": tally.repeated}),
                **dict(sorted(tally.bad.items())),
            },
        },
        "bad_lines": dict(sorted(tally.bad_lines.items())),
        "blank_lines": tally.blank,
        "duplicate_ids": duplicates,
        "papers_per_category": dict(sorted(per_level[-1].items())),
    }
    # With two levels, the report is as it was before there were others.
    if len(per_level) != 2:
        report["papers_per_level"] = {
            f"category {depth}": dict(sorted(counts.items()))
            for depth, counts in enumerate(per_level)
        }
    return report


def _write_papers(
    reader: Reader, papers_path: Path
) -> tuple["array[int]", list[collections.Counter[str]]]:
    """Write the papers in row groups; return the 64-bit hashes of their ids, and the papers per label of each level."""
    papers, schema = reader.papers(), reader.schema
    id_hashes = array("q")
    levels = level_columns(schema.names)
    per_level = [collections.Counter[str]() for _ in levels]

    def write(group: list[Paper]) -> None:
        columns = dict(zip(schema.names, zip(*group, strict=True), strict=True))
        for counts, level in zip(per_level, levels, strict=True):
            counts.update(columns[level])
        id_hashes.extend(map(hash, columns["id"]))
        with naming(papers_path):
            writer.write_table(pa.table(columns, schema=schema))

    # Compression releases the GIL, so one thread writes a group while the next one is read.
    with (
        pq.ParquetWriter(papers_path, schema, **parquet_options(schema)) as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        written = None
        while group := list(itertools.islice(papers, ROWS_PER_GROUP)):
            if written is not None:
                written.result()
            written = pool.submit(write, group)
        if written is not None:
            written.result()
    return id_hashes, per_level


def _check(reader: Reader, kept: int, max_bad_records: float) -> None:
    """Fail if too many records are bad, or if no paper was kept."""
    tally = reader.tally
    bad = tally.bad.total()
    # With "not <=" instead of ">", a limit of NaN allows no bad record.
    if tally.read and not bad / tally.read <= max_bad_records:
        reasons = "; ".join(
            f"{count:,} {reason} (lines {', '.join(map(str, tally.bad_lines[reason]))}{', …' * (count > LINES_SHOWN)})"
            for reason, count in sorted(tally.bad.items())
        )
        raise InputError(
            f"{bad:,} of {tally.read:,} records of {reader.name} cannot be read, which is more than "
            f"corpus.max_bad_records ({max_bad_records:g}) allows: {reasons}. "
            f"{SPLIT * ('several_records_on_a_line' in tally.bad)}"
            "Download or repair the snapshot, or raise corpus.max_bad_records to skip these records."
        )
    if kept == 0:
        raise InputError(
            f"None of the {tally.read:,} records of {reader.name} has categories that start with "
            f"{' or '.join(map(repr, tally.prefixes))}. Check corpus.categories, or set it to all."
            if tally.other
            else f"{reader.name} contains no readable record. Set 'snapshot' in the config to the corpus."
        )


def _duplicate_ids(papers_path: Path, id_hashes: "array[int]") -> tuple[int, list[str]]:
    """Return the number of papers whose id an earlier paper has, and the first such ids in sorted order.

    Only ids whose 64-bit hash occurs more than once are compared, ``IDS_COMPARED`` at a time, which needs
    little memory. ``id_hashes`` is sorted in place.
    """
    hashes = np.frombuffer(id_hashes, dtype=np.int64)
    hashes.sort()
    repeats = hashes[1:] == hashes[:-1]
    # The first of each run of equal hashes. numpy.unique would need several times the memory.
    begins = repeats.copy()
    begins[1:] &= ~repeats[:-1]
    suspects = hashes[:-1][begins]
    duplicates, repeated = 0, list[str]()
    for start in range(0, len(suspects), IDS_COMPARED):
        ids, counts = _count_ids(papers_path, suspects[start : start + IDS_COMPARED])
        duplicates += pc.sum(counts).as_py() - len(ids)
        own = ids.filter(pc.greater(counts, 1)).sort()[:LINES_SHOWN].to_pylist()
        repeated = sorted(repeated + own)[:LINES_SHOWN]
    return duplicates, repeated


def _count_ids(
    papers_path: Path, suspects: npt.NDArray[np.int64]
) -> tuple[pa.StringArray, pa.Int64Array]:
    """Return the ids whose hash is among the sorted ``suspects``, and how often each of them occurs."""
    found = []
    # Without pre_buffer, Arrow keeps one row group in memory instead of the whole column.
    with pq.ParquetFile(papers_path, pre_buffer=False) as file:
        for batch in file.iter_batches(columns=["id"]):
            hashes = np.fromiter(map(hash, batch["id"].to_pylist()), np.int64, len(batch))
            places = np.searchsorted(suspects, hashes)
            found.append(batch["id"].filter(pa.array(suspects.take(places, mode="clip") == hashes)))
    counted = pc.value_counts(pa.chunked_array(found))
    return counted.field("values"), counted.field("counts")
