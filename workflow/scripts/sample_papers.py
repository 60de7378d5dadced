"""Write all papers in the drawing order of a seed. The first n of them are the sample of size n."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import number_or_all, run
from arxiv_embeddings.common.files import scratch_beside, write_json, written_beside
from arxiv_embeddings.config.currency import corpus_of
from arxiv_embeddings.config.derived import read_filter_report
from arxiv_embeddings.corpus.sampling import sample_papers


def main(arguments: argparse.Namespace) -> None:
    with (
        scratch_beside(arguments.drawn.with_suffix(".buckets")) as scratch,
        written_beside(arguments.drawn) as partial,
    ):
        papers = sample_papers(
            arguments.papers,
            partial,
            seed=arguments.seed,
            order=arguments.order,
            size=arguments.size,
            scratch=scratch,
        )
    filtered = read_filter_report(arguments.filter_report)
    write_json(
        arguments.report,
        {
            "papers": papers,
            "seed": arguments.seed,
            "order": arguments.order,
            "snapshot": filtered["snapshot"],
            **corpus_of(filtered),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--papers", type=Path, required=True, help="Parquet file of the filtered papers"
    )
    parser.add_argument(
        "--seed",
        type=int,
        required=True,
        help="seed of the drawing order, as random_state in pandas",
    )
    parser.add_argument(
        "--filter-report", type=Path, required=True, help="JSON report of the filter"
    )
    parser.add_argument(
        "--order",
        choices=["pandas", "hash"],
        required=True,
        help="pandas: as DataFrame.sample; hash: by a hash of seed and id",
    )
    parser.add_argument(
        "--size",
        type=number_or_all,
        required=True,
        help="number of papers the sample must have, or all",
    )
    parser.add_argument("--drawn", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    run(main, parser)
