"""Embed one shard of the drawn papers. Runs by itself where only torch and transformers are installed."""

import argparse
import logging
import os
from pathlib import Path

import torch
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.chunks import forget_chunks
from arxiv_embeddings.embedding.devices import choose_devices, describe
from arxiv_embeddings.embedding.encoder import Encoder, resolve_for
from arxiv_embeddings.embedding.shard import embed_shard

log = logging.getLogger(__name__)

# What a killed job has to do again, at most, for each device. Batches are filled out of one chunk: a GPU's
# are large, and out of 256 papers a third of them would be padding.
PAPERS_PER_CHUNK = {"cpu": 256, "cuda": 4_096}


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    # For the tokenizer, which else takes all cores.
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    device, *more = choose_devices(arguments.device, arguments.gpus)
    about = {**describe(device), "count": 1 + len(more)}
    packages = versions("torch", "transformers", "tokenizers", "numpy", "pyarrow")
    settings = resolve_for(arguments.encoder, arguments.model, device)

    def load_encoders() -> list[Encoder]:
        encoder = Encoder(arguments.model, settings, device, arguments.tokens_per_batch)
        log.info(
            "Encoding on %s with %s: %s; attention: %s.",
            about,
            packages,
            settings.to_json(),
            encoder.attention,
        )
        return [encoder, *(encoder.copy_on(other) for other in more)]

    content = embed_shard(
        arguments.papers,
        arguments.start,
        arguments.stop,
        PAPERS_PER_CHUNK[device.type],
        arguments.model,
        Tokenizer(arguments.model, settings),
        load_encoders,
        arguments.vectors,
    )
    write_json(arguments.manifest, {**content, "device": about, "versions": packages})
    forget_chunks(arguments.vectors)


def tokens_per_batch(text: str) -> int | None:
    return None if text == "auto" else int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--papers",
        type=Path,
        required=True,
        help="drawn papers: Parquet, or JSON lines with id and topic",
    )
    parser.add_argument("--start", type=int, required=True, help="row of the shard's first paper")
    parser.add_argument("--stop", type=int, required=True, help="row behind its last paper")
    parser.add_argument("--model", type=Path, required=True, help="folder of the fetched model")
    parser.add_argument(
        "--encoder", type=EncoderSettings.from_json, required=True, help="encoder settings (JSON)"
    )
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], default="cpu", help="cuda: the GPUs the job was given"
    )
    parser.add_argument("--gpus", type=int, default=0, help="how many of them; 0: all it sees")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads the job was given")
    parser.add_argument(
        "--tokens-per-batch", type=tokens_per_batch, help="speed setting; auto by the device"
    )
    parser.add_argument("--vectors", type=Path, required=True, help=".npy file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="JSON manifest to write")
    run(main, parser)
