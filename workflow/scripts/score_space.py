"""Score the space of a model's vectors: neighbours, a linear probe, silhouettes, cosines, text lengths, and MTEB's protocol."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.geometry import read_lengths, read_listed, space_scores
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.mteb import mteb_scores
from arxiv_embeddings.evaluation.neighbours import read_neighbours
from arxiv_embeddings.evaluation.scores import write_scores
from arxiv_embeddings.evaluation.selection import read_selection


def main(arguments: argparse.Namespace) -> None:
    embeddings = open_matrix(arguments.embeddings)
    papers = read_selection(arguments.selection, len(embeddings))
    matrix, levels = embeddings[:papers], read_labels(arguments.papers, papers)
    scores = space_scores(
        matrix,
        levels,
        read_lengths(arguments.papers)[:papers],
        read_neighbours(arguments.neighbours, papers),
        read_listed(arguments.papers),
    )
    write_scores(arguments.scores, [*scores, *mteb_scores(matrix, levels)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--selection", type=Path, required=True, help="selection.json of the model")
    parser.add_argument(
        "--neighbours", type=Path, required=True, help=".npy file of the nearest papers"
    )
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
