"""Select the papers that take part in a model's evaluation, and record a checksum of their vectors and categories."""

import argparse
import logging
from pathlib import Path

from arxiv_embeddings.common.cli import number_or_all, run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.selection import select_papers

log = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    matrix = open_matrix(arguments.embeddings)
    selection = select_papers(matrix, arguments.papers, arguments.most)
    write_json(arguments.selection, selection)
    log.info("%s of %s papers take part.", f"{selection['papers']:,}", f"{len(matrix):,}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument(
        "--most",
        type=number_or_all,
        required=True,
        help="how many papers take part at most, or all",
    )
    parser.add_argument("--selection", type=Path, required=True, help="JSON file to write")
    run(main, parser)
