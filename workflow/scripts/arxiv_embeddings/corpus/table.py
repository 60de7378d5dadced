"""Reading papers out of a table: CSV or Parquet with named columns."""

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import file_sha256
from ..common.progress import Progress
from .filtering import Paper, Tally
from .streams import LONGEST_LINE, Snapshot

Cells = dict[str, Any]  # of a record, by column: text, or None
ROWS_READ = 1_024
BYTES_READ = 1 << 20  # of a Parquet column at a time: its row groups may be larger than the memory
NAMES_SHOWN = 30  # of columns, in an error


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what.

    Attributes:
        id: the papers' ids.
        texts: the text that is embedded; several are joined by a space.
        category_1: the finer label.
        category_0: the coarser label; without it, that is the part of the finer one before its dot.
    """

    id: str
    texts: tuple[str, ...]
    category_1: str
    category_0: str | None = None

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Columns":
        """Read the columns as ``corpus.columns`` of the config names them."""
        text = config["text"]
        texts = (text,) if isinstance(text, str) else tuple(text)
        return cls(config["id"], texts, config["category 1"], config.get("category 0"))

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        names = [self.id, *self.texts, self.category_0, self.category_1]
        return [name for name in dict.fromkeys(names) if name is not None]


class TableReader:
    """Reads the wanted papers of a table and counts the other records.

    A CSV is UTF-8, plain or packed, with a header, commas, and quotes around cells that hold a comma, a
    line break or a quote (written twice), as RFC 4180 has it; what is Parquet is told by its first bytes.
    Texts are taken as they stand. A record's number is the line on which it begins, or its row in a
    Parquet file, from 1. The prefixes are beginnings of category 1.
    """

    def __init__(self, path: Path, prefixes: Sequence[str], columns: Columns) -> None:
        self.path = path
        self.tally = Tally(prefixes)
        self._columns = columns
        self._snapshot = Snapshot(path)
        self._is_parquet = self._snapshot.format == "parquet"

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the table's order.

        Raises:
            InputError: the table is damaged, a column is missing or holds neither text nor whole numbers,
                or one category 1 stands below two of category 0.
        """
        columns, tally = self._columns, self.tally
        parents: dict[str, str] = {}
        for number, cells in self._parquet() if self._is_parquet else self._csv():
            tally.read += 1
            if not cells:
                tally.count_bad(number, "wrong_number_of_cells")
            elif tally.complete(number, cells) and tally.wants(cells[columns.category_1]):
                label = cells[columns.category_1]
                parent = cells[columns.category_0] if columns.category_0 else label.split(".", 1)[0]
                if parents.setdefault(label, parent) != parent:
                    raise InputError(
                        f"corpus.columns: in line {number:,} of {self.path} category 1 {label!r} stands below "
                        f"{parent!r}, before it below {parents[label]!r}. Labels of category 1 must be unique: "
                        f"write, for example, '{parent}.{label}' into a column of its own and name that."
                    )
                text = " ".join(cells[name] for name in columns.texts)
                yield cells[columns.id], text, label, parent, label

    def source(self) -> dict[str, Any]:
        """Return name, bytes, sha256 and packing of the table, once it is read."""
        if self._is_parquet:  # which is not read front to back
            whole = {"bytes": self.path.stat().st_size, "sha256": file_sha256(self.path)}
            return {**self._snapshot.description(), **whole}
        return self._snapshot.description()

    def _csv(self) -> Iterator[tuple[int, Cells]]:
        """Yield the records with their numbers; without cells where there are not as many as names."""
        csv.field_size_limit(LONGEST_LINE)
        with Progress(self._snapshot.size, "bytes") as progress:
            # The standard library's parser, as Arrow's neither tells lines nor misses a closing quote.
            lines = self._snapshot.text_lines(progress)
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
                    f"The table {self.path} is no sound CSV: {error}, in the record that begins on line "
                    f"{number + 1:,}. A quote within quotes is written twice; mend it, or write the table anew."
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
                f"The table {self.path} is a damaged Parquet file ({error}). Download or write it anew."
            ) from error

    def _place(self, name: str, names: list[str]) -> int:
        """Return where the column ``name`` stands among the table's columns, once."""
        if names.count(name) == 1:
            return names.index(name)
        told = ", ".join(repr(other[:60]) for other in names[:NAMES_SHOWN])
        more = f" and {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
        raise InputError(
            f"corpus.columns: {self.path} has {'several columns' if name in names else 'no column'} "
            f"{name!r}. Its columns: {told}{more}."
        )

    def _check_type(self, name: str, kind: pa.DataType) -> None:
        of = kind.value_type if pa.types.is_dictionary(kind) else kind
        tests = ("is_string", "is_large_string", "is_string_view", "is_integer", "is_null")
        if not any(getattr(pa.types, test)(of) for test in tests):
            raise InputError(
                f"corpus.columns: the column {name!r} of {self.path} holds {kind}; text or whole numbers are "
                "wanted. Write it as text: pandas makes decimal numbers of whole ones with gaps."
            )
