"""A shard's vectors and manifest, and a killed job that goes on where it was."""

import argparse
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import embed_shard as command
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import ENGINE_VERSION, EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder
from arxiv_embeddings.embedding.shard import embed_shard
from arxiv_embeddings.embedding.texts import read_texts
from support.models import TextEncoder, cosines, make_bert, topics

Script = Callable[..., subprocess.CompletedProcess[str]]

CPU = torch.device("cpu")
SETTINGS = EncoderSettings(pooling="auto", max_length=64, normalize=False, dtype="float32")
PAPERS = 40
CHUNK = 8
OWN_CHUNK = command.PAPERS_PER_CHUNK["cpu"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let small models run on one thread; on more they mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bert(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint as the workflow fetches it."""
    folder = tmp_path_factory.mktemp("models")
    fetch_model(str(make_bert(minilm, folder / "made")), None, folder / "fetched", SETTINGS)
    return folder / "fetched"


@pytest.fixture(scope="module")
def loaded(bert: Path) -> TextEncoder:
    return TextEncoder(bert, SETTINGS, CPU)


@pytest.fixture(scope="module")
def texts(made_snapshot: Path) -> list[str]:
    return [*topics(made_snapshot, PAPERS - 2), "", "é $\\alpha$ 🪐"]


def draw(path: Path, texts: list[str]) -> Path:
    """Write drawn papers, with row groups that no shard and no chunk begins with."""
    table = pa.table({"id": [paper_id(row) for row in range(len(texts))], "topic": texts})
    pq.write_table(table, path, row_group_size=7)
    return path


def paper_id(row: int) -> str:
    return f"0704.{row:04d}"


def embed(
    drawn: Path,
    start: int,
    stop: int,
    encoders: Sequence[TextEncoder],
    model: Path,
    vectors: Path,
) -> dict[str, Any]:
    """Embed a shard in small chunks on the devices of the encoders."""
    return embed_shard(
        drawn, start, stop, CHUNK, model, encoders[0].tokenizer, lambda: encoders, vectors
    )


class Job:
    """A job for the first ``PAPERS`` drawn papers, which counts the chunks it encodes."""

    def __init__(self, folder: Path, model: Path, encoder: TextEncoder, texts: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        self.drawn = draw(folder / "drawn.parquet", texts)
        self.model = model
        self.encoder = encoder
        self.vectors = folder / "shards/00000.npy"
        self.chunks = folder / "shards/00000.chunks"
        self.encoded = 0

    def run(self, fail_at: int | None = None) -> dict[str, Any]:
        """Embed the shard; with ``fail_at`` die when the chunk of that number is to be encoded."""

        def encode(*arguments: Any) -> np.ndarray:
            if self.encoded == fail_at:
                raise KeyboardInterrupt
            self.encoded += 1
            return plain(*arguments)

        self.encoded = 0
        plain = self.encoder.encode
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.encoder, "encode", encode)
            return embed(self.drawn, 0, PAPERS, [self.encoder], self.model, self.vectors)

    def die(self, at: int) -> None:
        """Run until so many chunks are finished, which is all that is left behind."""
        with pytest.raises(KeyboardInterrupt):
            self.run(fail_at=at)
        assert self.encoded == at
        assert [path.name for path in self.vectors.parent.iterdir()] == [self.chunks.name]


@pytest.fixture
def job(tmp_path: Path, bert: Path, loaded: TextEncoder, texts: list[str]) -> Job:
    return Job(tmp_path, bert, loaded, texts)


@pytest.fixture(scope="module")
def wanted(loaded: TextEncoder, texts: list[str]) -> np.ndarray:
    return np.concatenate([loaded.encode(loaded.tokenize([text])) for text in texts])


# What a shard is


def sha256_of(texts: list[str]) -> str:
    data = b"".join(len(text.encode()).to_bytes(8, "little") + text.encode() for text in texts)
    return hashlib.sha256(data).hexdigest()


def test_manifest_field_by_field(
    bert: Path, texts: list[str], tmp_path: Path, script: Script
) -> None:
    drawn = draw(tmp_path / "drawn.parquet", texts)
    vectors_path, path = tmp_path / "shards/00003.npy", tmp_path / "shards/00003.json"
    options: list[object] = ["--papers", drawn, "--start", 5, "--stop", 25, "--model", bert]
    options += ["--encoder", SETTINGS.to_json(), "--vectors", vectors_path, "--manifest", path]
    done = script("embed_shard.py", *options, "--threads", 2, "--log", tmp_path / "job.log")
    assert done.returncode == 0, done.stdout
    manifest, vectors, own = json.loads(path.read_text()), np.load(vectors_path), texts[5:25]

    assert (vectors.dtype, vectors.shape) == (np.dtype("<f4"), (20, 64))
    assert vectors.flags.c_contiguous
    assert [manifest.pop(name) for name in ("shard", "start", "stop", "papers", "dimensions")] == [
        "00003", 5, 25, 20, 64,
    ]  # fmt: skip
    assert manifest.pop("ids_sha256") == sha256_of([paper_id(row) for row in range(5, 25)])
    assert manifest.pop("texts_sha256") == sha256_of(own)
    assert manifest.pop("vectors_sha256") == hashlib.sha256(vectors.tobytes()).hexdigest()

    fetched = json.loads((bert / "checkpoint.json").read_text())
    for name, facts in fetched["files"].items():
        data = (bert / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert "model.safetensors" in fetched["files"]
    files = json.dumps(fetched["files"], sort_keys=True, separators=(",", ":")).encode()
    assert manifest.pop("checkpoint") == {
        "name": str(bert.parent / "made"),
        "revision": None,
        "sha256": hashlib.sha256(files).hexdigest(),
    }
    assert manifest.pop("encoder") == {
        "pooling": "mean",
        "max_length": 64,
        "normalize": False,
        "dtype": "float32",
        "prompt": "",
        "dimensions": None,
        "engine": ENGINE_VERSION,
    }
    assert manifest.pop("attention") == "masked where lengths differ"

    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    lengths = [min(len(tokenizer(text)["input_ids"]), 64) for text in own]
    assert manifest.pop("tokens") == sum(lengths)
    assert manifest.pop("papers_at_max_length") == lengths.count(64)
    assert manifest.pop("papers_resumed") == 0
    seconds = manifest.pop("seconds")
    assert seconds > 0
    assert manifest.pop("papers_per_second") == pytest.approx(20 / seconds, rel=0.1)
    assert manifest.pop("tokens_per_second") == pytest.approx(sum(lengths) / seconds, rel=0.1)
    device, versions = manifest.pop("device"), manifest.pop("versions")
    assert (device["type"], device["node"]) == ("cpu", socket.gethostname())
    assert (device["count"], device["threads"]) == (1, 2)
    assert device["name"]
    assert versions["torch"] == torch.__version__
    assert versions["transformers"] == transformers.__version__
    assert set(versions) == {"python", "torch", "transformers", "tokenizers", "numpy", "pyarrow"}
    assert not manifest  # nothing untold

    assert sorted(file.name for file in path.parent.iterdir()) == ["00003.json", "00003.npy"]
    assert "Embedded 20 papers" in (tmp_path / "job.log").read_text()


def test_vectors_stand_in_the_order_of_the_papers(job: Job, wanted: np.ndarray) -> None:
    manifest = job.run()
    assert job.encoded == PAPERS // CHUNK
    vectors = np.load(job.vectors)
    assert cosines(vectors, wanted).min() >= 0.99999
    assert cosines(vectors, np.roll(wanted, 1, axis=0)).max() < 0.99
    assert hashlib.sha256(vectors.tobytes()).hexdigest() == manifest["vectors_sha256"]


@pytest.mark.parametrize("size", [7, 13, 39])
def test_vectors_do_not_depend_on_the_bounds_of_the_shards(
    job: Job, wanted: np.ndarray, size: int
) -> None:
    parts = []
    for start in range(0, PAPERS, size):
        stop = min(start + size, PAPERS)
        embed(job.drawn, start, stop, [job.encoder], job.model, job.vectors)
        parts.append(np.load(job.vectors))
        assert len(parts[-1]) == stop - start
    assert cosines(np.concatenate(parts), wanted).min() >= 0.99999


def test_more_papers_than_there_are(job: Job) -> None:
    with pytest.raises(
        InputError, match=rf"has only {PAPERS} papers, but .* row {PAPERS + 1} were requested"
    ):
        embed(job.drawn, 30, PAPERS + 1, [job.encoder], job.model, job.vectors)
    assert not job.vectors.exists()


# Several devices


def test_several_devices_give_the_same_bytes_as_one(
    bert: Path, loaded: TextEncoder, texts: list[str], tmp_path: Path
) -> None:
    drawn = draw(tmp_path / "drawn.parquet", texts)
    copies = [loaded, loaded.copy_on(CPU), loaded.copy_on(CPU)]
    used: set[int] = set()

    def encode(encoder: Encoder, *arguments: Any) -> np.ndarray:
        used.add(id(encoder))
        time.sleep(0.01 * (len(used) % 2))  # so that chunks are finished out of order
        return plain(encoder, *arguments)

    plain = Encoder.encode
    sums = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "encode", encode)
        for count in (1, 2, 3):
            vectors = tmp_path / f"{count}.npy"
            manifest = embed(drawn, 0, PAPERS, copies[:count], bert, vectors)
            sums.append(manifest["vectors_sha256"])
    assert len(used) == 3
    assert len(set(sums)) == 1


def test_an_error_on_one_device_ends_the_shard(
    bert: Path, loaded: TextEncoder, texts: list[str], tmp_path: Path
) -> None:
    drawn, broken = draw(tmp_path / "drawn.parquet", texts), loaded.copy_on(CPU)

    def encode(*_: object) -> np.ndarray:
        raise RuntimeError("device-side assert")

    broken.encode = encode  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="device-side assert"):
        embed(drawn, 0, PAPERS, [loaded, broken], bert, tmp_path / "0.npy")
    assert not (tmp_path / "0.npy").exists()


# Start


def test_texts_are_tokenized_while_the_weights_load(
    job: Job, wanted: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        begun.set()
        return plain(texts)

    def load() -> list[TextEncoder]:
        assert begun.wait(60)
        return [job.encoder]

    tokenizer = job.encoder.tokenizer
    plain = tokenizer.tokenize
    monkeypatch.setattr(tokenizer, "tokenize", tokenize)
    embed_shard(job.drawn, 0, PAPERS, CHUNK, job.model, tokenizer, load, job.vectors)
    assert cosines(np.load(job.vectors), wanted).min() >= 0.99999


def test_weights_that_do_not_load_end_the_shard(job: Job) -> None:
    def load() -> list[TextEncoder]:
        raise InputError("not whole")

    with pytest.raises(InputError, match="not whole"):
        embed_shard(
            job.drawn, 0, PAPERS, CHUNK, job.model, job.encoder.tokenizer, load, job.vectors
        )
    assert not list(job.vectors.parent.glob("**/*.npy"))


# JSON lines, and a machine with little more than torch and transformers


def write_lines(path: Path, texts: list[str]) -> Path:
    papers = [{"id": paper_id(row), "topic": text, "more": 1} for row, text in enumerate(texts)]
    path.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, PAPERS), (3, 21), (39, PAPERS), (8, 16)])
def test_json_lines_are_read_as_parquet_is(
    texts: list[str], tmp_path: Path, start: int, stop: int
) -> None:
    drawn, lines = draw(tmp_path / "drawn.parquet", texts), write_lines(tmp_path / "lines", texts)
    runs = list(read_texts(lines, start, stop, CHUNK))
    assert runs == list(read_texts(drawn, start, stop, CHUNK))
    assert [text for _, run in runs for text in run] == texts[start:stop]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "0704.0001"', "Line 3 of .* is no paper"),
        ('{"id": "0704.0001"}', "Line 3 of .* is no paper .*'topic'"),
        ("[1, 2]", "Line 3 of .* is no paper"),
        ('{"id": "0704.0001", "topic": null}', "Line 3 of .* no text"),
        ('{"id": 704.0001, "topic": "a"}', "Line 3 of .* no text"),
    ],
)
def test_lines_that_are_no_papers_are_refused(
    texts: list[str], tmp_path: Path, line: str, message: str
) -> None:
    path = write_lines(tmp_path / "lines", texts[:2])
    path.write_text(path.read_text() + line)
    with pytest.raises(InputError, match=message):
        list(read_texts(path, 0, 3, 2))
    with pytest.raises(InputError, match="has 3 papers, but the papers to 4 are wanted"):
        list(read_texts(write_lines(path, texts[:3]), 1, 4, 2))


# What torch and transformers bring along, and nothing else of this project's environment.
BLOCKED = (
    "pyarrow msgspec snakemake pandas isal zstandard sentence_transformers jsonschema accelerate"
)
BLOCK_IMPORTS = f"""
import importlib.machinery, socket
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, *arguments):
        blocked = name.partition(".")[0] in {BLOCKED.split()}
        return None if blocked else super().find_spec(name, *arguments)
finders = (it for it in sys.meta_path if it is not importlib.machinery.PathFinder)
sys.meta_path[:] = [*finders, Finder]
def refuse(*_, **__): raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refuse
"""


def test_the_command_needs_only_torch_and_transformers_and_no_network(
    bert: Path, texts: list[str], wanted: np.ndarray, tmp_path: Path, script: Script
) -> None:
    lines = write_lines(tmp_path / "lines.jsonl", texts)
    vectors, manifest = tmp_path / "0.npy", tmp_path / "0.json"
    options: list[object] = ["--papers", lines, "--start", 0, "--stop", PAPERS, "--model", bert]
    options += ["--encoder", SETTINGS.to_json(), "--vectors", vectors, "--manifest", manifest]
    done = script("embed_shard.py", *options, before=BLOCK_IMPORTS)
    assert done.returncode == 0, done.stdout
    assert cosines(np.load(vectors), wanted).min() >= 0.99999
    refused = script(
        "embed_shard.py",
        "--papers",
        draw(tmp_path / "p", texts),
        *options[2:],
        before=BLOCK_IMPORTS,
    )
    assert "No module named 'pyarrow'" in refused.stdout  # so the block works


# A killed job


def test_a_killed_job_redoes_only_what_was_not_finished(job: Job, wanted: np.ndarray) -> None:
    job.die(at=2)
    job.die(at=2)  # one more chunk is not enough: two are kept, two are made
    manifest = job.run()
    assert job.encoded == 1
    assert manifest["papers_resumed"] == 4 * CHUNK
    assert cosines(np.load(job.vectors), wanted).min() >= 0.99999


def test_a_resume_changes_nothing_else_in_the_manifest(
    bert: Path, loaded: TextEncoder, texts: list[str], tmp_path: Path
) -> None:
    undisturbed = Job(tmp_path / "undisturbed", bert, loaded, texts).run()
    job = Job(tmp_path / "killed", bert, loaded, texts)
    job.die(at=3)
    resumed = job.run()
    differing = {name for name in resumed if resumed[name] != undisturbed[name]}
    last_bits = {"vectors_sha256"}
    of_time = {"seconds", "papers_per_second", "tokens_per_second"}
    assert differing - of_time - last_bits == {"papers_resumed"}


def command_options(texts: list[str], model: Path, vectors: Path, manifest: Path) -> list[object]:
    """Draw papers with these texts, and return the options that embed them all as one shard."""
    drawn = draw(vectors.parent.parent / "drawn.parquet", texts)
    options: list[object] = ["--papers", drawn, "--start", 0, "--stop", len(texts)]
    options += ["--model", model, "--encoder", SETTINGS.to_json()]
    return [*options, "--vectors", vectors, "--manifest", manifest]


def test_sigkill_in_the_middle(
    bert: Path, made_snapshot: Path, tmp_path: Path, script: Script
) -> None:
    many = topics(made_snapshot, 4 * OWN_CHUNK)
    vectors, manifest = tmp_path / "shards/00000.npy", tmp_path / "shards/00000.json"
    options = command_options(many, bert, vectors, manifest)
    slowly = ["--tokens-per-batch", "1"]
    killed = subprocess.Popen([sys.executable, command.__file__, *map(str, options), *slowly])
    while killed.poll() is None and not list(vectors.parent.glob("00000.chunks/*.npy")):
        try:
            killed.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not vectors.exists()
    assert not manifest.exists()

    done = script("embed_shard.py", *options)
    assert done.returncode == 0, done.stdout
    resumed = json.loads(manifest.read_text())["papers_resumed"]
    assert 0 < resumed < len(many)
    assert resumed % OWN_CHUNK == 0
    assert f"Took {resumed} papers from an earlier run of this job." in done.stdout
    undisturbed = TextEncoder(bert, SETTINGS, CPU)
    wanted = undisturbed.encode(undisturbed.tokenize(many))
    assert cosines(np.load(vectors), wanted).min() >= 0.99999
    assert not list(vectors.parent.glob("*.chunks"))


def test_sigterm_saves_what_is_being_computed(
    bert: Path, made_snapshot: Path, tmp_path: Path, script: Script
) -> None:
    many = topics(made_snapshot, 4 * OWN_CHUNK)
    vectors, manifest = tmp_path / "shards/00000.npy", tmp_path / "shards/00000.json"
    options = command_options(many, bert, vectors, manifest)
    # The signal arrives while the second chunk is being computed.
    signal_itself = f"""
from arxiv_embeddings.embedding.encoder import Encoder
plain, calls = Encoder.encode, []
def encode(*arguments):
    calls.append(1)
    if len(calls) == 2: os.kill(os.getpid(), signal.SIGTERM)
    return plain(*arguments)
sys.path.insert(0, {str(Path(command.__file__).parent)!r})
Encoder.encode = encode
"""
    done = script("embed_shard.py", *options, before=signal_itself)
    assert done.returncode == 128 + signal.SIGTERM, done.stdout
    assert "SIGTERM: what is being computed is saved" in done.stdout
    assert not vectors.exists()
    assert not list(vectors.parent.glob(".*.partial"))
    again = script("embed_shard.py", *options)
    assert again.returncode == 0, again.stdout
    assert json.loads(manifest.read_text())["papers_resumed"] == 2 * OWN_CHUNK


def test_a_job_that_dies_before_its_manifest_resumes(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    arguments = argparse.Namespace(
        papers=draw(tmp_path / "drawn.parquet", texts),
        start=0,
        stop=PAPERS,
        model=bert,
        encoder=SETTINGS,
        device="cpu",
        gpus=0,
        threads=torch.get_num_threads(),
        tokens_per_batch=None,
        vectors=tmp_path / "shards/00000.npy",
        manifest=tmp_path / "file/00000.json",
    )
    with pytest.raises(OSError, match="file"):
        command.main(arguments)
    arguments.manifest = tmp_path / "shards/00000.json"
    command.main(arguments)
    assert json.loads(arguments.manifest.read_text())["papers_resumed"] == PAPERS


# Chunks that are not what is wanted


def test_changed_texts_are_embedded_anew(job: Job, texts: list[str]) -> None:
    job.die(at=3)
    draw(job.drawn, [texts[0].upper() + "!", *texts[1:]])
    assert job.run()["papers_resumed"] == 2 * CHUNK  # the first chunk has other texts


def test_papers_in_another_order_are_embedded_anew(job: Job, texts: list[str]) -> None:
    job.die(at=3)
    draw(job.drawn, texts[::-1])
    assert job.run()["papers_resumed"] == 0


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
def test_other_settings_embed_anew(job: Job, bert: Path, change: dict[str, Any]) -> None:
    job.die(at=3)
    job.encoder = TextEncoder(bert, EncoderSettings(**SETTINGS.to_dict() | change), CPU)
    assert job.run()["papers_resumed"] == 0
    vectors = job.encoder.encode(job.encoder.tokenize([""]))
    assert np.load(job.vectors).shape == (PAPERS, vectors.shape[1])


def test_another_checkpoint_embeds_anew(job: Job, minilm: Path, tmp_path: Path) -> None:
    job.die(at=3)
    made = make_bert(minilm, tmp_path / "made")
    weights = safetensors.torch.load_file(made / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    safetensors.torch.save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    fetch_model(str(made), None, tmp_path / "fetched", SETTINGS)
    job.model, job.encoder = tmp_path / "fetched", TextEncoder(tmp_path / "fetched", SETTINGS, CPU)
    assert job.run()["papers_resumed"] == 0


@pytest.mark.parametrize("speed", [1, 300, 10**6])
def test_another_speed_setting_resumes(
    job: Job, bert: Path, wanted: np.ndarray, speed: int
) -> None:
    job.die(at=3)
    job.encoder = TextEncoder(bert, SETTINGS, CPU, tokens_per_batch=speed)
    assert job.run()["papers_resumed"] == 3 * CHUNK
    assert cosines(np.load(job.vectors), wanted).min() >= 0.99999


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-100],
        lambda data: data[:50],
        lambda data: b"",
        lambda data: flip(data, 500),
        lambda data: flip(data, len(data) - 1),
        (lambda data: flip(data, 9)),
    ],
    ids=["cut", "cut in the header", "empty", "flipped", "flipped at the end", "flipped header"],
)
def test_a_damaged_chunk_is_made_anew(
    job: Job, wanted: np.ndarray, damage: Callable[[bytes], bytes]
) -> None:
    job.die(at=3)
    chunk = next(job.chunks.glob("*.npy"))
    chunk.write_bytes(damage(chunk.read_bytes()))
    assert job.run()["papers_resumed"] == 2 * CHUNK
    assert job.encoded == 3
    assert cosines(np.load(job.vectors), wanted).min() >= 0.99999


def test_chunks_of_other_papers_under_the_same_name_are_not_taken(
    job: Job, wanted: np.ndarray
) -> None:
    job.die(at=2)
    one, other = job.chunks.glob("*.npy")
    one.write_bytes(other.read_bytes())
    assert job.run()["papers_resumed"] == CHUNK
    assert cosines(np.load(job.vectors), wanted).min() >= 0.99999


# Vectors that are no vectors


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_fail_with_the_papers(
    job: Job, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    def encode(*arguments: Any) -> np.ndarray:
        vectors = plain(*arguments)
        vectors[3, 5] = vectors[6, 0] = bad
        return vectors

    plain = job.encoder.encode
    monkeypatch.setattr(job.encoder, "encode", encode)
    with pytest.raises(
        InputError, match=f"vectors of 2 papers.*: {paper_id(3)}, {paper_id(6)}\\. "
    ):
        embed(job.drawn, 0, PAPERS, [job.encoder], job.model, job.vectors)
    assert not list(job.vectors.parent.glob("**/*.npy"))


def test_a_damaged_weight_names_the_papers_that_meet_it(
    job: Job, minilm: Path, texts: list[str], tmp_path: Path
) -> None:
    made = make_bert(minilm, tmp_path / "made")
    weights = safetensors.torch.load_file(made / "model.safetensors")
    token = transformers.AutoTokenizer.from_pretrained(minilm)("zebra")["input_ids"][1]
    weights["embeddings.word_embeddings.weight"][token] = torch.nan
    safetensors.torch.save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    fetch_model(str(made), None, tmp_path / "fetched", SETTINGS)
    job.model, job.encoder = tmp_path / "fetched", TextEncoder(tmp_path / "fetched", SETTINGS, CPU)
    draw(job.drawn, [*texts[:20], "A zebra. " + texts[20], *texts[21:]])
    with pytest.raises(InputError, match=f"vectors of 1 papers .* numbers: {paper_id(20)}\\. "):
        job.run()
    assert not job.vectors.exists()
    draw(job.drawn, texts)
    # What was finite is kept: the chunks in front, and the one behind if the other thread was that quick.
    assert job.run()["papers_resumed"] in (2 * CHUNK, 3 * CHUNK)
