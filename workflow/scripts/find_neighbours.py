"""Find the nearest other papers of every paper that takes part in the evaluation, once for all scores that need them."""

import argparse
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.neighbours import nearest_papers


def main(arguments: argparse.Namespace) -> None:
    vectors = open_matrix(arguments.vectors)
    if not len(vectors):
        report = arguments.vectors.with_suffix(".json")
        raise InputError(f"{arguments.vectors} has no rows; {report} says why.")
    nearest = nearest_papers(vectors)
    with written_beside(arguments.neighbours) as partial, partial.open("wb") as file:
        np.save(file, nearest, allow_pickle=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--vectors", type=Path, required=True, help=".npy file of the vectors of length 1"
    )
    parser.add_argument(
        "--neighbours", type=Path, required=True, help=".npy file to write: row numbers by paper"
    )
    run(main, parser)
