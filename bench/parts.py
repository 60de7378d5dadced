"""Time the parts of an embedding job one after another, and print the seconds per part as JSON.

bench/scaling.py starts this script.
"""

import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import torch
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.common.matrices import MatrixWriter
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.corpus.papers import read_papers
from arxiv_embeddings.embedding.encoder import Encoder, resolve_for


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
    [table] = read_papers(papers, start=0, stop=count, size=count)
    texts = table["topic"].to_pylist()
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
