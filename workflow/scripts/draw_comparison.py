"""Draw the figures of all models together, each as SVG and PNG."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.evaluation.labels import LEVELS
from arxiv_embeddings.evaluation.reading import read_parquet
from arxiv_embeddings.report.figures.categories import draw_categories
from arxiv_embeddings.report.figures.scores import draw_scores
from arxiv_embeddings.report.figures.style import save
from arxiv_embeddings.report.inputs import count_categories


def main(arguments: argparse.Namespace) -> None:
    corpus, sample = (
        {level: count_categories(path, level) for level in LEVELS}
        for path in (arguments.corpus, arguments.sample)
    )
    save(draw_categories(corpus, sample, arguments.name), arguments.folder / "categories")
    save(draw_scores(read_parquet(arguments.scores).to_pylist()), arguments.folder / "scores")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the corpus, for the title")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="papers.parquet of the whole corpus"
    )
    parser.add_argument("--sample", type=Path, required=True, help="papers.parquet of a model")
    parser.add_argument("--scores", type=Path, required=True, help="scores.parquet of all models")
    parser.add_argument("--folder", type=Path, required=True, help="folder to write the figures to")
    run(main, parser)
