"""Check all shards of a model and merge them into one matrix with the papers of its rows."""

import argparse
import json
from pathlib import Path

from arxiv_embeddings.checkpoint.fetch import checkpoint_identity
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.commit import git_commit
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.config.derived import read_filter_report
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.merge import merge_shards, shards_of


def main(arguments: argparse.Namespace) -> None:
    filtered = read_filter_report(arguments.filter_report)
    with (
        written_beside(arguments.embeddings) as embeddings,
        written_beside(arguments.papers) as papers,
    ):
        content = merge_shards(
            arguments.drawn,
            shards_of(arguments.shards, arguments.size, arguments.shard_size),
            arguments.encoder,
            checkpoint_identity(arguments.model),
            embeddings,
            papers,
        )
    sample = {
        "size": arguments.size,
        "seed": arguments.seed,
        "drawn_from": filtered["records"]["kept"],
    }
    manifest = {
        "config": arguments.config,
        "snapshot": filtered["snapshot"],
        "records": filtered["records"],
        "sample": sample,
        **content,
        "commit": git_commit(Path(__file__).parent),
        "versions": versions("numpy", "pyarrow", "snakemake"),
    }
    write_json(arguments.manifest, manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=Path, required=True, help="Parquet file of drawn papers")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--size", type=int, required=True, help="papers in the sample")
    parser.add_argument("--shard-size", type=int, required=True, help="papers in a shard")
    parser.add_argument(
        "--seed", type=int, required=True, help="of the drawing order, for the record"
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument(
        "--encoder", type=EncoderSettings.from_json, required=True, help="encoder settings (JSON)"
    )
    parser.add_argument("--filter-report", type=Path, required=True, help="filter.json")
    parser.add_argument(
        "--config", type=json.loads, required=True, help="config for the record (JSON)"
    )
    parser.add_argument("--embeddings", type=Path, required=True, help=".npy file to write")
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="JSON manifest to write")
    run(main, parser)
