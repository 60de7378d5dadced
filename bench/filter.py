"""Time the filter and other ways to select papers in turns on the same snapshot, and print a table of medians.

    python bench/make_snapshot.py SNAPSHOT
    python bench/filter.py SNAPSHOT

The notebook's loop parses every line with json.loads and puts the selected records into a pandas DataFrame. pyarrow,
polars and duckdb write text and labels as Parquet with zstd at level 1; packages that are not installed are skipped.
The filter does more: it writes the metadata as well, computes the sha256 of the file, counts invalid records by reason
with their lines, and compares ids. Each contender runs in a separate process and may use all cores; the file is in the page cache.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import importlib
import importlib.util
import json
import logging
import multiprocessing
import operator
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from arxiv_embeddings.corpus.arxiv import ArxivReader, RecordFilter
from arxiv_embeddings.corpus.filtering import filter_papers, parquet_options, schema_of
from arxiv_embeddings.corpus.streams import BLOCK

PREFIXES = ("cs.", "physics.")
FIELDS = ("id", "title", "abstract", "categories")
SCHEMA = schema_of(levels=2)


def notebook(path: Path, papers: Path) -> int:
    """Select the papers as in the notebook; write nothing."""
    rows = []
    with path.open() as file:
        for line in file:
            paper = json.loads(line)
            if paper["categories"].startswith(PREFIXES):
                rows.append({name: paper[name] for name in FIELDS})
    frame = pd.DataFrame(rows)
    frame["topic"] = frame["title"] + " " + frame["abstract"]
    frame["category 1"] = frame["categories"].str.split(" ").str[0]
    frame["category 0"] = frame["category 1"].str.split(".").str[0]
    return len(frame)


def with_pyarrow(path: Path, papers: Path) -> int:
    """Select the papers with Arrow's reader of JSON lines."""
    fields = pa.schema([(name, pa.string()) for name in FIELDS])
    reader = pj.open_json(
        path,
        read_options=pj.ReadOptions(block_size=1 << 22),
        parse_options=pj.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
    )
    kept = 0
    with pq.ParquetWriter(papers, SCHEMA, **parquet_options(SCHEMA)) as writer:
        for batch in reader:
            tests = [pc.starts_with(batch["categories"], prefix) for prefix in PREFIXES]
            batch = batch.filter(functools.reduce(pc.or_, tests))
            topic = pc.binary_join_element_wise(batch["title"], batch["abstract"], " ")
            first = pc.list_element(pc.split_pattern(batch["categories"], " ", max_splits=1), 0)
            parent = pc.list_element(pc.split_pattern(first, ".", max_splits=1), 0)
            columns = [batch["id"], topic, batch["categories"], parent, first]
            writer.write_table(pa.table(columns, schema=SCHEMA))
            kept += len(batch)
    return kept


def with_polars(path: Path, papers: Path) -> int:
    """Select the papers with a lazy query of polars."""
    pl = importlib.import_module("polars")
    categories = pl.col("categories")
    wanted = functools.reduce(operator.or_, map(categories.str.starts_with, PREFIXES))
    first = categories.str.split(" ").list.first()
    query = (
        pl.scan_ndjson(path, infer_schema_length=10_000)
        .filter(wanted)
        .select(
            "id",
            (pl.col("title") + " " + pl.col("abstract")).alias("topic"),
            "categories",
            first.str.split(".").list.first().alias("category 0"),
            first.alias("category 1"),
        )
    )
    query.sink_parquet(papers, compression="zstd", compression_level=1)
    return int(pq.read_metadata(papers).num_rows)


def with_duckdb(path: Path, papers: Path) -> int:
    """Select the papers with a query of duckdb."""
    columns = ", ".join(f"{name}: 'VARCHAR'" for name in FIELDS)
    wanted = " OR ".join(f"starts_with(categories, '{prefix}')" for prefix in PREFIXES)
    importlib.import_module("duckdb").sql(
        f"""
        COPY (
            SELECT id, title || ' ' || abstract AS topic, categories,
                split_part(split_part(categories, ' ', 1), '.', 1) AS "category 0",
                split_part(categories, ' ', 1) AS "category 1"
            FROM read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})
            WHERE {wanted}
        ) TO '{papers}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
        """  # noqa: S608 - its parts are the constants of this file and the paths of the command line
    )
    return int(pq.read_metadata(papers).num_rows)


def finding(path: Path, papers: Path) -> int:
    """Parse and select the records on one core; write nothing."""
    record_filter = RecordFilter(PREFIXES)
    kept, rest = 0, b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            end = block.rfind(b"\n") + 1
            kept += len(record_filter.select(rest + block[:end])) if end else 0
            rest = block[end:] if end else rest + block
    return kept


def whole_filter(path: Path, papers: Path) -> int:
    """Run the complete filter."""
    report = filter_papers(ArxivReader(path, PREFIXES), 0.001, papers)
    return int(report["records"]["kept"])


# Name of each contender, and the package it needs.
CONTENDERS: dict[str, tuple[Callable[[Path, Path], int], str]] = {
    "the notebook's loop": (notebook, "pandas"),
    "pyarrow": (with_pyarrow, "pyarrow"),
    "polars": (with_polars, "polars"),
    "duckdb": (with_duckdb, "duckdb"),
    "finding the wanted records": (finding, "msgspec"),
    "the whole filter": (whole_filter, "msgspec"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a contender: seconds, seconds of processor time, bytes of memory at the peak, papers."""

    seconds: float
    processor_seconds: float
    memory: int
    kept: int


def measured(name: str, path: Path) -> Run:
    """Run a contender in this new process."""
    logging.disable()
    work, package = CONTENDERS[name]
    importlib.import_module(package)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        start, start_processor = time.perf_counter(), time.process_time()
        kept = work(path, Path(folder) / "papers.parquet")
        seconds = time.perf_counter() - start
        processor = time.process_time() - start_processor
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return Run(seconds, processor, int(peak.split()[1]) * 1024, kept)


def table(runs: dict[str, list[Run]], megabytes: float) -> str:
    """Return the medians as Markdown."""
    base = statistics.median(run.seconds for run in runs["the notebook's loop"])
    lines = [
        "| contender | seconds | MB/s | × | MB per second of a core | memory | papers |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in runs.items():
        seconds = statistics.median(run.seconds for run in own)
        processor = statistics.median(run.processor_seconds for run in own)
        memory = max(run.memory for run in own) / 1e6
        cells = f"{seconds:.1f} | {megabytes / seconds:.0f} | {base / seconds:.2f}"
        cells += f" | {megabytes / processor:.0f} | {memory:,.0f} MB | {own[0].kept:,}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main(path: Path, rounds: int) -> None:
    runs: dict[str, list[Run]] = {}
    spawn: Any = multiprocessing.get_context("spawn")
    # Read the file into the page cache.
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    for _ in range(rounds):
        for name, (_, package) in CONTENDERS.items():
            if importlib.util.find_spec(package) is None:
                continue
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
                runs.setdefault(name, []).append(pool.submit(measured, name, path).result())
    megabytes = path.stat().st_size / 1e6
    print(
        f"{megabytes:,.0f} MB, medians of {rounds} round(s), {len(os.sched_getaffinity(0))} cores\n"
    )
    print(table(runs, megabytes))
    missing = [name for name in CONTENDERS if name not in runs]
    if missing:
        print(f"\nNot installed, so not measured: {', '.join(missing)}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Time the filter against other ways to select papers."
    )
    parser.add_argument("snapshot", type=Path, help="plain JSON lines")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.snapshot, arguments.rounds)
