"""Map the vectors of a model to two dimensions: by PHATE, or by PCA where PHATE is not installed."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.maps import make_map, write_map


def main(arguments: argparse.Namespace) -> None:
    rows, places, map_report = make_map(open_matrix(arguments.embeddings), arguments.threads)
    write_map(arguments.map, rows, places)
    write_json(arguments.map_report, map_report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="embeddings.npy of the model"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the neighbour search")
    parser.add_argument("--map", type=Path, required=True, help="Parquet file to write: the map")
    parser.add_argument(
        "--map-report", type=Path, required=True, help="JSON file to write: how the map was made"
    )
    run(main, parser)
