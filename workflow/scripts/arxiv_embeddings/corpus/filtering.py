"""Keeping the papers of the wanted categories out of a corpus, in one pass, whatever its format."""

import collections
import itertools
import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError

log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "topic", "categories", "category 0", "category 1")]
)
PARQUET = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": SCHEMA.names[2:],
    "write_statistics": SCHEMA.names[2:],
}
ROWS_PER_GROUP = 8_192  # about 10 MB of text
LINES_SHOWN = 5  # line numbers kept for each kind of bad record

Paper = tuple[str, str, str, str, str]  # the columns of SCHEMA


class Tally:
    """Counts what becomes of the records of a corpus.

    Attributes:
        prefixes: beginnings of the wanted records' ``categories``; the empty one, that of all, if none
            are given.
        read: records so far.
        other: records of other categories so far.
        blank: lines without anything on them so far, which are no records.
        bad: number of unreadable records so far, by reason.
        bad_lines: the first line numbers (from 1) for each of those reasons.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = tuple(prefixes) or ("",)
        self.read = self.other = self.blank = 0
        self.bad: collections.Counter[str] = collections.Counter()
        self.bad_lines: dict[str, list[int]] = {}

    def count_bad(self, number: int, reason: str) -> None:
        """Count the record on line ``number`` as unreadable."""
        self.bad[reason] += 1
        shown = self.bad_lines.setdefault(reason, [])
        if len(shown) < LINES_SHOWN:
            shown.append(number)
            log.warning("Line %d is no readable record: %s.", number, reason)

    def complete(self, number: int, cells: Mapping[str, str | None]) -> bool:
        """Tell whether the record on line ``number`` has all it needs; if not, count why.

        Args:
            number: the line, from 1.
            cells: all that is needed, by name. None and blank are missing (``no_<name>``); a lone
                surrogate stands for a byte that is no UTF-8 (``not_utf8``).
        """
        for name, text in cells.items():
            if text is None or not text.strip():
                self.count_bad(number, f"no_{name}")
                return False
            if not is_unicode(text):
                self.count_bad(number, "not_utf8")
                return False
        return True

    def wants(self, categories: str) -> bool:
        """Tell whether a record with these ``categories`` is wanted; if not, count it."""
        wanted = categories.startswith(self.prefixes)
        self.other += not wanted
        return wanted


def is_unicode(text: str) -> bool:
    """Tell whether ``text`` can be written as UTF-8: whether it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Reader(Protocol):
    """What reads a corpus of one format, once and front to back."""

    path: Path

    @property
    def tally(self) -> Tally:
        """What becomes of the records."""

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the corpus' order while ``tally`` counts all records.

        Raises:
            InputError: the corpus is damaged, or not of this format.
        """

    def source(self) -> dict[str, Any]:
        """Return what was read, once it is: name, bytes, sha256 and packing (``format``)."""


def filter_papers(reader: Reader, max_bad_records: float, papers_path: Path) -> dict[str, Any]:
    """Write the papers that ``reader`` yields; return the report.

    The papers stand in the corpus' order. Memory does not grow with the corpus, but for 8 bytes
    a paper with which duplicate ids are found.

    Args:
        reader: of the corpus, for its wanted categories.
        max_bad_records: the share of unreadable records (0 to 1) above which filtering fails.
        papers_path: the Parquet file to write.

    Raises:
        InputError: the corpus is unreadable, cut or too bad, or no record is wanted.
    """
    log.info("Filtering %s.", reader.path)
    tally = reader.tally
    per_category: collections.Counter[str] = collections.Counter()
    id_hashes = array("q")

    def write(group: list[Paper]) -> None:
        columns = list(zip(*group, strict=True))
        per_category.update(columns[-1])
        id_hashes.extend(map(hash, columns[0]))
        writer.write_table(pa.table(list(map(pa.array, columns)), schema=SCHEMA))

    with (
        pq.ParquetWriter(papers_path, SCHEMA, **PARQUET) as writer,
        ThreadPoolExecutor(
            1
        ) as pool,  # packing lets go of the GIL, so the next group is read meanwhile
    ):
        papers = reader.papers()
        written = None
        while group := list(itertools.islice(papers, ROWS_PER_GROUP)):
            if written is not None:
                written.result()
            written = pool.submit(write, group)
        if written is not None:
            written.result()
    kept = len(id_hashes)
    _check(reader, kept, max_bad_records)
    duplicates = _duplicate_ids(papers_path, id_hashes)
    if duplicates:
        log.warning(
            "%d papers repeat the id of an earlier one and are kept, as pandas would: %s.",
            sum(duplicates.values()),
            ", ".join(list(duplicates)[:LINES_SHOWN]),
        )
    log.info("Read %d records, kept %d papers, dropped %d.", tally.read, kept, tally.read - kept)
    return {
        "snapshot": reader.source(),
        "categories": list(filter(None, tally.prefixes)),
        "records": {
            "read": tally.read,
            "kept": kept,
            "dropped": {"other_category": tally.other, **dict(sorted(tally.bad.items()))},
        },
        "bad_lines": dict(sorted(tally.bad_lines.items())),
        "blank_lines": tally.blank,
        "duplicate_ids": sum(duplicates.values()),
        "papers_per_category": dict(sorted(per_category.items())),
    }


def _check(reader: Reader, kept: int, max_bad_records: float) -> None:
    """Fail where the corpus as a whole is not what it should be."""
    tally = reader.tally
    bad = tally.bad.total()
    if tally.read and not bad / tally.read <= max_bad_records:  # said so that NaN allows nothing
        reasons = "; ".join(
            f"{count:,} {reason} (lines {', '.join(map(str, tally.bad_lines[reason]))}{', …' * (count > LINES_SHOWN)})"
            for reason, count in sorted(tally.bad.items())
        )
        raise InputError(
            f"{bad:,} of {tally.read:,} records of {reader.path} cannot be read, which is more than "
            f"corpus.max_bad_records ({max_bad_records:g}) allows: {reasons}. "
            "Download the snapshot again or mend it, or raise corpus.max_bad_records if they may be left out."
        )
    if kept == 0:
        raise InputError(
            f"None of the {tally.read:,} records of {reader.path} has categories that start with "
            f"{' or '.join(tally.prefixes)}. Check corpus.categories; all takes every record."
            if tally.other
            else f"{reader.path} holds no readable record."
        )


def _duplicate_ids(papers_path: Path, id_hashes: "array[int]") -> dict[str, int]:
    """Return the ids that occur more than once, each with the number of its repeats.

    Only ids whose 64-bit hash occurs twice are looked at, so memory stays small.
    """
    hashes, counts = np.unique(np.frombuffer(id_hashes, dtype=np.int64), return_counts=True)
    suspects = set(hashes[counts > 1].tolist())
    if not suspects:
        return {}
    seen: collections.Counter[str] = collections.Counter()
    for batch in pq.ParquetFile(papers_path).iter_batches(columns=["id"]):
        seen.update(name for name in batch["id"].to_pylist() if hash(name) in suspects)
    return {name: count - 1 for name, count in seen.items() if count > 1}
