"""Time putting papers in drawing order, and one read and one write of the same papers.

    python bench/sampling.py results/arxiv/papers.parquet [--rounds 3]

Three contenders take turns, each in a process of its own: sampling; reading and writing the papers once as Parquet, row
group by row group, with the options of sampling; and copying the bytes of the file. Each syncs what it wrote to the disk;
the file that is read is in the page cache.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from job import watched

SAMPLE = """
from pathlib import Path
from arxiv_embeddings.common.files import scratch_beside, written_beside
from arxiv_embeddings.corpus.sampling import sample_papers
with scratch_beside(Path(out + ".buckets")) as scratch, written_beside(Path(out)) as partial:
    sample_papers(Path(papers), partial, seed=42, order="pandas", size=None, scratch=scratch)
"""
REWRITE = """
from pathlib import Path
import pyarrow.parquet as pq
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.corpus.sampling import ROWS_PER_GROUP, ROWS_READ, parquet_options
with written_beside(Path(out)) as partial, pq.ParquetFile(papers, pre_buffer=False) as file:
    with pq.ParquetWriter(partial, file.schema_arrow, **parquet_options(file.schema_arrow)) as writer:
        for batch in file.iter_batches(ROWS_READ):
            writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)
"""
COPY = """
import shutil
from pathlib import Path
from arxiv_embeddings.common.files import written_beside
with written_beside(Path(out)) as partial:
    shutil.copyfile(papers, partial)
"""
CONTENDERS = {"sampling": SAMPLE, "one read and one write": REWRITE, "copying the file": COPY}


def main(papers: Path, rounds: int) -> None:
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, program in CONTENDERS.items():
            with tempfile.TemporaryDirectory(dir=papers.parent) as folder:
                runs[name].append(measured(program, papers, Path(folder)))
    print(
        f"{papers.stat().st_size / 1e6:,.0f} MB, {rounds} round(s), {len(os.sched_getaffinity(0))} cores\n"
    )
    print("| | seconds | processor seconds | memory |\n|---|---|---|---|")
    for name, own in runs.items():
        seconds, processor, memory = map(statistics.median, zip(*own, strict=True))
        print(f"| {name} | {seconds:.1f} | {processor:.1f} | {memory:,.0f} MB |")


def measured(program: str, papers: Path, folder: Path) -> tuple[float, float, float]:
    """Run a program with the variables ``papers`` and ``out``; return seconds, processor seconds and MB of memory."""
    head = f"papers, out = {str(papers)!r}, {str(folder / 'drawn.parquet')!r}\n"
    command = [sys.executable, "-c", head + program]
    before = os.times()
    start = time.perf_counter()
    subprocess.run(
        watched(command, folder / "memory"),
        check=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )
    seconds = time.perf_counter() - start
    after = os.times()
    processor = after.children_user - before.children_user
    processor += after.children_system - before.children_system
    return seconds, processor, int((folder / "memory").read_text()) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time putting papers in drawing order.")
    parser.add_argument("papers", type=Path, help="papers.parquet of the filter")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.papers, arguments.rounds)
