"""Time the filter and the notebook's loop in turns on the same snapshot, and print the medians.

    python bench/filter.py SNAPSHOT

The notebook's loop parses every line with json.loads and puts the wanted records into a pandas DataFrame with
topic and categories. The filter does more: it hashes the file, checks every record, and writes Parquet.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from arxiv_embeddings.corpus.arxiv import ArxivReader, RecordFilter
from arxiv_embeddings.corpus.filtering import filter_papers
from arxiv_embeddings.corpus.streams import PackedFile

PREFIXES = ("cs.", "physics.")


def notebook(path: Path) -> None:
    """Select the wanted papers as the notebook did."""
    rows = []
    with path.open() as file:
        for line in file:
            paper = json.loads(line)
            if paper["categories"].startswith(PREFIXES):
                rows.append(
                    {name: paper[name] for name in ("id", "title", "abstract", "categories")}
                )
    frame = pd.DataFrame(rows)
    frame["topic"] = frame["title"] + " " + frame["abstract"]
    frame["category 1"] = frame["categories"].str.split(" ").str[0]
    frame["category 0"] = frame["category 1"].str.split(".").str[0]


def byte_test(path: Path) -> None:
    """Select the wanted records without writing Parquet."""
    record_filter = RecordFilter(PREFIXES)
    for lines in PackedFile(path, "snapshot").line_blocks():
        record_filter.select(lines)


def whole_filter(path: Path) -> None:
    """Run the complete filter."""
    with tempfile.TemporaryDirectory() as folder:
        filter_papers(ArxivReader(path, PREFIXES), 0.001, Path(folder) / "papers.parquet")


def main(path: Path, rounds: int) -> None:
    contenders: list[Callable[[Path], None]] = [notebook, byte_test, whole_filter]
    seconds: dict[str, list[float]] = {contender.__name__: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            start = time.perf_counter()
            contender(path)
            seconds[contender.__name__].append(time.perf_counter() - start)
    megabytes = path.stat().st_size / 1e6
    base = statistics.median(seconds["notebook"])
    print(f"{megabytes:.0f} MB, medians of {rounds} rounds, cores: {len(os.sched_getaffinity(0))}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:<14} {megabytes / median:6.0f} MB/s   {base / median:5.2f} x the notebook's loop"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the filter against the notebook's loop.")
    parser.add_argument("snapshot", type=Path, help="plain JSON lines")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    logging.disable()
    main(arguments.snapshot, arguments.rounds)
