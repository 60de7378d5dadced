"""Run a whole embedding job and measure its time and memory."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.manifest import PieceManifest
from arxiv_embeddings.embedding.store import pieces_in

EMBED_SHARD = Path(__file__).parents[1] / "workflow/scripts/embed_shard.py"
# A small process between this one and the job. Linux keeps the memory peak of a process over execve (getrusage(2)),
# so a job that this process starts directly would show the peak of this process, which has loaded several models.
WATCH = """
import pathlib, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A folder with the inputs of embedding jobs: ``drawn.jsonl`` and a fetched ``model``."""

    folder: Path
    settings: EncoderSettings
    device: str

    @property
    def papers(self) -> Path:
        """The drawn papers."""
        return self.folder / "drawn.jsonl"

    @property
    def model(self) -> Path:
        """The checkpoint."""
        return self.folder / "model"

    def store(self, shard: str) -> Path:
        """Return the folder of a separate vector store for ``shard``, in which the job finds no vectors."""
        return self.folder / shard


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished job: seconds of its process, bytes of main memory at the peak, and the manifest of its vectors."""

    seconds: float
    memory: int
    manifest: PieceManifest


def prepare(
    folder: Path, texts: list[str], model: Path, settings: EncoderSettings, device: str
) -> Inputs:
    """Write the inputs of jobs that embed ``texts`` to ``folder``."""
    inputs = Inputs(folder, settings, device)
    # JSON lines can be read without pyarrow.
    with inputs.papers.open("w", encoding="utf-8") as file:
        for row, text in enumerate(texts):
            file.write(json.dumps({"id": str(row), "topic": text}) + "\n")
    fetch_model(str(model), None, inputs.model, settings)
    return inputs


def watched(command: list[str], memory: Path) -> list[str]:
    """Return a command that runs ``command`` and writes its memory peak in KiB to the file ``memory``."""
    return [sys.executable, "-c", WATCH, str(memory), *command]


def start(
    inputs: Inputs, shard: str, start: int, stop: int, threads: int
) -> subprocess.Popen[bytes]:
    """Start a job as the workflow does; its messages go to a file beside its store."""
    store = inputs.store(shard)
    command = [
        *(sys.executable, str(EMBED_SHARD), "--papers", str(inputs.papers)),
        *("--start", str(start), "--stop", str(stop), "--model", str(inputs.model)),
        *("--encoder", inputs.settings.to_json(), "--device", inputs.device),
        *("--threads", str(threads), "--tokens-per-batch", "auto"),
        *("--shard", shard, "--store", str(store), "--done", str(store.with_suffix(".json"))),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with store.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            watched(command, store.with_suffix(".memory")),
            stdout=log,
            stderr=log,
            env=environment,
        )


def finish(inputs: Inputs, shard: str, job: subprocess.Popen[bytes], started: float) -> Finished:
    """Wait for a job that started at ``started`` (time.perf_counter); remove its store.

    Raises:
        RuntimeError: the job failed; its messages are in the error.
    """
    job.wait()
    seconds = time.perf_counter() - started
    store = inputs.store(shard)
    if job.returncode:
        raise RuntimeError(store.with_suffix(".log").read_text())
    [piece] = pieces_in(store)
    shutil.rmtree(store)
    kibibytes = int(store.with_suffix(".memory").read_text())
    return Finished(seconds, kibibytes * 1024, piece.manifest)


def run(inputs: Inputs, papers: int, threads: int) -> Finished:
    """Embed the first ``papers`` papers in one job."""
    started = time.perf_counter()
    return finish(inputs, "00000", start(inputs, "00000", 0, papers, threads), started)
