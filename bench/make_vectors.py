"""Write as many vectors as wide as a large model's, made of the real vectors of a smaller one, to time the evaluation.

    python bench/make_vectors.py EMBEDDINGS.npy PAPERS.parquet FOLDER --papers 30000 --dimensions 1024

Every paper is used once before one is used again. Its vector is mapped by one random matrix to the wanted dimensions, which
keeps distances, and gets noise of half its length in all of them: so the main directions are real, the others are small as
in the tail of a model's spectrum, and papers that are used again are no duplicates. FOLDER gets embeddings.npy and
papers.parquet. The vectors are for time and memory; their scores mean nothing.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from arxiv_embeddings.common.matrices import MatrixWriter, open_matrix
from arxiv_embeddings.evaluation.vectors import unit_vectors

NOISE = 0.5
SEED = 42
ROWS_AT_ONCE = 4_096


def main(options: argparse.Namespace) -> None:
    matrix, papers = open_matrix(options.embeddings), pq.read_table(options.labels)
    generator = np.random.default_rng(SEED)
    times = -(-options.papers // len(matrix))
    rows = np.concatenate([generator.permutation(len(matrix)) for _ in range(times)])
    rows = rows[: options.papers]
    projection = generator.standard_normal((matrix.shape[1], options.dimensions), np.float32)
    options.folder.mkdir(parents=True, exist_ok=True)
    embeddings = options.folder / "embeddings.npy"
    with MatrixWriter(embeddings, len(rows), options.dimensions) as writer:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            made = unit_vectors(unit_vectors(matrix, part) @ projection)
            noise = generator.standard_normal(made.shape, np.float32)
            writer.append(unit_vectors(made + NOISE * unit_vectors(noise)))
    pq.write_table(papers.take(rows), options.folder / "papers.parquet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("embeddings", type=Path, help="embeddings.npy of a model")
    parser.add_argument("labels", type=Path, help="its papers.parquet")
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--papers", type=int, default=30_000)
    parser.add_argument("--dimensions", type=int, default=1_024)
    main(parser.parse_args())
