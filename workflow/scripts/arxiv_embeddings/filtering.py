"""Keeping the papers of the wanted categories out of the snapshot, in one pass."""

import collections
import logging
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import InputError
from .progress import Progress
from .snapshot import Snapshot

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
REQUIRED = ("id", "title", "abstract", "categories")

CATEGORIES = b'"categories":"'


class Record(msgspec.Struct, gc=False):
    """The fields of a snapshot record that are used; the others are skipped while parsing."""

    id: str
    title: str
    abstract: str
    categories: str


class Filter:
    """Tells, line by line, which records are papers of the wanted categories.

    Attributes:
        other: records of other categories so far.
        blank: lines without anything on them so far.
        bad: number of unreadable records so far, by reason.
        bad_lines: the first line numbers (from 1) for each of those reasons.
        lines: lines seen so far.
        last_error: what was wrong in the last run of lines, or None if they were sound.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = tuple(prefixes)
        self.other = self.blank = self.lines = 0
        self.bad: collections.Counter[str] = collections.Counter()
        self.bad_lines: dict[str, list[int]] = {}
        self.last_error: str | None = None

    def papers(self, lines: list[bytes], parse_all: bool = False) -> list[Record]:
        """Return the wanted records among ``lines``, in order, and count the rest.

        A line in the snapshot's own form is dropped by its bytes alone: inside a JSON string every
        quote is escaped, so the bytes ``"categories":"`` can only be the key and the start of its
        value. Every other line is parsed in full, and so is a line whose own form is in doubt: no
        record from ``{"id":"`` to ``}``, a key missing in front of or behind the categories, the
        key there twice, an escape within the prefix, or bytes beyond ASCII, which the snapshot
        does not hold. (A key that is itself written with escapes is not seen this way, and what is damaged
        in an unwanted record that still has this form is not looked for.) ``parse_all`` parses every line in full.
        """
        wanted = tuple(prefix.encode() for prefix in self.prefixes)
        reach = max(map(len, wanted))
        value = len(CATEGORIES)
        decode = msgspec.json.Decoder(Record).decode
        papers: list[Record] = []
        self.last_error = None
        for number, line in enumerate(lines, start=self.lines + 1):
            at = line.find(CATEGORIES)
            if (
                at > 0
                and not parse_all
                and not line.startswith(wanted, at + value)
                and line.startswith(b'{"id":"')
                and line.endswith(b"}")
                and line.find(b',"title":"', 0, at) > 0
                and line.find(b',"abstract":"', at) > 0
                and line.find(b'"categories"', at + value) < 0
                and line.find(b"\\", at + value, at + value + reach) < 0
                and line.isascii()
            ):
                self.other += 1
                continue
            try:
                record = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                read = read_slowly(line)
                if isinstance(read, str):
                    self._count_bad(number, line, read)
                    continue
                record = read
            if record.categories.startswith(self.prefixes):
                papers.append(record)
            else:
                self.other += 1
        self.lines += len(lines)
        return papers

    def _count_bad(self, number: int, line: bytes, reason: str) -> None:
        if not line.strip():
            self.blank += 1
            return
        self.last_error = reason
        self.bad[reason] += 1
        shown = self.bad_lines.setdefault(reason, [])
        if len(shown) < LINES_SHOWN:
            shown.append(number)
            log.warning("Line %d is no readable record: %s.", number, reason)


def read_slowly(line: bytes) -> Record | str:
    """Return the record on a line that the typed decoder refuses, or why it is none.

    The reasons are ``not_json``, ``not_an_object``, ``no_title``, ``title_is_not_text`` and so on. There is
    a record if a key stands twice: as in ``json.loads`` the last one counts, whatever the first one holds.
    """
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not_json"
    if not isinstance(content, dict):
        return "not_an_object"
    for name in REQUIRED:
        if name not in content:
            return f"no_{name}"
        if not isinstance(content[name], str):
            return f"{name}_is_not_text"
    return Record(**{name: content[name] for name in REQUIRED})


def table(records: list[Record]) -> pa.Table:
    """Return the papers of ``records``: id, topic, categories, category 0 and category 1.

    The topic is title and abstract as they stand, with one space between; category 1 is the first
    listed category (``cs.CL``) and category 0 the part before its dot (``cs``).
    """
    first = [record.categories.split(" ", 1)[0] for record in records]
    columns = [
        [record.id for record in records],
        [f"{record.title} {record.abstract}" for record in records],
        [record.categories for record in records],
        [category.split(".", 1)[0] for category in first],
        first,
    ]
    return pa.table(columns, schema=SCHEMA)


def filter_papers(
    snapshot_path: Path, prefixes: Sequence[str], max_bad_records: float, papers_path: Path
) -> dict[str, Any]:
    """Write the papers whose ``categories`` start with one of ``prefixes``; return the report.

    The papers stand in the snapshot's order. Memory does not grow with the snapshot, but for 8 bytes
    a paper with which duplicate ids are found.

    Args:
        snapshot_path: the snapshot, plain or packed.
        prefixes: beginnings of the wanted records' ``categories`` string.
        max_bad_records: the share of unreadable records (0 to 1) above which filtering fails.
        papers_path: the Parquet file to write.

    Raises:
        InputError: the snapshot is unreadable, cut or too bad, or no record is wanted.
    """
    snapshot = Snapshot(snapshot_path)
    log.info("Filtering %s (%s, %s bytes).", snapshot_path, snapshot.format, f"{snapshot.size:,}")
    keep = Filter(prefixes)
    per_category: collections.Counter[str] = collections.Counter()
    id_hashes = array("q")

    def write(records: list[Record]) -> None:
        papers = table(records)
        per_category.update(papers["category 1"].to_pylist())
        id_hashes.extend(hash(record.id) for record in records)
        writer.write_table(papers)

    with (
        pq.ParquetWriter(papers_path, SCHEMA, **PARQUET) as writer,
        ThreadPoolExecutor(
            1
        ) as pool,  # packing lets go of the GIL, so the next group is read meanwhile
    ):
        written = None
        for records in _groups(snapshot, keep):
            if written is not None:
                written.result()
            written = pool.submit(write, records)
        if written is not None:
            written.result()
    _check(snapshot, keep, len(id_hashes), max_bad_records)
    duplicates = _duplicate_ids(papers_path, id_hashes)
    if duplicates:
        log.warning(
            "%d papers repeat the id of an earlier one and are kept, as pandas would: %s.",
            sum(duplicates.values()),
            ", ".join(list(duplicates)[:LINES_SHOWN]),
        )
    read = keep.lines - keep.blank
    log.info(
        "Read %d records, kept %d papers, dropped %d.", read, len(id_hashes), read - len(id_hashes)
    )
    return {
        "snapshot": {
            "name": snapshot_path.name,
            "bytes": snapshot.bytes_read,
            "sha256": snapshot.sha256,
            "format": snapshot.format,
        },
        "categories": list(prefixes),
        "records": {
            "read": read,
            "kept": len(id_hashes),
            "dropped": {"other_category": keep.other, **dict(sorted(keep.bad.items()))},
        },
        "bad_lines": dict(sorted(keep.bad_lines.items())),
        "blank_lines": keep.blank,
        "duplicate_ids": sum(duplicates.values()),
        "papers_per_category": dict(sorted(per_category.items())),
    }


def _groups(snapshot: Snapshot, keep: Filter) -> Iterator[list[Record]]:
    """Yield the wanted records in row groups while the snapshot is read."""
    group: list[Record] = []
    with Progress(snapshot.size, "bytes") as progress:
        for lines in snapshot.line_blocks():
            # A last line without its newline may be cut anywhere, also behind a brace.
            group += keep.papers(lines, parse_all=snapshot.cut_line)
            progress.advance(snapshot.bytes_read - progress.done, records=len(lines))
            if len(group) >= ROWS_PER_GROUP:
                yield group
                group = []
    if group:
        yield group


def _check(snapshot: Snapshot, keep: Filter, kept: int, max_bad_records: float) -> None:
    """Fail where the snapshot as a whole is not what it should be."""
    if keep.last_error == "not_json" and snapshot.cut_line:
        raise InputError(
            f"The snapshot {snapshot.path} ends in the middle of a record (line {keep.lines:,}): "
            "the download was cut. Download it again."
        )
    read = keep.lines - keep.blank
    bad = keep.bad.total()
    if read and not bad / read <= max_bad_records:  # said so that NaN allows nothing
        reasons = "; ".join(
            f"{count:,} {reason} (lines {', '.join(map(str, keep.bad_lines[reason]))}{', …' * (count > LINES_SHOWN)})"
            for reason, count in sorted(keep.bad.items())
        )
        raise InputError(
            f"{bad:,} of {read:,} records of {snapshot.path} cannot be read, which is more than "
            f"corpus.max_bad_records ({max_bad_records:g}) allows: {reasons}. "
            "Download the snapshot again, or raise corpus.max_bad_records if they may be left out."
        )
    if kept == 0:
        raise InputError(
            f"None of the {read:,} records of {snapshot.path} has categories that start with "
            f"{' or '.join(keep.prefixes)}. Check corpus.categories."
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
