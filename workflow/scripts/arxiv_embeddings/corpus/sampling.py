"""Putting the papers into the drawing order of a seed. A sample of n papers is the first n of them."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.prefetch import prefetch
from ..common.progress import Progress
from ..config.derived import check_sample_size
from .papers import repeated_columns

log = logging.getLogger(__name__)

# Small, because a shard reads whole row groups.
ROWS_PER_GROUP = 1_000
# About 75 MB of text. Two buckets at a time are in memory: one is sorted while the other is written.
ROWS_PER_BUCKET = 50 * ROWS_PER_GROUP
ROWS_READ = 16_384


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return how drawn papers with these columns are written."""
    repeated = repeated_columns(schema.names)
    return {"compression": "zstd", "use_dictionary": repeated, "write_statistics": False}


def drawing_order(papers: int, seed: int) -> np.ndarray:
    """Return the positions 0 to ``papers - 1``, int64 (papers,), in the drawing order of ``seed``.

    The first n entries are the positions that ``DataFrame.sample(n, random_state=seed)`` draws: pandas
    calls ``RandomState.choice(papers, size=n, replace=False)``, which numpy documents as a permutation
    of all positions, cut after n.
    """
    return np.random.RandomState(seed).permutation(papers)


def hash_order(ids: Iterable[str], seed: int) -> np.ndarray:
    """Return the positions of ``ids``, int64 (papers,), sorted by the sha256 of sha256(seed) and the id.

    The place of a paper depends on its id and the seed alone, so a sample of a later corpus has the same papers,
    apart from those that new ones push out. Papers with equal ids keep their order.
    """
    salt = hashlib.sha256(str(seed).encode()).digest()
    joined = b"".join(hashlib.sha256(salt + one.encode()).digest() for one in ids)
    return np.argsort(np.frombuffer(joined, "S32"), kind="stable")


def sample_papers(
    papers_path: Path,
    drawn_path: Path,
    *,
    seed: int,
    order: str,
    size: int | None,
    scratch: Path,
) -> int:
    """Write all papers in drawing order, return how many; the first n rows are the sample of size n.

    Parquet files cannot be read in random order, and three million papers should not be held in memory.
    So the papers are first distributed to buckets by their place in the drawing order, as Arrow files.
    Then each bucket is memory-mapped, sorted and written. Both passes read and write sequentially, which
    is fast on shared file systems. The same papers and seed give the same bytes.

    Args:
        papers_path: the filtered papers (Parquet) in any number of row groups.
        drawn_path: the Parquet file to write.
        seed: of the drawing order, 0 to 2**32 - 1.
        order: ``pandas`` (see drawing_order) or ``hash`` (see hash_order).
        size: number of papers the sample must have; None for all of them.
        scratch: a folder to create for the buckets; the caller removes it.

    Raises:
        InputError: there are fewer than ``size`` papers.
    """
    with pq.ParquetFile(papers_path, pre_buffer=False) as papers:
        count = papers.metadata.num_rows
        check_sample_size(size, count)
        log.info("Drawing %s papers with seed %d.", f"{count:,}", seed)
        place = np.empty(count, dtype=np.int64)
        if order == "hash":
            batches = papers.iter_batches(ROWS_READ, columns=["id"])
            ids = (one for batch in batches for one in batch["id"].to_pylist())
            place[hash_order(ids, seed)] = np.arange(count)
        else:
            place[drawing_order(count, seed)] = np.arange(count)
        with Progress(2 * count, "papers distributed and sorted") as progress:
            buckets = _distribute(papers, place, scratch, progress)
            _sort(buckets, papers.schema_arrow, drawn_path, progress)
    log.info("Wrote %s papers in drawing order.", f"{count:,}")
    return int(count)


def _distribute(
    papers: pq.ParquetFile, place: np.ndarray, folder: Path, progress: Progress
) -> list[Path]:
    """Write every paper with its place to the bucket of this place; return the buckets in order.

    ``place`` gives the place of every paper in the drawing order, int64 (papers,).
    """
    folder.mkdir()
    schema = papers.schema_arrow.append(pa.field("place", pa.int64()))
    edges = np.arange(0, len(place), ROWS_PER_BUCKET)
    buckets = [folder / f"{number}.arrow" for number in range(len(edges))]
    writers = [pa.ipc.new_stream(bucket, schema) for bucket in buckets]
    with prefetch(_ordered_batches(papers, place), depth=1) as batches:
        for batch in batches:
            bounds = np.append(np.searchsorted(batch["place"], edges), len(batch)).tolist()
            for writer, start, stop in zip(writers, bounds[:-1], bounds[1:], strict=True):
                if stop > start:
                    writer.write_batch(batch.slice(start, stop - start))
            progress.advance(len(batch))
    for writer in writers:
        writer.close()
    return buckets


def _ordered_batches(papers: pq.ParquetFile, place: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Yield the papers batch by batch, each sorted by a further column ``place``."""
    row = 0
    for batch in papers.iter_batches(batch_size=ROWS_READ):
        places = place[row : row + len(batch)]
        row += len(batch)
        order = np.argsort(places)
        yield batch.take(pa.array(order)).append_column("place", pa.array(places[order]))


def _sort(buckets: list[Path], schema: pa.Schema, drawn_path: Path, progress: Progress) -> None:
    """Write the papers of all buckets in order, each bucket sorted by place."""
    with (
        pq.ParquetWriter(drawn_path, schema, **parquet_options(schema)) as writer,
        prefetch(map(_sorted_bucket, buckets), depth=1) as tables,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            progress.advance(len(table))


def _sorted_bucket(bucket: Path) -> pa.Table:
    """Return the papers of a bucket sorted by place, and remove its file."""
    with pa.memory_map(str(bucket)) as source, pa.ipc.open_stream(source) as stream:
        ordered = stream.read_all().sort_by("place").drop_columns("place")
    bucket.unlink()
    return ordered
