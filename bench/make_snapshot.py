"""Write a snapshot of the size of arXiv's for the benchmark of the filter: JSON lines, ASCII, 31 % of them kept.

    python bench/make_snapshot.py SNAPSHOT --records 2950000 [--source REAL]

The records are drawn at random from SOURCE, a plain or packed snapshot, and each gets a new id. Without a source the
records are synthetic. The same arguments give the same bytes.
"""

import argparse
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests")]

from arxiv_embeddings.corpus.streams import PackedFile
from support.data.make_snapshot import record

PREFIXES = ("cs.", "physics.")
KEPT = 0.31
# Number of different synthetic records.
SYNTHETIC = 20_000


def contents(source: Path | None) -> list[dict[str, Any]]:
    """Return the records to repeat."""
    if source is None:
        rng = random.Random(0)  # noqa: S311
        return [record(rng, number) for number in range(SYNTHETIC)]
    blocks = PackedFile(source, "snapshot").line_blocks()
    return [json.loads(line) for block in blocks for line in block.splitlines()]


def make_snapshot(path: Path, records: int, source: Path | None) -> None:
    """Write ``records`` records to ``path``."""
    kept: list[str] = []
    others: list[str] = []
    for content in contents(source):
        fields = {name: value for name, value in content.items() if name != "id"}
        # The id comes first, as in arXiv's file, and is written below.
        rest = json.dumps(fields, separators=(",", ":")).removeprefix("{") + "\n"
        (kept if content["categories"].startswith(PREFIXES) else others).append(rest)
    mean = sum(map(len, kept + others)) / len(kept + others)
    free = shutil.disk_usage(path.parent).free
    if free < 1.2 * records * mean:
        sys.exit(
            f"{path.parent} has {free / 1e9:.1f} GB free, but {records:,} records need about "
            f"{records * mean / 1e9:.1f} GB. Choose another folder, or fewer --records."
        )
    rng = random.Random(1)  # noqa: S311
    with path.open("w", encoding="ascii") as file:
        for number in range(records):
            pool = kept if rng.random() < KEPT else others
            name = f"{number // 100_000:04d}.{number % 100_000:05d}"
            file.write(f'{{"id":"{name}",{pool[int(rng.random() * len(pool))]}')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a large snapshot.")
    parser.add_argument("snapshot", type=Path, help="file to write")
    parser.add_argument("--records", type=int, default=2_950_000)
    parser.add_argument("--source", type=Path, help="snapshot whose records are repeated")
    arguments = parser.parse_args()
    make_snapshot(arguments.snapshot, arguments.records, arguments.source)
