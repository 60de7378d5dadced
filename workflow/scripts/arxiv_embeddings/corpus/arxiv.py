"""Reading the arXiv metadata snapshot: JSON lines, one record per line."""

import contextlib
import datetime
import email.utils
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..common.errors import InputError
from ..common.progress import Progress
from .filtering import Paper, Tally, schema_of
from .papers import METADATA_TYPES
from .streams import PackedFile

REQUIRED = ("id", "title", "abstract", "categories")
METADATA = ("authors", "versions", "update_date", "doi", "license")
# The beginning of the time of a version up to its year: "Mon, 12 Apr 2007 19:18:42 GMT".
DAY = slice(16)
# Number of days whose dates are kept.
DAYS = 1 << 16


class Version(msgspec.Struct, gc=False):
    """A version of a paper."""

    created: str | None = None


class Record(msgspec.Struct, gc=False):
    """The fields of a record that are used; the parser skips the others. Metadata may be missing."""

    id: str
    title: str
    abstract: str
    categories: str
    authors: str | None = None
    versions: list[Version] | None = None
    update_date: str | None = None
    doi: str | None = None
    license: str | None = None


class RecordFilter(Tally):
    """Selects the records of the wanted categories and counts the others; every record is parsed.

    Attributes:
        lines: number of lines so far.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        super().__init__(prefixes)
        self.lines = 0
        self._decoder = msgspec.json.Decoder(Record)

    def select(self, block: bytes) -> list[Record]:
        """Return the wanted records in a block of whole lines, in order, and count the others.

        The parser reads a whole block at once, but it does not tell which line a record is on, and it does
        not check the UTF-8 of the fields it skips. So its result counts only if the block is UTF-8, and each
        line is one record: every line end is between the braces of two records, and there are as many
        records as lines. All other blocks are parsed line by line.
        """
        count = count_braced_lines(block)
        if count and is_utf8(block):
            try:
                records = self._decoder.decode_lines(block)
            except (msgspec.DecodeError, RecursionError):
                pass
            else:
                if len(records) == count:
                    return self._finish(count, enumerate(records, start=self.lines + 1))
        lines = block.removesuffix(b"\n").split(b"\n")
        return self._finish(len(lines), self._parse_lines(lines))

    def _finish(self, count: int, records: Iterable[tuple[int, Record]]) -> list[Record]:
        """Return the wanted ones among the numbered ``records`` on the next ``count`` lines."""
        prefixes = self.prefixes
        papers = []
        for number, record in records:
            categories = record.categories
            # This runs for millions of records, so it repeats the conditions of is_complete without its cost.
            if (
                not record.id.strip()
                or not record.title.strip()
                or not record.abstract
                or record.abstract.isspace()
                or not (start := categories.lstrip())
                or "," in categories
            ):
                self._count_incomplete(number, record)
            elif start.startswith(prefixes):
                papers.append(record)
            else:
                self.other += 1
        self.lines += count
        self.read = self.lines - self.blank
        return papers

    def _parse_lines(self, lines: list[bytes]) -> Iterator[tuple[int, Record]]:
        """Yield the records on ``lines`` with their numbers; count the other lines."""
        for number, line in enumerate(lines, start=self.lines + 1):
            try:
                # The typed decoder does not check the UTF-8 of the fields it skips.
                record: Record | str = self._decoder.decode(line) if is_utf8(line) else "not_json"
            except (msgspec.DecodeError, RecursionError):
                record = parse_untyped(line)
            if isinstance(record, Record):
                yield number, record
            elif line.strip():
                self.count_bad(number, record)
            else:
                self.blank += 1

    def _count_incomplete(self, number: int, record: Record) -> None:
        """Count a record with a blank field, or with a comma among its categories."""
        if self.is_complete(number, {name: getattr(record, name) for name in REQUIRED}):
            self.count_bad(number, "comma_in_categories")


def count_braced_lines(block: bytes) -> int:
    """Return the number of lines of ``block``; 0 if a line does not go from ``{`` to ``}`` and a newline."""
    count = start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        if block[start] != ord("{") or end < 1 or block[end - 1] != ord("}"):
            return 0
        start = end + 1
        count += 1
    return count


def is_utf8(data: bytes) -> bool:
    """Return whether ``data`` is valid UTF-8."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def parse_untyped(line: bytes) -> Record | str:
    """Return the record on a line that the typed decoder refuses, or the reason why it is not a record.

    The reasons are ``not_json``, ``several_records_on_a_line``, ``not_an_object``, ``no_title``,
    ``title_is_not_text`` and so on. Metadata of another type counts as missing. A record may contain a key
    twice: as in ``json.loads``, the last one counts, whatever the value of the first.
    """
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "several_records_on_a_line" if has_several_records(line) else "not_json"
    if not isinstance(content, dict):
        return "not_an_object"
    for name in REQUIRED:
        if name not in content:
            return f"no_{name}"
        if not isinstance(content[name], str):
            return f"{name}_is_not_text"
    required = {name: content[name] for name in REQUIRED}
    record = Record(**required)
    for name in METADATA:
        with contextlib.suppress(msgspec.ValidationError):
            alone = msgspec.convert({**required, name: content.get(name)}, Record)
            setattr(record, name, getattr(alone, name))
    return record


def has_several_records(line: bytes) -> bool:
    """Return whether ``line`` consists of several JSON objects."""
    try:
        records = msgspec.json.Decoder().decode_lines(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return len(records) > 1 and all(isinstance(record, dict) for record in records)


def is_cut(line: bytes) -> bool:
    """Return whether ``line`` is the beginning of a JSON object whose end is missing."""
    # Within a number such as 1.5e+3, the parser reports the end as malformed, so a digit is tried too.
    return line.lstrip().startswith(b"{") and any(map(is_truncated, (line, line + b"0")))


def is_truncated(data: bytes) -> bool:
    """Return whether JSON parses up to the end of ``data``, but is not complete there."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def paper_of(record: Record) -> Paper:
    """Return the paper of a record.

    The topic is the unchanged title and abstract, joined by a space, so the abstract is the part of the topic
    behind the title and a space. Any white space separates categories; in the paper, this is one space.
    Category 1 is the first listed category (``cs.CL``), and category 0 is the part before its dot (``cs``).
    """
    categories = record.categories.split()
    first = categories[0]
    return (
        record.id,
        f"{record.title} {record.abstract}",
        " ".join(categories),
        first.split(".", 1)[0],
        first,
        record.title,
        record.authors or None,
        submitted((record.versions[0].created or "")[DAY]) if record.versions else None,
        updated(record.update_date or ""),
        record.doi or None,
        record.license or None,
    )


@functools.lru_cache(DAYS)
def submitted(day: str) -> datetime.date | None:
    """Return the date in the beginning of an e-mail's time (RFC 5322), ``Mon, 2 Apr 2007``; None if there is none."""
    # Without a time, parsedate finds no date.
    parts = email.utils.parsedate(f"{day} 00:00")
    try:
        return datetime.date(*parts[:3]) if parts else None
    except ValueError:
        return None


@functools.lru_cache(DAYS)
def updated(day: str) -> datetime.date | None:
    """Return the date ``2008-11-26``; None if there is none."""
    try:
        return datetime.date.fromisoformat(day)
    except ValueError:
        return None


class ArxivReader:
    """Reads the wanted papers of a plain or packed snapshot and counts the other records."""

    schema = schema_of(levels=2, metadata=METADATA_TYPES)

    def __init__(self, path: Path, prefixes: Sequence[str]) -> None:
        self.name = str(path)
        self.tally = self._filter = RecordFilter(prefixes)
        self._snapshot = PackedFile(path, "snapshot")

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the snapshot's order.

        Raises:
            InputError: the snapshot is unreadable or truncated.
        """
        return map(paper_of, itertools.chain.from_iterable(self._wanted()))

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing of the snapshot. Call it after reading."""
        return self._snapshot.description()

    def _wanted(self) -> Iterator[list[Record]]:
        snapshot, done = self._snapshot, 0
        with Progress(snapshot.size, "bytes") as progress:
            for block in snapshot.line_blocks():
                if snapshot.cut_line and is_cut(block):
                    raise InputError(
                        f"The snapshot {self.name} ends in the middle of a record "
                        f"(line {self._filter.lines + 1:,}): the download was cut. Download it again."
                    )
                yield self._filter.select(block)
                progress.advance(
                    snapshot.bytes_read - progress.done, records=self._filter.lines - done
                )
                done = self._filter.lines
