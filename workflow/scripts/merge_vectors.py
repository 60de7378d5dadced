"""Verify all vectors of a sample and merge them into one matrix with the papers of its rows."""

import argparse
import json
from pathlib import Path

from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.commit import git_commit
from arxiv_embeddings.common.files import write_json, written_beside
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.config.derived import read_filter_report
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.history import record_changes
from arxiv_embeddings.embedding.merge import check_request, merge_vectors
from arxiv_embeddings.embedding.store import pieces_in


def main(arguments: argparse.Namespace) -> None:
    filtered = read_filter_report(arguments.filter_report)
    drawn = json.loads(arguments.drawn_report.read_text())
    lookup = json.loads(arguments.lookup.read_text())
    checkpoint = checkpoint_identity(arguments.model)
    check_request(
        arguments.request, filtered=filtered, drawn=drawn, lookup=lookup, checkpoint=checkpoint
    )
    with (
        written_beside(arguments.embeddings) as embeddings,
        written_beside(arguments.papers) as papers,
    ):
        content = merge_vectors(
            arguments.drawn,
            lookup["papers"],
            store_folder=arguments.store,
            checkpoint=checkpoint,
            encoder=EncoderSettings.from_dict(lookup["encoder"]),
            embeddings_path=embeddings,
            merged_papers_path=papers,
        )
        changes = record_changes(arguments.history, papers)
    sample = {
        "size": lookup["papers"],
        "seed": drawn["seed"],
        "order": drawn["order"],
        "drawn_from": drawn["papers"],
    }
    manifest = {
        "request": arguments.request,
        "snapshot": filtered["snapshot"],
        "records": filtered["records"],
        "drawn": drawn,
        "sample": sample,
        **content,
        "changes": changes,
        "commit": git_commit(Path(__file__).parent),
        "versions": versions("numpy", "pyarrow", "snakemake"),
    }
    write_json(arguments.manifest, manifest)
    if arguments.vector_store == "false":
        used = {piece["piece"] for piece in content["pieces"]}
        for piece in pieces_in(arguments.store):
            if piece.name in used:
                piece.remove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=Path, required=True, help="Parquet file of drawn papers")
    parser.add_argument("--drawn-report", type=Path, required=True, help="drawn.json")
    parser.add_argument("--filter-report", type=Path, required=True, help="filter.json")
    parser.add_argument("--lookup", type=Path, required=True, help="lookup.json")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument("--store", type=Path, required=True, help="folder of the vector store")
    parser.add_argument(
        "--vector-store",
        choices=["true", "false"],
        required=True,
        help="false: remove the vectors from the store once they are merged",
    )
    parser.add_argument(
        "--history", type=Path, required=True, help="folder with the papers of earlier results"
    )
    parser.add_argument(
        "--request", type=json.loads, required=True, help="what the config asks for (JSON)"
    )
    parser.add_argument("--embeddings", type=Path, required=True, help=".npy file to write")
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="JSON manifest to write")
    run(main, parser)
