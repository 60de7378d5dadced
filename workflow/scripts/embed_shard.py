"""Embed one shard: compute the vectors that the store lacks. This script needs only torch and transformers."""

import argparse
import faulthandler
import logging
import os
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Until the watchdog starts: importing torch hangs on a node whose file system hangs.
    faulthandler.dump_traceback_later(30 * 60, exit=True)

import numpy as np
import torch
from arxiv_embeddings.checkpoint.declared import resolve
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.common.watchdog import Watchdog
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.compiled import keep_in, worth_compiling
from arxiv_embeddings.embedding.devices import choose_devices, describe
from arxiv_embeddings.embedding.encoder import Encoder, with_dtype
from arxiv_embeddings.embedding.self_check import SelfCheck
from arxiv_embeddings.embedding.shard import embed_shard, rows_to_embed
from arxiv_embeddings.embedding.store import groups, pieces_in

log = logging.getLogger(__name__)

# A killed job loses the chunks in progress: at most two on a CPU and three on each GPU. A batch never crosses a chunk. GPU
# batches are large: with chunks of 256 papers a third of each batch would be padding.
PAPERS_PER_CHUNK = {"cpu": 256, "cuda": 4_096}


def main(arguments: argparse.Namespace) -> None:
    with Watchdog(arguments.no_progress_minutes) as watchdog:
        embed(arguments, watchdog)


def embed(arguments: argparse.Namespace, watchdog: Watchdog) -> None:
    torch.set_num_threads(arguments.threads)
    # Without this, the tokenizer uses all cores.
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    checkpoint = checkpoint_identity(arguments.model)
    settings = resolve(arguments.encoder, arguments.model)
    rows = np.arange(arguments.start, arguments.stop)
    if arguments.rows is not None:
        rows = np.load(arguments.rows, allow_pickle=False)[arguments.start : arguments.stop]
    left = missing_rows(arguments, rows, checkpoint, settings)
    watchdog.progress()
    # The device and the model's weights are needed only if vectors are missing.
    if len(left):
        device, *more = choose_devices(arguments.device, arguments.gpus)
        resolved = with_dtype(settings, arguments.model, device)
        # With dtype auto, vectors of any dtype counted so far.
        if resolved != settings:
            settings = resolved
            left = missing_rows(arguments, rows, checkpoint, settings)
            watchdog.progress()
    if len(left):
        about = {**describe(device), "count": 1 + len(more)}
        packages = versions("torch", "transformers", "tokenizers", "numpy", "pyarrow")

        def load_encoders() -> list[Encoder]:
            encoder = Encoder(arguments.model, settings, device, arguments.tokens_per_batch)
            encoders = [encoder, *(encoder.copy_on(other) for other in more)]
            if arguments.compiled and worth_compiling(len(left), len(encoders)):
                keep_in(arguments.compiled)
                for each in encoders:
                    each.compile_layers()
            for line in encoding_lines(about, packages, settings, encoder.attention):
                log.info("%s", line)
            return encoders

        embed_shard(
            arguments.papers,
            left,
            shard=arguments.shard,
            papers_per_chunk=PAPERS_PER_CHUNK[device.type],
            tokenizer=Tokenizer(arguments.model, settings),
            load_encoders=load_encoders,
            on_progress=watchdog.progress,
            store_folder=arguments.store,
            made_by={"checkpoint": checkpoint, "device": about, "versions": packages},
            self_check=SelfCheck(arguments.model, settings) if device.type == "cuda" else None,
        )
    counts = {"papers": len(rows), "found": len(rows) - len(left), "embedded": len(left)}
    log.info("Of %(papers)d papers %(found)d were in the vector store.", counts)
    write_json(arguments.done, {"shard": arguments.shard, **counts})


def missing_rows(
    arguments: argparse.Namespace,
    rows: np.ndarray,
    checkpoint: dict[str, Any],
    settings: EncoderSettings,
) -> np.ndarray:
    """Return those of ``rows`` whose texts have no vector in the store with ``settings``."""
    candidates = groups(pieces_in(arguments.store), checkpoint, settings)
    found = [rows_to_embed(arguments.papers, rows, group) for group in candidates]
    return min(found, key=len, default=rows)


def encoding_lines(
    about: dict[str, Any], packages: dict[str, str], settings: EncoderSettings, attention: str
) -> list[str]:
    """Return what encodes how, for the log."""
    if about["type"] == "cuda":
        device = f"{about['count']} x {about['name']}"
    else:
        device = f"{about['name']}, {about['threads']} threads"
    software = ", ".join(f"{name} {version}" for name, version in packages.items())
    given = {name: value for name, value in settings.to_dict().items() if value not in (None, "")}
    shown = ", ".join(f"{name} {value}" for name, value in given.items())
    return [
        f"Encoding on {about['node']} ({device}) with {software}.",
        f"Settings: {shown}. Attention: {attention}.",
    ]


def tokens_per_batch(text: str) -> int | None:
    return None if text == "auto" else int(text)


def above_zero(text: str) -> float:
    number = float(text)
    if number <= 0:
        # Snakemake rounds a resource down to a whole number.
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--papers",
        type=Path,
        required=True,
        help="drawn papers: Parquet, or JSON lines with id and topic",
    )
    parser.add_argument(
        "--rows",
        type=Path,
        help=".npy file with the rows of the papers to embed; by default all rows",
    )
    parser.add_argument("--start", type=int, required=True, help="position of the first row")
    parser.add_argument("--stop", type=int, required=True, help="position after the last row")
    parser.add_argument("--shard", required=True, help="name of the shard")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument(
        "--encoder", type=EncoderSettings.from_json, required=True, help="encoder settings (JSON)"
    )
    parser.add_argument(
        "--device",
        choices=["cuda", "cpu"],
        default="cpu",
        help="cuda: the GPUs that the job was given",
    )
    parser.add_argument(
        "--gpus", type=int, default=0, help="number of GPUs to use; 0: all visible GPUs"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads that the job was given")
    parser.add_argument(
        "--tokens-per-batch",
        type=tokens_per_batch,
        help="affects only the speed; auto: chosen for the device",
    )
    parser.add_argument(
        "--no-progress-minutes",
        type=above_zero,
        default=30.0,
        help="end with an error after so long without a finished batch (default: %(default)g)",
    )
    parser.add_argument(
        "--compiled",
        type=Path,
        help="folder to keep compiled layers in, for jobs with many papers on a GPU; by default none are compiled",
    )
    parser.add_argument("--store", type=Path, required=True, help="folder of the vector store")
    parser.add_argument("--done", type=Path, required=True, help="JSON file to write at the end")
    run(main, parser)
