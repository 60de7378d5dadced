"""Cluster a reduction of the vectors, and score the clusters against the categories at every level: a cell of the grid.

A method that cannot do it leaves empty files and a report that says why, so that the rest of the grid goes on.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.cells import OWN, cell_scores, omitted_scores
from arxiv_embeddings.evaluation.clusterings import Clustering, cluster
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.evaluation.scores import write_scores

log = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    reduction = read_json(arguments.reduction_report)
    levels = read_labels(arguments.papers, reduction["papers"])
    method = {
        "method": arguments.method,
        "seed": arguments.seed,
        "settings": arguments.settings,
        "threads": arguments.threads,
    }
    try:
        if "omitted" in reduction:
            raise InputError(reduction["omitted"])
        vectors = np.array(open_matrix(arguments.reduction))
        found = cluster(vectors, numbers=[len(labels.names) for labels in levels], **method)
    except InputError as error:
        log.warning("Omitted: %s", error)
        empty = [np.empty(0, np.int32) for _ in levels]
        report = {"method": arguments.method, "papers": reduction["papers"], "omitted": str(error)}
        found = Clustering(empty, None, None, report)
        scores = omitted_scores(levels, reduction["papers"], arguments.method, str(error))
    else:
        log.info("Clustered. Scoring.")
        scores = cell_scores(vectors, levels, found, **method)
    columns = dict(zip((labels.level for labels in levels), found.labels, strict=True))
    if found.flat is not None:
        columns[OWN] = found.flat
    with written_beside(arguments.clusters) as partial:
        pq.write_table(pa.table(columns), partial)
    with written_beside(arguments.tree) as partial, partial.open("wb") as file:
        np.save(file, np.empty((0, 4)) if found.tree is None else found.tree, allow_pickle=False)
    write_json(arguments.report, found.report)
    write_scores(arguments.scores, scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reduction", type=Path, required=True, help=".npy file of the reduction")
    parser.add_argument("--reduction-report", type=Path, required=True, help="its JSON report")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument(
        "--method", required=True, help="kmeans, ward, average, hdbscan or diffusion_condensation"
    )
    parser.add_argument("--seed", type=int, required=True, help="for methods that draw at random")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters as JSON")
    parser.add_argument("--threads", type=int, default=1, help="for methods that can use several")
    parser.add_argument(
        "--clusters",
        type=Path,
        required=True,
        help="Parquet file to write: a column for each level",
    )
    parser.add_argument(
        "--tree", type=Path, required=True, help=".npy file to write: scipy's linkage, or no rows"
    )
    parser.add_argument("--report", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
