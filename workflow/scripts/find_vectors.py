"""Look up which texts of the sample have no vector in the store yet; only these are embedded."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from arxiv_embeddings.checkpoint.judge import judge
from arxiv_embeddings.common.cli import number_or_all, run
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.adopt import adopt_shards
from arxiv_embeddings.embedding.lookup import find_vectors


def main(arguments: argparse.Namespace) -> None:
    adopt_shards(arguments.old_shards, arguments.drawn, arguments.model, arguments.store)
    found = find_vectors(
        arguments.drawn,
        arguments.size or pq.read_metadata(arguments.drawn).num_rows,
        model_folder=arguments.model,
        encoder=arguments.encoder,
        device=arguments.device,
        store_folder=arguments.store,
    )
    if len(found.missing):
        # The settings may have changed since the checkpoint was fetched.
        judge(arguments.model, arguments.encoder)
    with written_beside(arguments.missing) as partial, partial.open("wb") as file:
        np.save(file, found.missing, allow_pickle=False)
    write_json(arguments.lookup, found.record(arguments.shard_size))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=Path, required=True, help="Parquet file of drawn papers")
    parser.add_argument(
        "--size", type=number_or_all, required=True, help="papers in the sample, or all"
    )
    parser.add_argument("--shard-size", type=int, required=True, help="papers per shard")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument(
        "--encoder", type=EncoderSettings.from_json, required=True, help="encoder settings (JSON)"
    )
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], required=True, help="device that embeds the shards"
    )
    parser.add_argument("--store", type=Path, required=True, help="folder of the vector store")
    parser.add_argument(
        "--old-shards",
        type=Path,
        required=True,
        help="folder of shards of version 0.1.0; it need not exist",
    )
    parser.add_argument(
        "--missing", type=Path, required=True, help=".npy file to write, with the rows to embed"
    )
    parser.add_argument("--lookup", type=Path, required=True, help="JSON file to write")
    run(main, parser)
