"""Embed one shard: compute the vectors that the store lacks. This script needs only torch and transformers."""

import argparse
import faulthandler
import itertools
import json
import logging
import os
import sys
import tempfile
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
from arxiv_embeddings.common.children import end_with_parent, run_together
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.common.watchdog import Watchdog
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.compiled import LEAST_PAPERS, keep_in
from arxiv_embeddings.embedding.devices import choose_device, describe, number_of_devices
from arxiv_embeddings.embedding.encoder import Encoder, with_dtype
from arxiv_embeddings.embedding.self_check import SelfCheck
from arxiv_embeddings.embedding.shard import embed_shard, join, rows_to_embed
from arxiv_embeddings.embedding.store import Piece, groups, pieces_in

log = logging.getLogger(__name__)

# A killed job loses the chunks in progress: at most two on a CPU and three on each GPU. A batch never crosses a chunk. GPU
# batches are large: with chunks of 256 papers a third of each batch would be padding.
PAPERS_PER_CHUNK = {"cpu": 256, "cuda": 4_096}


def main(arguments: argparse.Namespace) -> None:
    if arguments.gpu is not None:
        end_with_parent()
        name_gpu_in_log(arguments.gpu)
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
        device = choose_device(arguments.device, arguments.gpu)
        resolved = with_dtype(settings, arguments.model, device)
        # With dtype auto, vectors of any dtype counted so far.
        if resolved != settings:
            settings = resolved
            left = missing_rows(arguments, rows, checkpoint, settings)
            watchdog.progress()
    piece = None
    if len(left):
        count = 1
        if arguments.gpu is None:
            count = min(number_of_devices(arguments.device, arguments.gpus), len(left))
        if count > 1:
            piece = embed_on_each(count, left, arguments, watchdog)
        else:
            piece = embed_rows(left, device, arguments, checkpoint, settings, watchdog)
    counts = {"papers": len(rows), "found": len(rows) - len(left), "embedded": len(left)}
    log.info("Of %(papers)d papers %(found)d were in the vector store.", counts)
    done = {"shard": arguments.shard, **counts}
    write_json(arguments.done, {**done, "piece": piece.name} if piece else done)


def embed_rows(
    rows: np.ndarray,
    device: torch.device,
    arguments: argparse.Namespace,
    checkpoint: dict[str, Any],
    settings: EncoderSettings,
    watchdog: Watchdog,
) -> Piece:
    """Embed the papers in these rows on one device."""
    about = {**describe(device), "count": 1}
    packages = versions("torch", "transformers", "tokenizers", "numpy", "pyarrow")

    def load_encoder() -> Encoder:
        encoder = Encoder(arguments.model, settings, device, arguments.tokens_per_batch)
        if arguments.compiled and encoder.has_one_shape and len(rows) >= LEAST_PAPERS:
            keep_in(arguments.compiled)
            encoder.compile_layers()
        for line in encoding_lines(about, packages, settings, encoder.attention):
            log.info("%s", line)
        return encoder

    return embed_shard(
        arguments.papers,
        rows,
        shard=arguments.shard,
        papers_per_chunk=PAPERS_PER_CHUNK[device.type],
        tokenizer=Tokenizer(arguments.model, settings),
        load_encoder=load_encoder,
        on_progress=watchdog.progress,
        store_folder=arguments.store,
        made_by={"checkpoint": checkpoint, "device": about, "versions": packages},
        self_check=SelfCheck(arguments.model, settings) if device.type == "cuda" else None,
    )


def embed_on_each(
    count: int, rows: np.ndarray, arguments: argparse.Namespace, watchdog: Watchdog
) -> Piece | None:
    """Embed the papers in these rows with a process for each of so many GPUs, because one process cannot feed many.

    Each runs this script on a part of the rows and adds its vectors to the store, where they are joined. Nothing is
    returned if all of them were added by other jobs meanwhile.
    """
    bounds = np.linspace(0, len(rows), count + 1).astype(int).tolist()
    with tempfile.TemporaryDirectory(prefix="gpus-") as folder:
        np.save(f"{folder}/rows.npy", rows, allow_pickle=False)
        done = [Path(folder) / f"{gpu}.json" for gpu in range(count)]
        commands = []
        for gpu, (start, stop) in enumerate(itertools.pairwise(bounds)):
            # Of options given twice, the last one counts.
            own = ["--gpu", gpu, "--rows", f"{folder}/rows.npy", "--start", start, "--stop", stop]
            own += ["--threads", max(1, arguments.threads // count), "--done", done[gpu]]
            commands.append([sys.executable, __file__, *sys.argv[1:], *map(str, own)])
        log.info("Starting a process for each of %d GPUs.", count)
        run_together(commands, watchdog.progress)
        names = [json.loads(path.read_text()).get("piece") for path in done]
    made = {piece.name: piece for piece in pieces_in(arguments.store)}
    pieces = [made[name] for name in names if name]
    if not pieces:
        return None
    seconds = max(piece.manifest.seconds for piece in pieces)
    return join(pieces, seconds=seconds, devices=count)


def name_gpu_in_log(gpu: int) -> None:
    """Begin the lines of the log, in which several processes write, with the number of the GPU."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s GPU {gpu}: %(message)s"))


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
        device = about["name"]
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
    parser.add_argument(
        "--gpu",
        type=int,
        help="number of the GPU to use; this process then ends with the one that started it",
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
