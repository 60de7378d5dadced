"""Read the Parquet and JSON files of a run, with errors that name the file and what to do."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the ``columns`` of a Parquet file in this order; all its columns if None.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            wanted = file.schema_arrow.names if columns is None else list(columns)
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            table = None if missing else file.read(wanted)
    # A damaged file raises exceptions of several kinds inside pyarrow.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {error}. Delete it and run again.") from error
    if table is None:
        raise InputError(f"{path} has no column {', '.join(missing)}. Delete it and run again.")
    return table.select(wanted)


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a Parquet file.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return pq.read_schema(path)
    # A damaged file raises exceptions of several kinds inside pyarrow.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {error}. Delete it and run again.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: the file is missing or does not hold a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Delete it and run again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object. Delete it and run again.")
    return content
