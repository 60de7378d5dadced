"""Score a model's map: what it keeps of the space of the vectors, and of the categories."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.map_scores import map_scores
from arxiv_embeddings.evaluation.maps import read_map
from arxiv_embeddings.evaluation.scores import write_scores


def main(arguments: argparse.Namespace) -> None:
    matrix = open_matrix(arguments.embeddings)
    levels = read_labels(arguments.papers, len(matrix))
    rows, places, method = read_map(arguments.map, arguments.about, len(matrix))
    write_scores(arguments.scores, map_scores(matrix, levels, rows, places, method))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help=".npy file of the vectors")
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file of their papers")
    parser.add_argument("--map", type=Path, required=True, help="Parquet file of the map")
    parser.add_argument("--about", type=Path, required=True, help="JSON file: how the map was made")
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
