"""Put a model's vectors on a map in two dimensions: PHATE, or PCA where PHATE is not installed."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.maps import make_map, write_map


def main(arguments: argparse.Namespace) -> None:
    rows, places, about = make_map(open_matrix(arguments.embeddings), arguments.threads)
    write_map(arguments.map, rows, places)
    write_json(arguments.about, about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help=".npy file of the vectors")
    parser.add_argument("--threads", type=int, default=1, help="for the search of neighbours")
    parser.add_argument("--map", type=Path, required=True, help="Parquet file to write")
    parser.add_argument(
        "--about", type=Path, required=True, help="JSON file to write: how the map was made"
    )
    run(main, parser)
