"""Putting the papers in a seeded drawing order, of which every sample is a beginning."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.progress import Progress
from ..config.derived import check_sample_size

log = logging.getLogger(__name__)

ROWS_PER_GROUP = 1_000  # a shard reads whole row groups, so they are small
ROWS_PER_BUCKET = 50 * ROWS_PER_GROUP  # about 75 MB of text, held in memory one at a time
ROWS_READ = 16_384


def drawing_order(papers: int, seed: int) -> np.ndarray:
    """Return the positions 0 to ``papers - 1`` (int64) in the order the seed draws them.

    Its first n entries are the positions of ``DataFrame.sample(n, random_state=seed)``: pandas draws
    with ``RandomState.choice(papers, size=n, replace=False)``, which numpy documents as a permutation
    of all positions cut after n.
    """
    return np.random.RandomState(seed).permutation(papers)


def sample_papers(
    papers_path: Path, seed: int, size: int | None, drawn_path: Path, scratch: Path
) -> None:
    """Write all papers in drawing order; the first n rows are the sample of size n.

    A random order cannot be read from a Parquet file, and three million papers should not be held in
    memory. So the papers are first dealt into buckets by their place in the drawing order, as Arrow
    files beside the output; then every bucket is memory-mapped, sorted and written. Both passes read and
    write from front to back, which shared file systems are good at. The same papers and seed give the
    same bytes.

    Args:
        papers_path: the kept papers (Parquet) in any number of row groups.
        seed: of the drawing order, 0 to 2**32 - 1.
        size: how many papers the sample shall have; None for all of them.
        drawn_path: the Parquet file to write.
        scratch: a folder to make, for the buckets; the caller removes it.

    Raises:
        InputError: there are fewer than ``size`` papers.
    """
    with pq.ParquetFile(papers_path) as papers:
        count = papers.metadata.num_rows
        check_sample_size(size, count)
        log.info("Drawing %s papers with seed %d.", f"{count:,}", seed)
        place = np.empty(count, dtype=np.int64)
        place[drawing_order(count, seed)] = np.arange(count)
        with Progress(2 * count, "papers dealt and sorted") as progress:
            buckets = _deal(papers, place, scratch, progress)
            _sort(buckets, papers.schema_arrow, drawn_path, progress)
    log.info("Wrote %s papers in drawing order.", f"{count:,}")


def _deal(
    papers: pq.ParquetFile, place: np.ndarray, folder: Path, progress: Progress
) -> list[Path]:
    """Write every paper, with its place, to the bucket of its place; return the buckets in order."""
    folder.mkdir()
    schema = papers.schema_arrow.append(pa.field("place", pa.int64()))
    edges = np.arange(0, len(place), ROWS_PER_BUCKET)
    buckets = [folder / f"{number}.arrow" for number in range(len(edges))]
    writers = [pa.ipc.new_stream(bucket, schema) for bucket in buckets]
    row = 0
    for batch in papers.iter_batches(batch_size=ROWS_READ):
        places = place[row : row + len(batch)]
        row += len(batch)
        order = np.argsort(places)
        dealt = batch.take(pa.array(order)).append_column("place", pa.array(places[order]))
        bounds = np.append(np.searchsorted(places[order], edges), len(batch)).tolist()
        for writer, start, stop in zip(writers, bounds[:-1], bounds[1:], strict=True):
            if stop > start:
                writer.write_batch(dealt.slice(start, stop - start))
        progress.advance(len(batch))
    for writer in writers:
        writer.close()
    return buckets


def _sort(buckets: list[Path], schema: pa.Schema, drawn_path: Path, progress: Progress) -> None:
    """Write the papers of all buckets, each sorted by place, behind one another."""
    options = {"compression": "zstd", "use_dictionary": schema.names[2:], "write_statistics": False}
    with pq.ParquetWriter(drawn_path, schema, **options) as writer:
        for bucket in buckets:
            with pa.memory_map(str(bucket)) as source, pa.ipc.open_stream(source) as stream:
                dealt = stream.read_all()
                ordered = dealt.sort_by("place").drop_columns("place")
                writer.write_table(ordered, row_group_size=ROWS_PER_GROUP)
            bucket.unlink()
            progress.advance(len(ordered))
