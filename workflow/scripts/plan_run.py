"""Estimate what embedding the sample will cost: tokens, device-hours, disk, size of the shards."""

import argparse
import logging
from pathlib import Path

import pyarrow.parquet as pq
from arxiv_embeddings.checkpoint import fetch
from arxiv_embeddings.checkpoint.declared import declared_dtype, resolve
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.config.derived import check_sample_size
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.corpus.papers import read_papers
from arxiv_embeddings.estimate import cost
from arxiv_embeddings.estimate.flop import count_work
from arxiv_embeddings.estimate.rates import Rate, measured_rates, published_rates

log = logging.getLogger(__name__)

PAPERS_COUNTED = 2_000


def main(arguments: argparse.Namespace) -> None:
    drawn = pq.read_metadata(arguments.papers).num_rows
    check_sample_size(arguments.size, drawn)
    papers = arguments.size or drawn
    # Drawn papers are in random order, so the first ones are a random sample of them.
    count = min(papers, PAPERS_COUNTED)
    tables = read_papers(arguments.papers, start=0, stop=count, size=count, columns=["topic"])
    texts = next(tables)["topic"].to_pylist()
    log.info("Counting the tokens of %d papers.", len(texts))
    chosen = zip(arguments.models, arguments.encoders, arguments.shards, strict=True)
    for folder, asked, shards in chosen:
        settings = resolve(asked, folder)
        lengths = cost.count_tokens(folder, texts, settings)
        work = count_work(folder)
        rates = measured_rates(shards, fetch.checkpoint_identity(folder))
        if arguments.tokens_per_second:
            rates.append(Rate("yours", arguments.tokens_per_second, "given"))
        rates += published_rates(work, lengths.kept, settings.dtype, declared_dtype(folder))
        dimensions = settings.dimensions or work.hidden_size
        table = cost.describe(
            folder.name, lengths, work, dimensions, rates, papers, arguments.shard_size
        )
        print(f"\n{table}")
    print(f"\n{cost.EXPLANATION}\n", flush=True)


def size(text: str) -> int | None:
    return None if text == "all" else int(text)


def tokens_per_second(text: str) -> float | None:
    if text == "measured":
        return None
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise ValueError(f"{text} is no rate")
    return rate


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file of drawn papers")
    parser.add_argument("--size", type=size, required=True, help="papers of the sample, or all")
    parser.add_argument("--shard-size", type=int, required=True, help="papers of a shard")
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="folders of fetched models"
    )
    parser.add_argument(
        "--encoders",
        type=EncoderSettings.from_json,
        nargs="+",
        required=True,
        help="their encoder settings (JSON)",
    )
    parser.add_argument(
        "--shards", type=Path, nargs="+", required=True, help="folders of their shards"
    )
    parser.add_argument(
        "--tokens-per-second",
        type=tokens_per_second,
        help="the rate of a device you know, or measured: only what finished shards tell",
    )
    run(main, parser)
