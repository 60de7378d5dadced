"""Reading the arXiv metadata snapshot: JSON lines, one record each."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..common.errors import InputError
from ..common.progress import Progress
from .filtering import Paper, Tally
from .streams import Snapshot

REQUIRED = ("id", "title", "abstract", "categories")
CATEGORIES = b'"categories":"'


class Record(msgspec.Struct, gc=False):
    """The fields of a snapshot record that are used; the others are skipped while parsing."""

    id: str
    title: str
    abstract: str
    categories: str


class Filter(Tally):
    """Tells, line by line, which records are papers of the wanted categories.

    Attributes:
        lines: lines seen so far.
        last_error: what was wrong in the last run of lines, or None if they were sound.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        super().__init__(prefixes)
        self.lines = 0
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
                    self._count_unreadable(number, line, read)
                    continue
                record = read
            if record.categories.startswith(self.prefixes):
                papers.append(record)
            else:
                self.other += 1
        self.lines += len(lines)
        self.read = self.lines - self.blank
        return papers

    def _count_unreadable(self, number: int, line: bytes, reason: str) -> None:
        if not line.strip():
            self.blank += 1
            return
        self.last_error = reason
        self.count_bad(number, reason)


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


def paper(record: Record) -> Paper:
    """Return the paper of a record.

    The topic is title and abstract as they stand, with one space between; category 1 is the first
    listed category (``cs.CL``) and category 0 the part before its dot (``cs``).
    """
    first = record.categories.split(" ", 1)[0]
    topic = f"{record.title} {record.abstract}"
    return record.id, topic, record.categories, first.split(".", 1)[0], first


class ArxivReader:
    """Reads the wanted papers of a snapshot, plain or packed, and counts the other records."""

    def __init__(self, path: Path, prefixes: Sequence[str]) -> None:
        self.path = path
        self.tally = self._filter = Filter(prefixes)
        self._snapshot = Snapshot(path)

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the snapshot's order.

        Raises:
            InputError: the snapshot is unreadable or cut.
        """
        return map(paper, itertools.chain.from_iterable(self._wanted()))

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing of the snapshot, once it is read."""
        return self._snapshot.description()

    def _wanted(self) -> Iterator[list[Record]]:
        snapshot = self._snapshot
        with Progress(snapshot.size, "bytes") as progress:
            for lines in snapshot.line_blocks():
                # A last line without its newline may be cut anywhere, also behind a brace.
                yield self._filter.papers(lines, parse_all=snapshot.cut_line)
                progress.advance(snapshot.bytes_read - progress.done, records=len(lines))
        if self._filter.last_error == "not_json" and snapshot.cut_line:
            raise InputError(
                f"The snapshot {self.path} ends in the middle of a record "
                f"(line {self._filter.lines:,}): the download was cut. Download it again."
            )
