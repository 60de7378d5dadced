"""Keep the papers of the wanted categories out of the arXiv metadata snapshot, or of another corpus."""

import argparse
import json
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.corpus.arxiv import ArxivReader
from arxiv_embeddings.corpus.filtering import Reader, filter_papers
from arxiv_embeddings.corpus.table import Columns, TableReader
from arxiv_embeddings.corpus.wos import WosReader


def main(arguments: argparse.Namespace) -> None:
    with written_beside(arguments.papers) as partial:
        report = filter_papers(reader(arguments), arguments.max_bad_records, partial)
    write_json(arguments.report, report)


def reader(arguments: argparse.Namespace) -> Reader:
    if arguments.format == "wos":
        return WosReader(arguments.snapshot, arguments.categories)
    if arguments.format == "table":
        return TableReader(arguments.snapshot, arguments.categories, Columns.of(arguments.columns))
    return ArxivReader(arguments.snapshot, arguments.categories)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshot", type=Path, required=True, help="file or folder of the corpus")
    parser.add_argument("--format", choices=["arxiv", "wos", "table"], default="arxiv")
    parser.add_argument(
        "--columns", type=json.loads, help="of a table: corpus.columns of the config (JSON)"
    )
    parser.add_argument(
        "--categories",
        nargs="*",
        default=[],
        metavar="PREFIX",
        help="for example cs. physics.; all categories without it",
    )
    parser.add_argument(
        "--max-bad-records", type=float, default=0.001, help="share of unreadable records allowed"
    )
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    run(main, parser)
