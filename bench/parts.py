"""Time the parts of an embedding job one after another, and print the seconds per part as JSON.

bench/scaling.py starts this script.
"""

import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import numpy as np
import torch
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.common.matrices import MatrixWriter
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder, resolve_for
from arxiv_embeddings.embedding.texts import read_texts


def main(
    started: float, papers: Path, count: int, model: Path, settings: str, threads: int, out: Path
) -> dict[str, float]:
    """Return the seconds of each part; ``started`` is the time.time() at which the process was started."""
    parts: dict[str, float] = {}
    last = started

    def done(part: str) -> None:
        nonlocal last
        now = time.time()
        parts[part], last = now - last, now

    torch.set_num_threads(threads)
    done("start")
    device = torch.device("cpu")
    resolved = resolve_for(EncoderSettings.from_json(settings), model, device)
    tokenizer = Tokenizer(model, resolved)
    encoder = Encoder(model, resolved, device)
    done("load")
    [(_, texts)] = read_texts(papers, np.arange(count), count)
    done("read")
    ids = tokenizer.tokenize(texts)
    done("tokenize")
    vectors = encoder.encode(ids)
    done("forward")
    with MatrixWriter(out, *vectors.shape) as matrix:
        matrix.append(vectors)
    done("write")
    return parts


if __name__ == "__main__":
    logging.disable()
    began, papers, count, model, settings, threads, out = sys.argv[1:]
    parts = main(
        float(began), Path(papers), int(count), Path(model), settings, int(threads), Path(out)
    )
    print(json.dumps(parts))
