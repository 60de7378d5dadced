"""Score how faithful a map of a model's vectors is, and count the pairs of its Shepard diagram."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.map_scores import MapScores, map_scores, omitted_map_scores
from arxiv_embeddings.evaluation.neighbours import read_neighbours
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.evaluation.scores import write_scores

log = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    vectors, report = np.array(open_matrix(arguments.vectors)), read_json(arguments.map_report)
    levels = read_labels(arguments.papers, len(vectors))
    if reason := report.get("omitted"):
        log.warning("Omitted: %s", reason)
        found = MapScores(
            omitted_map_scores(levels, len(vectors), reason), np.empty((0, 0), np.int64)
        )
    else:
        nearest = read_neighbours(arguments.neighbours, len(vectors))
        found = map_scores(vectors, levels, open_matrix(arguments.map), nearest)
    write_scores(arguments.scores, found.scores)
    rows, columns = np.indices(found.pairs.shape)
    table = {"vectors": rows.ravel(), "map": columns.ravel(), "pairs": found.pairs.ravel()}
    with written_beside(arguments.shepard) as partial:
        pq.write_table(pa.table(table), partial)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--vectors", type=Path, required=True, help=".npy file of the vectors of length 1"
    )
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument(
        "--neighbours", type=Path, required=True, help=".npy file of their nearest papers"
    )
    parser.add_argument("--map", type=Path, required=True, help=".npy file of the map")
    parser.add_argument("--map-report", type=Path, required=True, help="its JSON report")
    parser.add_argument("--scores", type=Path, required=True, help="Parquet file to write")
    parser.add_argument(
        "--shepard",
        type=Path,
        required=True,
        help="Parquet file to write: pairs by bin of both distances",
    )
    run(main, parser)
