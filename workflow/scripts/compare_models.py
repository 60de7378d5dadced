"""Put the scores of all models, maps and cells into one table, and test which differences are real."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.evaluation.cells import OWN
from arxiv_embeddings.evaluation.comparison import (
    Placed,
    cell_differences,
    grid_table,
    model_differences,
    write_table,
)
from arxiv_embeddings.evaluation.scores import read_scores


def placed_scores(arguments: argparse.Namespace) -> Iterator[Placed]:
    """Yield every score with its place; clusters that a clustering chose itself are a clustering of their own."""
    for model, file in arguments.space:
        yield from (Placed(model, "", "", score) for score in read_scores(Path(file)))
    for model, name, file in arguments.map:
        yield from (Placed(model, name, "", score) for score in read_scores(Path(file)))
    for model, reduction, clustering, file in arguments.cell:
        for score in read_scores(Path(file)):
            name = f"{clustering}-{OWN}" if score.method == OWN else clustering
            yield Placed(model, reduction, name, score)


def main(arguments: argparse.Namespace) -> None:
    scores = list(placed_scores(arguments))
    finest = max((placed.score.level for placed in scores), key=lambda level: (len(level), level))
    for table, paths in (
        (grid_table(scores), arguments.grid),
        (model_differences(scores), arguments.differences),
        (cell_differences(scores, arguments.best_by, finest), arguments.cell_differences),
    ):
        for path in paths:
            write_table(path, table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, names in (
        ("space", ("MODEL", "FILE")),
        ("map", ("MODEL", "MAP", "FILE")),
        ("cell", ("MODEL", "REDUCTION", "CLUSTERING", "FILE")),
    ):
        parser.add_argument(
            f"--{kind}",
            nargs=len(names),
            action="append",
            default=[],
            metavar=names,
            help="a Parquet file of scores and what it is about; repeat for each",
        )
    parser.add_argument("--best-by", required=True, help="the score that ranks cells, such as ari")
    for table in ("grid", "differences", "cell-differences"):
        parser.add_argument(
            f"--{table}",
            type=Path,
            nargs="+",
            required=True,
            metavar="FILE",
            help="files to write; the suffix sets the format: .parquet, .csv or .json",
        )
    run(main, parser)
