"""Estimate the cost of embedding the sample: tokens, device-hours, disk, and a suitable size of shards."""

import argparse
import logging
from pathlib import Path

import pyarrow.parquet as pq
from arxiv_embeddings.checkpoint.declared import declared_dtype, resolve
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.cli import number_or_all, run
from arxiv_embeddings.config.derived import check_sample_size
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.corpus.papers import read_papers
from arxiv_embeddings.estimate import cost
from arxiv_embeddings.estimate.flop import forward_pass
from arxiv_embeddings.estimate.rates import Rate, measured_rates, published_rates

log = logging.getLogger(__name__)

PAPERS_COUNTED = 2_000


def main(arguments: argparse.Namespace) -> None:
    drawn = pq.read_metadata(arguments.drawn).num_rows
    check_sample_size(arguments.size, drawn)
    papers = arguments.size or drawn
    # Drawn papers are in random order, so the first ones are a random sample.
    count = min(papers, PAPERS_COUNTED)
    tables = read_papers(arguments.drawn, start=0, stop=count, size=count, columns=["topic"])
    texts = next(tables)["topic"].to_pylist()
    log.info("Counting the tokens of %d papers.", len(texts))
    models = zip(arguments.models, arguments.encoders, arguments.stores, strict=True)
    for folder, encoder, store in models:
        settings = resolve(encoder, folder)
        lengths = cost.text_lengths(folder, texts, settings)
        forward = forward_pass(folder)
        rates = measured_rates(store, checkpoint_identity(folder))
        if arguments.tokens_per_second:
            rates.append(Rate("yours", arguments.tokens_per_second, "given"))
        rates += published_rates(forward, lengths.kept, settings.dtype, declared_dtype(folder))
        table = cost.describe(
            folder.name,
            lengths=lengths,
            forward=forward,
            dimensions=settings.dimensions or forward.hidden_size,
            rates=rates,
            papers=papers,
            shard_size=arguments.shard_size,
        )
        print(f"\n{table}")
    print(f"\n{cost.EXPLANATION}\n", flush=True)


def tokens_per_second(text: str) -> float | None:
    if text == "measured":
        return None
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise ValueError(f"{text} is not a rate")
    return rate


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--drawn", type=Path, required=True, help="Parquet file of the drawn papers"
    )
    parser.add_argument(
        "--size", type=number_or_all, required=True, help="papers in the sample, or all"
    )
    parser.add_argument("--shard-size", type=int, required=True, help="papers per shard")
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="folders of the fetched models"
    )
    parser.add_argument(
        "--encoders",
        type=EncoderSettings.from_json,
        nargs="+",
        required=True,
        help="encoder settings of each model, as JSON",
    )
    parser.add_argument(
        "--stores", type=Path, nargs="+", required=True, help="folder of the vectors of each model"
    )
    parser.add_argument(
        "--tokens-per-second",
        type=tokens_per_second,
        help="rate of a device that you know, or 'measured' to use only what was measured here",
    )
    run(main, parser)
