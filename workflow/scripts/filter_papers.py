"""Keep the papers of the wanted categories out of the arXiv metadata snapshot."""

import argparse
from pathlib import Path

from arxiv_embeddings.command import run
from arxiv_embeddings.files import write_json, written_beside
from arxiv_embeddings.filtering import filter_papers


def main(arguments: argparse.Namespace) -> None:
    with written_beside(arguments.papers) as partial:
        report = filter_papers(
            arguments.snapshot, arguments.categories, arguments.max_bad_records, partial
        )
    write_json(arguments.report, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshot", type=Path, required=True, help="JSON lines, plain or packed")
    parser.add_argument(
        "--categories", nargs="+", required=True, metavar="PREFIX", help="for example cs. physics."
    )
    parser.add_argument(
        "--max-bad-records", type=float, default=0.001, help="share of unreadable records allowed"
    )
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    run(main, parser)
