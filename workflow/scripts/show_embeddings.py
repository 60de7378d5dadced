"""Print the files of a model's embeddings, their shapes and their first rows."""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ROWS = 5


def main(folder: Path) -> None:
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r", allow_pickle=False)
    papers = pq.ParquetFile(folder / "papers.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    print(f"{folder}/embeddings.npy   {embeddings.dtype} {embeddings.shape}")
    print(
        f"{folder}/papers.parquet   {papers.metadata.num_rows} rows: {', '.join(papers.schema_arrow.names)}"
    )
    print(f"{folder}/manifest.json    how they were made: {', '.join(manifest)}")
    for row, paper in enumerate(next(papers.iter_batches(batch_size=ROWS)).to_pylist()):
        vector = " ".join(f"{value:+.3f}" for value in embeddings[row, :4])
        title = " ".join(paper["topic"].split())[:60]
        print(f"{paper['id']:>18}  {paper['category 1']:<18} [{vector} …]  {title}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="results folder of a model")
    main(parser.parse_args().folder)
