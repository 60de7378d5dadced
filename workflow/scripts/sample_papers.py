"""Put the papers in the drawing order of a seed; the first n of them are the sample of size n."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import scratch_beside, written_beside
from arxiv_embeddings.corpus.sampling import sample_papers


def main(arguments: argparse.Namespace) -> None:
    with (
        scratch_beside(arguments.drawn.with_suffix(".buckets")) as scratch,
        written_beside(arguments.drawn) as partial,
    ):
        sample_papers(arguments.papers, arguments.seed, arguments.size, partial, scratch)


def size(text: str) -> int | None:
    return None if text == "all" else int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file of kept papers")
    parser.add_argument("--seed", type=int, required=True, help="as pandas' random_state")
    parser.add_argument("--size", type=size, required=True, help="papers the sample needs, or all")
    parser.add_argument("--drawn", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
