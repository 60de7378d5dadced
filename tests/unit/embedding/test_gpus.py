"""A job with several GPUs runs a process for each. GPUs are simulated: each process computes on the CPU."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.embedding.store import VectorStore, pieces_in, text_keys
from support.drawn import PAPERS, SETTINGS, draw, paper_id
from support.models import TextEncoder, cosines, topics

Script = Callable[..., subprocess.CompletedProcess[str]]
GPUS = 2
SIMULATED = f"""
from arxiv_embeddings.embedding import devices
devices.number_of_devices = lambda *_: {GPUS}
"""
LONG = 3_000


def options_of(drawn: Path, papers: int, model: Path, folder: Path) -> list[object]:
    options = ["--papers", drawn, "--start", 0, "--stop", papers, "--shard", "ab-00000"]
    options += ["--model", model, "--encoder", SETTINGS.to_json(), "--store", folder / "vectors"]
    return [*options, "--threads", 1, "--done", folder / "done.json", "--log", folder / "log"]


def test_the_vectors_are_those_of_one_device_in_one_piece(
    bert: Path, loaded: TextEncoder, texts: list[str], tmp_path: Path, script: Script
) -> None:
    drawn = draw(tmp_path / "drawn.parquet", texts)
    options = options_of(drawn, PAPERS, bert, tmp_path)
    done = script("embed_shard.py", *options, before=SIMULATED)
    assert done.returncode == 0, done.stdout
    [piece] = pieces_in(tmp_path / "vectors")
    assert (piece.rows["text"] == text_keys(texts)).all()
    expected = loaded.encode(loaded.tokenize(texts))
    assert cosines(np.array(piece.vectors), expected).min() >= 0.99999
    assert piece.manifest.device["count"] == GPUS
    assert piece.manifest.seconds > 0
    assert json.loads((tmp_path / "done.json").read_text()) == {
        **{"shard": "ab-00000", "papers": PAPERS, "found": 0, "embedded": PAPERS},
        "piece": piece.name,
    }
    log = (tmp_path / "log").read_text()
    assert "Starting a process for each of 2 GPUs." in log
    for gpu in range(GPUS):
        assert f" INFO GPU {gpu}: Encoding on " in log
    again = script("embed_shard.py", *options, before=SIMULATED)
    assert f"Of {PAPERS} papers {PAPERS} were in the vector store." in again.stdout
    assert "Starting" not in again.stdout


def test_one_paper_needs_no_other_process(
    bert: Path, texts: list[str], tmp_path: Path, script: Script
) -> None:
    options = options_of(draw(tmp_path / "drawn.parquet", texts), 1, bert, tmp_path)
    done = script("embed_shard.py", *options, before=SIMULATED)
    assert done.returncode == 0, done.stdout
    assert pieces_in(tmp_path / "vectors")[0].manifest.device["count"] == 1


def test_an_error_of_one_process_ends_the_job_with_its_message(
    bert: Path, texts: list[str], tmp_path: Path, script: Script
) -> None:
    texts = texts[: PAPERS - 1]
    drawn = tmp_path / "drawn.jsonl"
    papers = [{"id": paper_id(row), "topic": text} for row, text in enumerate(texts)]
    # The last process cannot read its last paper.
    drawn.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    options = options_of(drawn, PAPERS - 1, bert, tmp_path)
    broken = SIMULATED + (
        "plain = devices.number_of_devices\n"
        "def cut(*_):\n"
        f"    os.truncate({str(drawn)!r}, os.path.getsize({str(drawn)!r}) - 20)\n"
        "    return plain()\n"
        "devices.number_of_devices = cut\n"
    )
    done = script("embed_shard.py", *options, before=broken)
    assert done.returncode == 1, done.stdout
    assert " ERROR GPU 1: " in done.stdout
    assert "Process 2 of 2 failed, see its messages above, so the others were stopped." in (
        done.stdout
    )
    assert not (tmp_path / "done.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_is_ended_resumes(
    bert: Path,
    loaded: TextEncoder,
    made_snapshot: Path,
    tmp_path: Path,
    script: Script,
    number: int,
) -> None:
    texts = topics(made_snapshot, 2_000)
    texts += [f"{text} again" for text in texts[: LONG - len(texts)]]
    drawn = draw(tmp_path / "drawn.parquet", texts)
    options = options_of(drawn, LONG, bert, tmp_path)
    store = tmp_path / "vectors"
    scripts = Path(__file__).parents[3] / "workflow/scripts"
    code = f"import runpy, sys; sys.argv[:] = sys.argv[1:]\n{SIMULATED}\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    slowly = ["--tokens-per-batch", "1"]
    job = subprocess.Popen(
        [sys.executable, "-c", code, str(scripts / "embed_shard.py"), *map(str, options), *slowly],
        env={**os.environ, "PYTHONPATH": str(scripts)},
    )
    while job.poll() is None and not list(store.glob("*.json")):
        try:
            job.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    job.send_signal(number)
    assert job.wait() == (128 + number if number == signal.SIGTERM else -number)
    done = script("embed_shard.py", *options)
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "done.json").read_text())["found"]
    assert 0 < found < LONG
    vectors = VectorStore(pieces_in(store))
    positions = vectors.find(text_keys(texts))
    assert (positions >= 0).all()
    expected = loaded.encode(loaded.tokenize(texts))
    assert cosines(vectors.gather(positions)[0], expected).min() >= 0.99999
