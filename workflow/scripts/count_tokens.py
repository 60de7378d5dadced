"""Count the tokens of every embedded paper, before truncation."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.checkpoint.tokenizer import count_tokens, load_tokenizer
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.progress import Progress
from arxiv_embeddings.corpus.papers import read_papers
from arxiv_embeddings.evaluation.reading import read_json

log = logging.getLogger(__name__)

PAPERS_AT_ONCE = 4_096


def main(arguments: argparse.Namespace) -> None:
    manifest = read_json(arguments.manifest)
    encoder, papers = manifest["encoder"], manifest["embeddings"]["shape"][0]
    tokenizer = load_tokenizer(arguments.model)
    counts = []
    with Progress(papers, "papers") as progress:
        for table in read_papers(
            arguments.papers, start=0, stop=papers, size=PAPERS_AT_ONCE, columns=["topic"]
        ):
            counts.append(count_tokens(tokenizer, table["topic"].to_pylist(), encoder["prompt"]))
            progress.advance(len(table))
    tokens = np.concatenate(counts)
    embedded = int(np.minimum(tokens, encoder["max_length"]).sum())
    if embedded != manifest["tokens"]:
        raise InputError(
            f"{arguments.manifest} records {manifest['tokens']:,} embedded tokens, but the tokenizer in "
            f"{arguments.model} counts {embedded:,} in {arguments.papers}: these files belong to different runs. "
            f"Delete {arguments.model} and run again to fetch the model and recompute the embeddings."
        )
    log.info("%s papers have %.1f tokens on average.", f"{papers:,}", tokens.mean())
    with written_beside(arguments.tokens) as partial:
        rows = pa.array(np.arange(papers, dtype=np.int64))
        pq.write_table(pa.table({"row": rows, "tokens": pa.array(tokens)}), partial)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of the model")
    parser.add_argument("--tokens", type=Path, required=True, help="Parquet file to write")
    run(main, parser)
