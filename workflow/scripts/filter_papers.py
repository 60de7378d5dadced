"""Select the papers of the wanted categories from the arXiv metadata snapshot or another corpus."""

import argparse
import json
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.config.currency import snapshot_identity
from arxiv_embeddings.config.derived import Snapshot
from arxiv_embeddings.corpus.arxiv import ArxivReader
from arxiv_embeddings.corpus.filtering import Reader, filter_papers
from arxiv_embeddings.corpus.table import Columns, TableReader
from arxiv_embeddings.corpus.wos import WosReader


def main(arguments: argparse.Namespace) -> None:
    with written_beside(arguments.papers) as partial:
        report = filter_papers(reader(arguments), arguments.max_bad_records, partial)
    report["snapshot"] |= snapshot_identity(arguments.snapshot, arguments.format)
    write_json(
        arguments.report, report | {"format": arguments.format, "columns": arguments.columns}
    )


def paths(text: str) -> Snapshot:
    """Return the path or paths that ``--snapshot`` names."""
    try:
        names = json.loads(text)
    except ValueError:
        names = text
    return list(map(Path, names)) if isinstance(names, list) else Path(text)


def reader(arguments: argparse.Namespace) -> Reader:
    if arguments.format == "wos":
        return WosReader(arguments.snapshot, arguments.categories)
    if arguments.format == "table":
        return TableReader(arguments.snapshot, arguments.categories, Columns.of(arguments.columns))
    return ArxivReader(arguments.snapshot, arguments.categories)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--snapshot",
        type=paths,
        required=True,
        help="file or folder of the corpus, or several files of a table as a JSON list",
    )
    parser.add_argument(
        "--format",
        choices=["arxiv", "wos", "table"],
        default="arxiv",
        help="format of the corpus (default: arxiv)",
    )
    parser.add_argument(
        "--columns",
        type=json.loads,
        help="columns of a table: corpus.columns of the config, as JSON",
    )
    parser.add_argument(
        "--categories",
        nargs="*",
        default=[],
        metavar="PREFIX",
        help="prefixes of the wanted categories, for example cs. physics. (default: all categories)",
    )
    parser.add_argument(
        "--max-bad-records",
        type=float,
        default=0.001,
        help="share of unreadable records to allow (default: 0.001)",
    )
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    run(main, parser)
