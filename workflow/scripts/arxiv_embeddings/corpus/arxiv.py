"""Reading the arXiv metadata snapshot: JSON lines, one record per line."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..common.errors import InputError
from ..common.progress import Progress
from .filtering import Paper, Tally
from .streams import PackedFile

REQUIRED = ("id", "title", "abstract", "categories")
CATEGORIES = b'"categories":"'


class Record(msgspec.Struct, gc=False):
    """The fields of a snapshot record that are used. The parser skips the others."""

    id: str
    title: str
    abstract: str
    categories: str


class RecordFilter(Tally):
    """Selects the records of the wanted categories, line by line.

    Attributes:
        lines: number of lines so far.
        last_error: the reason of the last bad record in the latest list of lines; None without one.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        super().__init__(prefixes)
        self.lines = 0
        self.last_error: str | None = None

    def select(self, lines: list[bytes], parse_all: bool = False) -> list[Record]:
        """Return the wanted records among ``lines``, in order, and count the others.

        Most unwanted lines are recognised by their bytes alone, without parsing: inside a JSON string
        every quote is escaped, so the bytes ``"categories":"`` can only be the key and the start of its
        value. All other lines are parsed, among them those without the usual form of the snapshot: they do
        not go from ``{"id":"`` to ``}``, lack a key before or after the categories, contain this key
        twice, have an escape within the prefix, or bytes that are not ASCII.

        Two cases are not recognised without parsing: a key that is itself written with escapes, and
        damage in an unwanted record that still has the usual form. ``parse_all`` parses every line.
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
                parsed = parse_untyped(line)
                if isinstance(parsed, str):
                    self._count_unreadable(number, line, parsed)
                    continue
                record = parsed
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


def parse_untyped(line: bytes) -> Record | str:
    """Return the record on a line that the typed decoder refuses, or the reason why it is not a record.

    The reasons are ``not_json``, ``not_an_object``, ``no_title``, ``title_is_not_text`` and so on. A record
    may contain a key twice: as in ``json.loads``, the last one counts, whatever the value of the first.
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


def paper_of(record: Record) -> Paper:
    """Return the paper of a record.

    The topic is the unchanged title and abstract, joined by a space. Category 1 is the first listed
    category (``cs.CL``), and category 0 is the part before its dot (``cs``).
    """
    first = record.categories.split(" ", 1)[0]
    topic = f"{record.title} {record.abstract}"
    return record.id, topic, record.categories, first.split(".", 1)[0], first


class ArxivReader:
    """Reads the wanted papers of a plain or packed snapshot and counts the other records."""

    def __init__(self, path: Path, prefixes: Sequence[str]) -> None:
        self.path = path
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
        snapshot = self._snapshot
        with Progress(snapshot.size, "bytes") as progress:
            for lines in snapshot.line_blocks():
                # A last line without a newline may be truncated anywhere, even after a brace.
                yield self._filter.select(lines, parse_all=snapshot.cut_line)
                progress.advance(snapshot.bytes_read - progress.done, records=len(lines))
        if self._filter.last_error == "not_json" and snapshot.cut_line:
            raise InputError(
                f"The snapshot {self.path} ends in the middle of a record "
                f"(line {self._filter.lines:,}): the download was cut. Download it again."
            )
