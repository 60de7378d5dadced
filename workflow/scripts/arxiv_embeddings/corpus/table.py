"""Reading papers from tables with named columns: CSV, Parquet and Excel files."""

import csv
import dataclasses
import hashlib
import itertools
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from ..common.errors import InputError
from ..common.files import file_sha256, sums_sha256
from ..common.progress import Progress
from ..config.derived import Snapshot, levels, snapshot_files, snapshot_name
from .filtering import Paper, Place, Tally, schema_of
from .streams import LONGEST_LINE, PackedFile

log = logging.getLogger(__name__)

# The values of a record, by column: text, or None.
Cells = dict[str, Any]
ROWS_READ = 1_024
# Bytes of a Parquet column read at a time, as row groups may be larger than the memory.
BYTES_READ = 1 << 20
# Number of column names in an error.
NAMES_SHOWN = 30
# Excel stores numbers in double precision: whole numbers from here upward are not exact.
INEXACT = 1 << 53


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of a table's columns, by their contents.

    Attributes:
        id: column of the papers' ids; None if the id is the number of the record.
        texts: columns of the text to embed; several are joined by a space.
        labels: columns of the labels, the coarsest level first.
        is_dotted: whether ``labels`` names the finer of two levels alone, and the coarser label is the part of
            the finer one before its first dot.
        full_labels: whether each label is written after those of the levels above.
        distinct: column whose values must not repeat; None if any may.
    """

    id: str | None
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    is_dotted: bool
    full_labels: bool
    distinct: str | None

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Columns":
        """Return the columns that ``corpus.columns`` of the config names."""
        text = config["text"]
        names = levels({"columns": config})
        labels = tuple(config[name] for name in names if name in config)
        return cls(
            id=config.get("id"),
            texts=(text,) if isinstance(text, str) else tuple(text),
            labels=labels,
            is_dotted=len(labels) < len(names),
            full_labels=config.get("full_labels", False),
            distinct=config.get("distinct"),
        )

    @property
    def names(self) -> list[str]:
        """All names, each once."""
        names = [self.id, *self.texts, *self.labels, self.distinct]
        return [name for name in dict.fromkeys(names) if name is not None]

    def labels_of(self, cells: Cells) -> list[str]:
        """Return the labels of a record, the coarsest first."""
        labels = [cells[name] for name in self.labels]
        if self.is_dotted:
            labels.insert(0, labels[0].split(".", 1)[0])
        return list(itertools.accumulate(labels, "{}/{}".format)) if self.full_labels else labels


class TableReader:
    """Reads the wanted papers of one or more tables, one after the other, and counts the other records.

    A CSV file is UTF-8, plain or packed, with a header, commas, and quotes around cells that contain a
    comma, a line break or a (doubled) quote, as in RFC 4180. Parquet and Excel files (``.xlsx``, of which
    the first sheet is read) are detected by their content. Texts are not changed. The place of a record is
    the line on which it begins, or its row in the other formats, from 1; in Excel, the header is a row, too. The
    prefixes, and the ``categories`` of a paper, are those of the finest level.
    """

    def __init__(self, snapshot: Snapshot, prefixes: Sequence[str], columns: Columns) -> None:
        self.name = snapshot_name(snapshot)
        self.schema = schema_of(len(columns.labels) + columns.is_dotted)
        self.tally = Tally(prefixes)
        self._columns = columns
        self._files = [TableFile(path, columns.names) for path in snapshot_files(snapshot, "table")]
        # How many records of each file were read, and how many became papers.
        self._counts: list[dict[str, int]] = []

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the order of the tables.

        Raises:
            InputError: a table is damaged, a column is missing or contains neither text nor whole numbers,
                or a label occurs under two labels of the level above.
        """
        columns, tally = self._columns, self.tally
        parents: list[dict[str, str]] = [{} for _ in columns.labels]
        values: set[bytes] = set()
        if columns.distinct is not None:
            tally.repeated = 0
        for file in self._files:
            counts = {"read": 0, "kept": 0}
            self._counts.append(counts)
            for number, cells in file.records():
                tally.read += 1
                counts["read"] += 1
                place = f"{file.path.name}:{number}" if len(self._files) > 1 else number
                if not cells:
                    tally.count_bad(place, "wrong_number_of_cells")
                    continue
                if not tally.is_complete(place, cells):
                    continue
                labels = columns.labels_of(cells)
                if not tally.wants(labels[-1]) or self._is_repeated(cells, values):
                    continue
                for depth, (parent, label) in enumerate(itertools.pairwise(labels), start=1):
                    known = parents[depth - 1].setdefault(label, parent)
                    if known != parent:
                        raise self._ambiguous(place, depth, label, known, parent)
                counts["kept"] += 1
                text = " ".join(cells[name] for name in columns.texts)
                name = str(tally.read) if columns.id is None else cells[columns.id]
                yield name, text, labels[-1], *labels
            tally.blank += file.blank

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing of the table, or of all tables and of each. Call it after reading.

        The checksum of several tables is that of their checksums, as ``sha256sum a.csv b.csv | sha256sum``
        prints it in their folder.

        Raises:
            InputError: a table changed while it was read.
        """
        files = [file.description() for file in self._files]
        if len(files) == 1:
            return files[0]
        return {
            "name": ", ".join(file["name"] for file in files),
            "bytes": sum(file["bytes"] for file in files),
            "sha256": sums_sha256((file["name"], file["sha256"]) for file in files),
            "format": "files",
            "files": [{**file, **counts} for file, counts in zip(files, self._counts, strict=True)],
        }

    def _is_repeated(self, cells: Cells, values: set[bytes]) -> bool:
        """Return whether an earlier paper has the value that must be distinct; if so, count the record."""
        if self._columns.distinct is None or self.tally.repeated is None:
            return False
        # 16 bytes instead of a text of any length; that two of a billion values agree is improbable (1e-21).
        value = hashlib.blake2b(cells[self._columns.distinct].encode(), digest_size=16).digest()
        is_repeated = value in values
        values.add(value)
        self.tally.repeated += is_repeated
        return is_repeated

    def _ambiguous(
        self, place: Place, depth: int, label: str, known: str, parent: str
    ) -> InputError:
        """Return an error for a label of level ``depth`` that occurs under two labels of the level above."""
        return InputError(
            f"corpus.columns: category {depth} {label!r} of {self.name} occurs under category {depth - 1} "
            f"{known!r} and, in line {place}, under {parent!r}. Make the labels of category {depth} unique: set "
            f"corpus.columns.full_labels to true, or write, for example, '{parent}.{label}' to a new column."
        )


class TableFile:
    """One CSV, Parquet or Excel file.

    Attributes:
        path: where it is.
        blank: number of blank lines or rows so far.
    """

    def __init__(self, path: Path, wanted: Sequence[str]) -> None:
        """Detect the format of ``path``; ``wanted`` are the names of the columns to read."""
        self.path = path
        self.blank = 0
        self._wanted = wanted
        self._file = PackedFile(path, "table")
        is_excel = self._file.format == "zip" and is_workbook(path)
        self._format = "xlsx" if is_excel else self._file.format

    def records(self) -> Iterator[tuple[int, Cells]]:
        """Yield the records with their places; a record with a wrong number of cells is empty."""
        if self._format == "parquet":
            return self._parquet()
        return self._excel() if self._format == "xlsx" else self._csv()

    def description(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing (``format``) for a report. Call it after reading.

        Raises:
            InputError: the file changed while it was read.
        """
        if self._format not in ("parquet", "xlsx"):
            return self._file.description()
        # These are not read from start to end.
        whole = {"bytes": self._file.size, "sha256": file_sha256(self.path), "format": self._format}
        self._file.check_unchanged()
        return {**self._file.description(), **whole}

    def _csv(self) -> Iterator[tuple[int, Cells]]:
        csv.field_size_limit(LONGEST_LINE)
        with Progress(self._file.size, "bytes") as progress:
            # Arrow's parser gives no line numbers and does not notice a missing closing quote.
            lines = self._file.text_lines(progress)
            rows = csv.reader((f"{line}\n" for line in lines), strict=True)
            names: list[str] | None = None
            number = 0
            try:
                for row in rows:
                    begin, number = number + 1, rows.line_num
                    if names is None:
                        names = row
                        places = [(name, self._place(name, names)) for name in self._wanted]
                    elif not row:
                        self.blank += 1
                    elif len(row) != len(names):
                        yield begin, {}
                    else:
                        yield begin, {name: row[place] for name, place in places}
            except csv.Error as error:
                raise InputError(
                    f"The table {self.path} is not valid CSV: {error}, in the record that begins on line "
                    f"{number + 1:,}. Double the quotes within quoted cells, or write the table again."
                ) from error

    def _parquet(self) -> Iterator[tuple[int, Cells]]:
        wanted = list(self._wanted)
        number = 0
        try:
            with pq.ParquetFile(self.path, buffer_size=BYTES_READ, pre_buffer=False) as file:
                schema = file.schema_arrow
                for name in wanted:
                    self._check_type(name, schema.field(self._place(name, schema.names)).type)
                with Progress(file.metadata.num_rows, "records") as progress:
                    for batch in file.iter_batches(ROWS_READ, columns=wanted):
                        cells = [batch[name].cast(pa.string()).to_pylist() for name in wanted]
                        for row in zip(*cells, strict=True):
                            number += 1
                            yield number, dict(zip(wanted, row, strict=True))
                        progress.advance(len(batch))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"The table {self.path} is a damaged Parquet file ({error}). Download or write it again."
            ) from error

    def _excel(self) -> Iterator[tuple[int, Cells]]:
        """Yield the records of the first sheet. The whole sheet is in memory; Excel allows 1,048,576 rows."""
        try:
            # Opened as a file, its type is judged by its content and not by its name.
            with self.path.open("rb") as file:
                workbook = CalamineWorkbook.from_filelike(file)
                sheet = workbook.get_sheet_by_index(0)
        except (CalamineError, OSError) as error:
            raise InputError(
                f"The table {self.path} is a damaged Excel file ({error}). Download or write it again."
            ) from error
        if len(workbook.sheet_names) > 1:
            log.warning(
                "Only the first sheet of %s is read: %r. Its other sheets: %s.",
                self.path,
                sheet.name,
                ", ".join(map(repr, workbook.sheet_names[1:])),
            )
        names: list[str] | None = None
        with Progress(sheet.total_height, "records") as progress:
            for number, row in enumerate(sheet.iter_rows(), start=1):
                progress.advance(1)
                if all(cell == "" for cell in row):
                    self.blank += 1
                elif names is None:
                    names = list(map(str, row))
                    places = [(name, self._place(name, names)) for name in self._wanted]
                else:
                    yield (
                        number,
                        {name: self._cell(name, number, row[place]) for name, place in places},
                    )
        if names is None:
            raise InputError(
                f"The first sheet of {self.path}, {sheet.name!r}, is empty. Write the table to the first sheet."
            )

    def _cell(self, name: str, number: int, value: Any) -> str:
        """Return the text of an Excel cell; empty for an empty cell and for one with an error such as #N/A."""
        if isinstance(value, str):
            return value
        if isinstance(value, float) and value.is_integer() and abs(value) < INEXACT:
            return str(int(value))
        raise InputError(
            f"corpus.columns: the column {name!r} of {self.path} contains {value!r} in row {number:,}, which is "
            "neither text nor an exact whole number. Write the column as text."
        )

    def _place(self, name: str, names: list[str]) -> int:
        """Return the position of the column ``name``, which must occur once among ``names``."""
        if names.count(name) == 1:
            return names.index(name)
        shown = ", ".join(repr(other[:60]) for other in names[:NAMES_SHOWN])
        more = f" and {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
        raise InputError(
            f"corpus.columns: {self.path} has {'several columns' if name in names else 'no column'} "
            f"{name!r}. Its columns: {shown}{more}. Set corpus.columns to columns that occur once."
        )

    def _check_type(self, name: str, kind: pa.DataType) -> None:
        cells = kind.value_type if pa.types.is_dictionary(kind) else kind
        tests = ("is_string", "is_large_string", "is_string_view", "is_integer", "is_null")
        if not any(getattr(pa.types, test)(cells) for test in tests):
            raise InputError(
                f"corpus.columns: the column {name!r} of {self.path} contains {kind}, not text or integers; "
                "pandas stores integers with missing values as double. Write the column as text."
            )


def is_workbook(path: Path) -> bool:
    """Return whether a zip archive is an Excel file (.xlsx). Damaged archives are not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    # A damaged directory can make zipfile raise any exception.
    except Exception:
        return False
