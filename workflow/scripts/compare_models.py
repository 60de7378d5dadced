"""Put the scores of all models into one table, and test which differences between models are real."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.evaluation.comparison import all_scores, differences, write_table
from arxiv_embeddings.evaluation.scores import read_scores


def main(arguments: argparse.Namespace) -> None:
    models = {
        label: [score for file in files for score in read_scores(Path(file))]
        for label, *files in arguments.model
    }
    for table, paths in (
        (all_scores(models), arguments.scores),
        (differences(models), arguments.differences),
    ):
        for path in paths:
            write_table(path, table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        nargs="+",
        action="append",
        required=True,
        metavar=("LABEL", "FILE"),
        help="label of a model and its Parquet files of scores; repeat for each model",
    )
    for table in ("scores", "differences"):
        parser.add_argument(
            f"--{table}",
            type=Path,
            nargs="+",
            required=True,
            metavar="FILE",
            help="files to write; the suffix sets the format: .parquet, .csv or .json",
        )
    run(main, parser)
