"""A job that hangs ends with the stacks of its threads in the log; a slow one is left alone."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.drawn import PAPERS, SETTINGS, draw

Script = Callable[..., subprocess.CompletedProcess[str]]
SECONDS = 6.0  # on a busy machine, loading the weights may take some


def patched(what: str, code: str) -> str:
    """Return Python code that replaces ``what`` of the encoder by a function with this body."""
    return f"""
import threading, time
from arxiv_embeddings.common import watchdog
from arxiv_embeddings.embedding import encoder
calls, plain = [], encoder.{what}
def instead(*arguments):
    calls.append(1)
    {code}
    return plain(*arguments)
encoder.{what} = instead
"""


@pytest.fixture
def options(tmp_path: Path, bert: Path, texts: list[str]) -> list[object]:
    drawn = draw(tmp_path / "drawn.parquet", texts)
    options = ["--papers", drawn, "--start", 0, "--stop", PAPERS, "--shard", "ab-00000"]
    options += ["--model", bert, "--encoder", SETTINGS.to_json(), "--store", tmp_path / "vectors"]
    options += ["--done", tmp_path / "done.json", "--log", tmp_path / "shard.log"]
    return [*options, "--tokens-per-batch", 128, "--no-progress-minutes", SECONDS / 60]


@pytest.mark.parametrize(
    ("what", "stack"),
    [("Encoder._forward", "in _encode_batch"), ("load_model", "in load_encoder")],
)
def test_a_job_that_hangs_is_ended(
    what: str, stack: str, options: list[object], tmp_path: Path, script: Script
) -> None:
    hang = "time.sleep(600) if len(calls) == 1 else None"
    done = script("embed_shard.py", *options, before=patched(what, hang))
    assert done.returncode == 1, done.stdout
    log = (tmp_path / "shard.log").read_text()
    assert " ERROR No progress for 6 s: this process hangs and ends here" in log
    for text in (log, done.stdout):
        assert "in instead" in text and stack in text and "in embed_shard" in text
    assert not (tmp_path / "done.json").exists()
    again = script("embed_shard.py", *options)
    assert again.returncode == 0, again.stdout


def test_a_job_whose_interpreter_hangs_is_ended(
    options: list[object], tmp_path: Path, script: Script
) -> None:
    """As in a driver that never returns and keeps Python's lock."""
    hang = "import ctypes; ctypes.PyDLL(None).sleep(600)"
    before = "from arxiv_embeddings.common import watchdog; watchdog.GRACE_SECONDS = 1\n"
    done = script("embed_shard.py", *options, before=before + patched("load_model", hang))
    assert done.returncode == 1, done.stdout
    log = (tmp_path / "shard.log").read_text()
    assert "Timeout (" in log and "in instead" in log and "in load_encoder" in log


def test_a_slow_job_that_makes_progress_is_not_ended(
    options: list[object], tmp_path: Path, script: Script
) -> None:
    options[-1] = 8 / 60
    slowly = patched("Encoder._forward", "time.sleep(0.75)")
    done = script("embed_shard.py", *options, before=slowly, after="assert len(calls) * 0.75 > 8")
    assert done.returncode == 0, done.stdout
    assert "No progress" not in (tmp_path / "shard.log").read_text()


def test_a_thread_that_hangs_does_not_keep_a_failed_job_from_ending(
    options: list[object], tmp_path: Path, script: Script
) -> None:
    fail = "threading.Thread(target=time.sleep, args=(600,)).start(); raise ValueError('broken')"
    done = script("embed_shard.py", *options, before=patched("load_model", fail))
    assert done.returncode == 1, done.stdout
    log = (tmp_path / "shard.log").read_text()
    assert "ValueError: broken" in log and "ERROR No progress for 6 s" in log


def test_a_limit_of_no_time_is_refused(options: list[object], script: Script) -> None:
    """Otherwise every job would end at once."""
    options[-1] = 0
    done = script("embed_shard.py", *options)
    assert done.returncode == 2
    assert "argument --no-progress-minutes: 0 is not above 0" in done.stdout + (done.stderr or "")
