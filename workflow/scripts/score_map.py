"""Score the map of a model: how well it keeps the structure of the vectors and separates the categories."""

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
    rows, places, method = read_map(arguments.map, arguments.map_report, len(matrix))
    scores = map_scores(matrix, levels, rows=rows, places=places, method=method)
    write_scores(arguments.scores, scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--map", type=Path, required=True, help="map.parquet of the model")
    parser.add_argument("--map-report", type=Path, required=True, help="map.json of the model")
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
