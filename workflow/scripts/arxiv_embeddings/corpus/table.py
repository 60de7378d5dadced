"""Reading papers from a table: CSV or Parquet with named columns."""

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import file_sha256
from ..common.progress import Progress
from ..config.derived import levels
from .filtering import Paper, Tally, schema_of
from .streams import LONGEST_LINE, PackedFile

# The values of a record, by column: text, or None.
Cells = dict[str, Any]
ROWS_READ = 1_024
# Bytes of a Parquet column read at a time, as row groups may be larger than the memory.
BYTES_READ = 1 << 20
# Number of column names in an error.
NAMES_SHOWN = 30


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of a table's columns, by their contents.

    Attributes:
        id: column of the papers' ids; None if the id is the number of the record.
        texts: columns of the text to embed; several are joined by a space.
        labels: columns of the labels, the coarsest level first.
        is_dotted: whether ``labels`` names the finer of two levels alone, and the coarser label is the part of
            the finer one before its first dot.
    """

    id: str | None
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    is_dotted: bool

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
        )

    @property
    def names(self) -> list[str]:
        """All names, each once."""
        names = [self.id, *self.texts, *self.labels]
        return [name for name in dict.fromkeys(names) if name is not None]

    def labels_of(self, cells: Cells) -> list[str]:
        """Return the labels of a record, the coarsest first."""
        labels = [cells[name] for name in self.labels]
        return [labels[0].split(".", 1)[0], *labels] if self.is_dotted else labels


class TableReader:
    """Reads the wanted papers of a table and counts the other records.

    A CSV file is UTF-8, plain or packed, with a header, commas, and quotes around cells that contain a
    comma, a line break or a (doubled) quote, as in RFC 4180. Parquet is detected from the first bytes.
    Texts are not changed. The number of a record is the line on which it begins, or its row in a Parquet
    file, from 1. The prefixes, and the ``categories`` of a paper, are those of the finest level.
    """

    def __init__(self, path: Path, prefixes: Sequence[str], columns: Columns) -> None:
        self.path = path
        self.schema = schema_of(len(columns.labels) + columns.is_dotted)
        self.tally = Tally(prefixes)
        self._columns = columns
        self._file = PackedFile(path, "table")
        self._is_parquet = self._file.format == "parquet"

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the order of the table.

        Raises:
            InputError: the table is damaged, a column is missing or contains neither text nor integers,
                or a label occurs under two labels of the level above.
        """
        columns, tally = self._columns, self.tally
        parents: list[dict[str, str]] = [{} for _ in columns.labels]
        for number, cells in self._parquet() if self._is_parquet else self._csv():
            tally.read += 1
            if not cells:
                tally.count_bad(number, "wrong_number_of_cells")
            elif tally.is_complete(number, cells) and tally.wants(cells[columns.labels[-1]]):
                labels = columns.labels_of(cells)
                for depth, (parent, label) in enumerate(itertools.pairwise(labels), start=1):
                    known = parents[depth - 1].setdefault(label, parent)
                    if known != parent:
                        raise self._ambiguous(number, depth, label, known, parent)
                text = " ".join(cells[name] for name in columns.texts)
                name = str(tally.read) if columns.id is None else cells[columns.id]
                yield name, text, labels[-1], *labels

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing of the table. Call it after reading.

        Raises:
            InputError: the table changed while it was read.
        """
        # Parquet is not read from start to end.
        if self._is_parquet:
            whole = {"bytes": self._file.size, "sha256": file_sha256(self.path)}
            self._file.check_unchanged()
            return {**self._file.description(), **whole}
        return self._file.description()

    def _csv(self) -> Iterator[tuple[int, Cells]]:
        """Yield the records with their numbers; a record with a wrong number of cells is empty."""
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
                        places = [(name, self._place(name, names)) for name in self._columns.names]
                    elif not row:
                        self.tally.blank += 1
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
        """Yield the records with their numbers."""
        wanted = self._columns.names
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

    def _ambiguous(
        self, number: int, depth: int, label: str, known: str, parent: str
    ) -> InputError:
        """Return an error for a label of level ``depth`` that occurs under two labels of the level above."""
        return InputError(
            f"corpus.columns: category {depth} {label!r} of {self.path} occurs under category {depth - 1} "
            f"{known!r} and, in line {number:,}, under {parent!r}. Make the labels of category {depth} unique: "
            f"write, for example, '{parent}.{label}' to a new column, and name this column in corpus.columns."
        )

    def _check_type(self, name: str, kind: pa.DataType) -> None:
        cells = kind.value_type if pa.types.is_dictionary(kind) else kind
        tests = ("is_string", "is_large_string", "is_string_view", "is_integer", "is_null")
        if not any(getattr(pa.types, test)(cells) for test in tests):
            raise InputError(
                f"corpus.columns: the column {name!r} of {self.path} contains {kind}, not text or integers; "
                "pandas stores integers with missing values as double. Write the column as text."
            )
