"""Cluster the vectors of a model and score how well the clusters agree with the categories."""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.clustering import all_clusterings
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.scores import write_scores


def main(arguments: argparse.Namespace) -> None:
    matrix = open_matrix(arguments.embeddings)
    clusters, scores = all_clusterings(matrix, read_labels(arguments.papers, len(matrix)))
    with written_beside(arguments.clusters) as partial:
        pq.write_table(clusters, partial)
    write_scores(arguments.scores, scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--clusters", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
