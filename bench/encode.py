"""Time the encoder against sentence-transformers and the notebook's loop on the CPU or on a GPU.

    python bench/encode.py PAPERS MODEL --table TABLE

PAPERS is a Parquet file with a topic column, JSON lines (.jsonl, .jsonl.gz), or a snapshot. MODEL is a folder with a checkpoint that
sentence-transformers can load. All contenders get the same texts and take turns within one run. The numbers are
medians over the rounds. The table is printed and written to TABLE.md, and all measurements to TABLE.json.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import job
from arxiv_embeddings.checkpoint.declared import resolve
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.devices import choose_device, describe
from arxiv_embeddings.estimate.cost import text_lengths
from arxiv_embeddings.estimate.flop import forward_pass
from contenders import DEFAULT_BATCH, Contender, notebook, ours, sentence_transformers
from hardware import Usage, matmul_rate, measured
from result import about, save
from table import REFERENCE, markdown
from texts import read_texts

PACKAGES = ("torch", "transformers", "tokenizers", "sentence-transformers", "numpy")


def candidates(
    folder: Path, device: torch.device, max_length: int, texts: list[str], batches: list[int]
) -> Iterator[Contender]:
    """Yield all contenders; sentence-transformers with its default batch size and with the fastest one."""
    yield ours(folder, "float32", device, max_length)
    yield ours(folder, "auto", device, max_length)
    if device.type == "cuda":
        yield ours(folder, "auto", device, max_length, compiled=True)
    if importlib.util.find_spec("sentence_transformers") is None:
        print("sentence-transformers is not installed, so it is left out", flush=True)
        yield notebook(folder, device, max_length)
        return
    for dtype in ("float32", "bfloat16"):
        with_batch = sentence_transformers(folder, dtype, device, max_length)
        with_batch(DEFAULT_BATCH).encode(texts[: 2 * DEFAULT_BATCH])  # warm up
        seconds = {}
        for batch in sorted({DEFAULT_BATCH, *batches}):
            with measured(device) as usage:
                with_batch(batch).encode(texts)
            seconds[batch] = usage.seconds
        tried = ", ".join(f"{batch}: {len(texts) / time:.1f}" for batch, time in seconds.items())
        print(f"sentence-transformers, {dtype}, papers/s by batch: {tried}", flush=True)
        yield from map(with_batch, sorted({DEFAULT_BATCH, min(seconds, key=seconds.__getitem__)}))
    yield notebook(folder, device, max_length)


def compare(
    contenders: list[Contender], texts: list[str], lengths: np.ndarray, options: argparse.Namespace
) -> dict[str, Any]:
    """Time the contenders and the matrix products alone, in turns; return the measurements."""
    device, forward = torch.device(options.device), forward_pass(options.model)
    for contender in contenders:
        contender.encode(texts[: 2 * DEFAULT_BATCH])  # warm up
    vectors: dict[str, np.ndarray] = {}
    usages: dict[str, list[Usage]] = {contender.name: [] for contender in contenders}
    rates: dict[str, list[float]] = {contender.dtype: [] for contender in contenders}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        for dtype, found in rates.items():
            found.append(matmul_rate(forward.matrices, getattr(torch, dtype), device))
        for contender in contenders:
            with measured(device) as usage:
                vectors[contender.name] = contender.encode(texts)
            usages[contender.name].append(usage)
    matmul = {dtype: statistics.median(found) for dtype, found in rates.items()}
    unit = {name: _normalized(matrix) for name, matrix in vectors.items()}
    rows = []
    for contender in contenders:
        own = usages[contender.name]
        seconds = statistics.median(usage.seconds for usage in own)
        flop_per_second = forward.flop(lengths) / seconds
        cosines = (unit[contender.name] * unit[REFERENCE]).sum(axis=1)
        rows.append(
            {
                "contender": contender.name,
                "dtype": contender.dtype,
                "seconds": [round(usage.seconds, 4) for usage in own],
                "papers_per_second": len(texts) / seconds,
                "tokens_per_second": float(lengths.sum()) / seconds,
                "flop_per_second": flop_per_second,
                "share_of_matmul_rate": flop_per_second / matmul[contender.dtype],
                "memory_bytes": max((usage.memory for usage in own if usage.memory), default=None),
                "cosine_mean": float(cosines.mean()),
                "cosine_least": float(cosines.min()),
            }
        )
    return {"rows": rows, "matmul_flop_per_second": matmul, "flop": forward.flop(lengths)}


def _normalized(vectors: np.ndarray) -> np.ndarray:
    # Some vectors were scaled to length 1 in bfloat16.
    vectors = vectors.astype(np.float64)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def whole_job(
    texts: list[str], settings: EncoderSettings, options: argparse.Namespace
) -> dict[str, Any]:
    """Time a job from the start to the end of its process; return the median of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = job.prepare(Path(folder), texts, options.model, settings, options.device)
        jobs = [job.run(inputs, len(texts), options.threads) for _ in range(options.rounds)]
    return {
        "papers": len(texts),
        "seconds": statistics.median(one.seconds for one in jobs),
        "embedding_seconds": statistics.median(one.manifest.seconds for one in jobs),
        "main_memory_bytes": max(one.memory for one in jobs),
        "dtype": jobs[0].manifest.encoder["dtype"],
        "attention": jobs[0].manifest.attention,
    }


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    job_count = options.job_count or options.count
    all_texts = read_texts(options.papers, max(options.count, job_count))
    texts = all_texts[: options.count]
    settings = EncoderSettings(max_length=options.max_length, normalize=True)
    lengths = text_lengths(options.model, texts, resolve(settings, options.model)).kept
    tried = texts[: max(options.count // 2, 2)]
    contenders = list(
        candidates(options.model, device, options.max_length, tried, options.batch_sizes)
    )
    result = {
        **about(options, len(texts), PACKAGES),
        "tokens": int(lengths.sum()),
        "device": describe(device),
        **compare(contenders, texts, lengths, options),
    }
    contenders.clear()  # free the memory for the job
    if device.type == "cuda":
        torch.cuda.empty_cache()
    result["job"] = whole_job(all_texts[:job_count], settings, options)
    save(options.table, markdown(result), result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the encoder against other encoders.")
    parser.add_argument(
        "papers", type=Path, help="Parquet with a topic column, JSON lines, or a snapshot"
    )
    parser.add_argument("model", type=Path, help="folder of a checkpoint")
    parser.add_argument(
        "--table", type=Path, required=True, help="file to write, without its ending"
    )
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--count", type=int, default=400, help="number of papers to embed")
    parser.add_argument(
        "--job-count", type=int, help="number of papers of the whole job (default: --count)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument(
        "--batch-sizes",
        type=int,
        nargs="*",
        default=[8, 16, 64, 128],
        help="batch sizes to try for sentence-transformers besides 32, on half of the papers",
    )
    try:
        main(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))
