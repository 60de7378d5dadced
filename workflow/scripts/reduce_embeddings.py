"""Give the vectors of the papers that take part in the evaluation fewer dimensions.

A method that cannot do it leaves an empty matrix and a report that says why, so that the rest of the grid goes on.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.common.matrices import MatrixWriter, open_matrix
from arxiv_embeddings.evaluation.accelerated import accelerate
from arxiv_embeddings.evaluation.selection import read_selection
from arxiv_embeddings.evaluation.vectors import unit_vectors

log = logging.getLogger(__name__)

# Methods whose library cuML can replace.
ACCELERATED = ("pca", "umap")


def main(arguments: argparse.Namespace) -> None:
    cuml = accelerate() if arguments.method in ACCELERATED else ""
    # Not above, because it imports scikit-learn.
    from arxiv_embeddings.evaluation.reductions import reduce

    matrix = open_matrix(arguments.embeddings)
    papers = read_selection(arguments.selection, len(matrix))
    vectors = unit_vectors(matrix, slice(0, papers))
    try:
        made, report = reduce(
            vectors,
            arguments.method,
            arguments.dimensions,
            seed=arguments.seed,
            settings=arguments.settings,
            threads=arguments.threads,
        )
    except InputError as error:
        log.warning("Omitted: %s", error)
        made = np.empty((0, 2), np.float32)
        report = {"method": arguments.method, "papers": papers, "omitted": str(error)}
    if cuml:
        report["accelerated_by"] = f"cuML {cuml}, not checked so far"
    with (
        written_beside(arguments.reduction) as partial,
        MatrixWriter(partial, *made.shape) as writer,
    ):
        writer.append(made)
    write_json(arguments.report, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--selection", type=Path, required=True, help="selection.json of the model")
    parser.add_argument(
        "--method", required=True, help="none, pca, phate, umap, tsne, pacmap or trimap"
    )
    parser.add_argument("--dimensions", type=int, required=True, help="0 for the method none")
    parser.add_argument("--seed", type=int, required=True, help="for methods that draw at random")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters as JSON")
    parser.add_argument("--threads", type=int, default=1, help="for methods that can use several")
    parser.add_argument("--reduction", type=Path, required=True, help=".npy file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file to write")
    run(main, parser)
