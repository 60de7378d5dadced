"""The papers of a result with their vectors, places on a map and clusters, as one Parquet file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...common.errors import InputError
from ...common.files import TextsHash
from ...common.matrices import matrix_blocks, open_matrix
from ...common.progress import Progress
from ...corpus.papers import METADATA_TYPES, level_columns, read_papers, repeated_columns
from ...evaluation.reading import read_parquet, read_schema

# Rows of a row group, of which one is in memory: 34 MB of vectors with 1,024 dimensions.
ROWS = 8_192
AGAIN = "Delete it and run snakemake again; nothing is embedded again."


def write_table(
    path: Path,
    *,
    papers: Path,
    vectors: Path,
    places: Path,
    cells: Mapping[str, Path],
    embeddings: Mapping[str, Any],
) -> pa.Schema:
    """Write the dataset; return its columns.

    Every id, text and number is compared with the manifest on the way. Memory holds one row group, and the places
    and clusters of all papers.

    Args:
        path: the Parquet file to write.
        papers: the merged papers of a model (Parquet); row i describes row i of the vectors.
        vectors: float32 (n, d), ``.npy``.
        places: of the first m papers on a map, float32 (m, 2), ``.npy``; no rows if the map was omitted.
        cells: the clusters of the first m papers (Parquet) by the name of the cell; no rows if it was omitted.
        embeddings: the section of the manifest on papers and vectors.

    Raises:
        InputError: a file cannot be read, or does not fit the others or the manifest.
    """
    rows, dimensions = open_matrix(vectors).shape
    if embeddings["shape"] != [rows, dimensions]:
        raise InputError(
            f"{vectors} has the shape {[rows, dimensions]}, but the manifest says {embeddings['shape']}. {AGAIN}"
        )
    given = read_schema(papers)
    known = {"id", "topic", "categories", *level_columns(given.names), *METADATA_TYPES}
    columns = [name for name in given.names if name in known]
    if missing := {"id", "topic"} - set(given.names):
        raise InputError(f"{papers} has no column {', '.join(sorted(missing))}. {AGAIN}")
    evaluated = _evaluated(places, cells, rows)
    schema = pa.schema(
        [
            *_described(given.empty_table().select(columns), papers).schema,
            *evaluated.schema,
            pa.field("vector", pa.list_(pa.float32(), dimensions)),
        ]
    )
    repeated = [field.name for field in schema if pa.types.is_integer(field.type)]
    options = {"use_dictionary": [*repeated_columns(schema.names), *repeated]}
    ids, texts, numbers = TextsHash(), TextsHash(), hashlib.sha256()
    start = 0
    with (
        Progress(rows, "papers") as progress,
        pq.ParquetWriter(path, schema, compression="zstd", **options) as writer,
    ):
        tables = read_papers(papers, start=0, stop=rows, size=ROWS, columns=columns)
        for table, block in zip(tables, matrix_blocks(vectors, ROWS), strict=True):
            ids.update(table["id"].to_pylist())
            texts.update(table["topic"].to_pylist())
            numbers.update(block.data)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), dimensions)
            part = evaluated.slice(start, len(table))
            arrays = [*_described(table, papers).columns, *part.columns, flat]
            writer.write_table(pa.table(arrays, schema=schema))
            start += len(table)
            progress.advance(len(table))
    for name, found, file in (
        ("ids_sha256", ids, papers),
        ("texts_sha256", texts, papers),
        ("vectors_sha256", numbers, vectors),
    ):
        if embeddings[name] != found.hexdigest():
            raise InputError(
                f"{file} is not what was merged: {name} differs from the manifest. {AGAIN}"
            )
    return schema


def _described(table: pa.Table, path: Path) -> pa.Table:
    """Return the columns of the dataset that describe a paper; the topic is split if its title is known.

    A topic is the title, one space and the abstract.
    """
    names = table.column_names
    columns = {"id": table["id"]}
    if "title" in names:
        titles, topics = table["title"].to_pylist(), table["topic"].to_pylist()
        for name, title, topic in zip(table["id"].to_pylist(), titles, topics, strict=True):
            if not topic.startswith(f"{title} "):
                raise InputError(
                    f"{path}: the topic of {name} does not begin with its title. {AGAIN}"
                )
        abstracts = [topic[len(title) + 1 :] for title, topic in zip(titles, topics, strict=True)]
        columns |= {"title": table["title"], "abstract": pa.array(abstracts, pa.string())}
    else:
        columns["topic"] = table["topic"]
    listed = [name for name in ("categories", *level_columns(names)) if name in names]
    others = [name for name in names if name not in {"id", "title", "topic", *listed}]
    columns |= {name: table[name] for name in [*listed, *others]}
    if "submitted" in names:
        columns["year"] = pc.cast(pc.year(table["submitted"]), pa.int32())
    return pa.table(columns)


def _evaluated(places: Path, cells: Mapping[str, Path], rows: int) -> pa.Table:
    """Return the places and clusters of all papers, with nulls for those that take no part in the evaluation."""
    columns: dict[str, pa.Array] = {}
    found = open_matrix(places)
    if len(found):
        if found.shape[1] != 2:
            raise InputError(f"{places} has {found.shape[1]} columns, but a map has 2.")
        columns |= {name: pa.array(found[:, axis]) for axis, name in enumerate("xy")}
    sources = dict.fromkeys(columns, places)
    for name, file in cells.items():
        clusters = read_parquet(file)
        if not len(clusters):
            continue
        for column in (*level_columns(clusters.column_names), "own"):
            if column in clusters.column_names:
                own = f"cluster {name} {column}"
                columns[own] = clusters[column].cast(pa.int32()).combine_chunks()
                sources[own] = file
    for name, column in columns.items():
        if len(column) > rows:
            raise InputError(
                f"{sources[name]} has {len(column):,} rows, but there are {rows:,} papers. "
                "Delete the older of the two and run again."
            )
        columns[name] = pa.concat_arrays([column, pa.nulls(rows - len(column), column.type)])
    return pa.table(columns)
