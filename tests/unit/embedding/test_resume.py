"""A killed job loses at most the chunks in progress, and never uses vectors of other texts or settings."""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embed_shard as command
import numpy as np
import pytest
import safetensors.torch
import torch
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.config.encoder_settings import ENGINE_VERSION, EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder
from arxiv_embeddings.embedding.store import VectorStore, pieces_in, text_keys
from support.drawn import PAPERS, SETTINGS, draw
from support.models import TextEncoder, cosines, make_bert, topics

pytestmark = pytest.mark.usefixtures("one_thread")

Script = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")
CHUNK = 8
OWN_CHUNK = command.PAPERS_PER_CHUNK["cpu"]


class Job:
    """A job for the first ``PAPERS`` drawn papers that counts the chunks it encodes."""

    def __init__(self, folder: Path, model: Path, texts: list[str]) -> None:
        self.texts = texts
        self.drawn = draw(folder / "drawn.parquet", texts)
        self.store = folder / "vectors"
        self.arguments = argparse.Namespace(
            papers=self.drawn,
            rows=None,
            start=0,
            stop=PAPERS,
            shard="ab-00000",
            model=model,
            encoder=SETTINGS,
            device="cpu",
            gpus=0,
            gpu=None,
            threads=1,
            tokens_per_batch=None,
            no_progress_minutes=10**6,  # in the process of the tests
            compiled=None,
            store=self.store,
            done=folder / "done.json",
        )
        self.encoded = 0

    def run(self, fail_at: int | None = None) -> int:
        """Embed the shard and return the number of papers found; fail before encoding chunk ``fail_at``."""

        def begin(*arguments: Any) -> Any:
            if self.encoded == fail_at:
                raise KeyboardInterrupt
            self.encoded += 1
            return plain(*arguments)

        self.encoded = 0
        plain = Encoder.begin
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Encoder, "begin", begin)
            patch.setitem(command.PAPERS_PER_CHUNK, "cpu", CHUNK)
            command.main(self.arguments)
        return int(json.loads(self.arguments.done.read_text())["found"])

    def die(self, at: int) -> None:
        """Run until ``at`` chunks are finished; only these chunks remain."""
        with pytest.raises(KeyboardInterrupt):
            self.run(fail_at=at)
        assert self.encoded == at
        assert not self.arguments.done.exists()
        assert not list(self.store.glob(".*"))

    def vectors(self) -> np.ndarray:
        """Return the vectors of the papers from the store."""
        store = VectorStore(pieces_in(self.store))
        positions = store.find(text_keys(self.texts))
        assert (positions >= 0).all()
        return store.gather(positions)[0]


@pytest.fixture
def job(tmp_path: Path, bert: Path, texts: list[str]) -> Job:
    return Job(tmp_path, bert, texts)


@pytest.fixture(scope="session")
def expected(loaded: TextEncoder, texts: list[str]) -> np.ndarray:
    return np.concatenate([loaded.encode(loaded.tokenize([text])) for text in texts])


def test_a_restarted_job_computes_only_unfinished_chunks(job: Job, expected: np.ndarray) -> None:
    job.die(at=2)
    # Two more chunks are finished.
    job.die(at=2)
    assert job.run() == 4 * CHUNK
    assert job.encoded == 1
    assert cosines(job.vectors(), expected).min() >= 0.99999
    assert job.run() == PAPERS
    assert job.encoded == 0


def test_the_next_run_may_use_other_shard_sizes(job: Job, expected: np.ndarray) -> None:
    job.die(at=3)
    job.arguments.shard, job.arguments.start = "cd-00001", 10
    assert job.run() == 3 * CHUNK - 10
    job.arguments.shard, job.arguments.start = "cd-00000", 0
    assert job.run() == PAPERS
    assert cosines(job.vectors(), expected).min() >= 0.99999


def options(job: Job) -> list[str]:
    """Return the options of the command for this job."""
    named = {**vars(job.arguments), "encoder": SETTINGS.to_json()}
    return [
        part
        for name, value in named.items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]


@pytest.fixture
def long_job(tmp_path: Path, bert: Path, made_snapshot: Path) -> Job:
    job = Job(tmp_path, bert, topics(made_snapshot, 4 * OWN_CHUNK))
    job.arguments.stop = 4 * OWN_CHUNK
    return job


def test_a_job_resumes_after_sigkill(long_job: Job, bert: Path, script: Script) -> None:
    slowly = ["--tokens-per-batch", "1"]
    killed = subprocess.Popen([sys.executable, command.__file__, *options(long_job), *slowly])
    while killed.poll() is None and not list(long_job.store.glob("*.json")):
        try:
            killed.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not long_job.arguments.done.exists()
    done = script("embed_shard.py", *options(long_job))
    assert done.returncode == 0, done.stdout
    found = json.loads(long_job.arguments.done.read_text())["found"]
    assert 0 < found < len(long_job.texts)
    assert found % OWN_CHUNK == 0
    assert f"Of {len(long_job.texts)} papers {found} were in the vector store." in done.stdout
    undisturbed = TextEncoder(bert, SETTINGS, CPU)
    expected = undisturbed.encode(undisturbed.tokenize(long_job.texts))
    assert cosines(long_job.vectors(), expected).min() >= 0.99999


def test_sigterm_saves_the_chunks_in_progress(long_job: Job, script: Script) -> None:
    # The signal arrives while the second chunk is being computed.
    signal_itself = f"""
from arxiv_embeddings.embedding.encoder import Encoder
plain, calls = Encoder.begin, []
def begin(*arguments):
    calls.append(1)
    if len(calls) == 2: os.kill(os.getpid(), signal.SIGTERM)
    return plain(*arguments)
sys.path.insert(0, {str(Path(command.__file__).parent)!r})
Encoder.begin = begin
"""
    done = script("embed_shard.py", *options(long_job), before=signal_itself)
    assert done.returncode == 128 + signal.SIGTERM, done.stdout
    assert "This job was stopped: saving the chunks in progress" in done.stdout
    assert not list(long_job.store.glob(".*.partial"))
    again = script("embed_shard.py", *options(long_job))
    assert again.returncode == 0, again.stdout
    assert json.loads(long_job.arguments.done.read_text())["found"] == 2 * OWN_CHUNK


def test_a_job_killed_before_it_reports_completion_embeds_nothing_again(job: Job) -> None:
    done = job.arguments.done
    (done.parent / "file").touch()
    job.arguments.done = done.parent / "file/done.json"
    with pytest.raises(OSError, match="file"):
        job.run()
    job.arguments.done = done
    assert job.run() == PAPERS


def test_only_changed_texts_are_embedded_again(job: Job, texts: list[str]) -> None:
    job.run()
    job.texts = [texts[0].upper() + "!", *texts[1:]]
    draw(job.drawn, job.texts)
    assert job.run() == PAPERS - 1
    job.vectors()


def test_papers_in_another_order_are_found(
    job: Job, texts: list[str], expected: np.ndarray
) -> None:
    job.run()
    job.texts = texts[::-1]
    draw(job.drawn, job.texts)
    assert job.run() == PAPERS
    assert cosines(job.vectors(), expected[::-1]).min() >= 0.99999


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "cls"},
        {"max_length": 32},
        {"normalize": True},
        {"dtype": "bfloat16"},
        {"prompt": "Query: "},
        {"dimensions": 16},
        {"engine": ENGINE_VERSION + 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_find_nothing_and_the_old_settings_still_find_all(
    job: Job, change: dict[str, Any]
) -> None:
    job.run()
    job.arguments.encoder = EncoderSettings(**SETTINGS.to_dict() | change)
    assert job.run() == 0
    job.arguments.encoder = SETTINGS
    assert job.run() == PAPERS


def test_another_checkpoint_finds_nothing(job: Job, minilm: Path, tmp_path: Path) -> None:
    job.run()
    made = make_bert(minilm, tmp_path / "made")
    weights = safetensors.torch.load_file(made / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    safetensors.torch.save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    fetch_model(str(made), None, tmp_path / "fetched", SETTINGS)
    job.arguments.model = tmp_path / "fetched"
    assert job.run() == 0


@pytest.mark.parametrize("speed", [1, 300, 10**6])
def test_another_speed_setting_finds_all(job: Job, expected: np.ndarray, speed: int) -> None:
    job.die(at=3)
    job.arguments.tokens_per_batch = speed
    assert job.run() == 3 * CHUNK
    assert cosines(job.vectors(), expected).min() >= 0.99999


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-100],
        lambda data: data[:50],
        lambda data: b"",
        lambda data: flip(data, 300),
        lambda data: flip(data, len(data) - 1),
        lambda data: flip(data, 9),
    ],
    ids=["cut", "cut in the header", "empty", "flipped", "flipped at the end", "flipped header"],
)
@pytest.mark.parametrize("suffix", [".npy", ".rows.npy"])
def test_a_damaged_piece_is_recomputed(
    job: Job, expected: np.ndarray, damage: Callable[[bytes], bytes], suffix: str
) -> None:
    job.die(at=3)
    piece = pieces_in(job.store)[1]
    path = job.store / f"{piece.name}{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    assert job.run() == 2 * CHUNK
    assert cosines(job.vectors(), expected).min() >= 0.99999


def test_vectors_of_other_papers_under_the_same_name_are_not_used(
    job: Job, expected: np.ndarray
) -> None:
    job.die(at=2)
    one, other = pieces_in(job.store)
    one.vectors_path.write_bytes(other.vectors_path.read_bytes())
    assert job.run() == CHUNK
    assert cosines(job.vectors(), expected).min() >= 0.99999
