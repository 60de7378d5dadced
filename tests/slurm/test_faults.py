"""After failures of jobs, a run still ends with the embeddings of an undisturbed run."""

import collections
import contextlib
import datetime
import os
import signal
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from slurm.cluster import NODES, wait_for
from slurm.conftest import (
    FEW,
    LONG,
    SHARDS,
    SHORT,
    TWO,
    Prepared,
    SlurmWorkflow,
    assert_resumed,
    check,
    mounted,
)


def seconds(end: str, start: str) -> float:
    """Return the seconds between two times in the format of sacct."""
    ended, started = map(datetime.datetime.fromisoformat, (end, start))
    return (ended - started).total_seconds()


def times_run(workflow: SlurmWorkflow) -> dict[str, int]:
    """Return the number of executions of each shard."""
    return collections.Counter(attempt.comment for attempt in workflow.attempts())


def test_undisturbed_run_uses_both_nodes_and_no_gpu_twice(
    shards: SlurmWorkflow, short: Prepared
) -> None:
    shards.finish(shards.start(**SHORT))
    check(shards, short)
    assert not list(shards.results.rglob("*.partial"))
    assert [piece.manifest.shard for piece in shards.pieces()] == shards.shard_names()
    attempts = shards.attempts()
    assert len(attempts) == SHARDS
    assert {attempt.state for attempt in attempts} == {"COMPLETED"}
    assert {attempt.node for attempt in attempts} == set(NODES)
    assert all(attempt.gpus == 1 for attempt in attempts)
    # A node has two GPUs.
    for one in attempts:
        beside = [
            other
            for other in attempts
            if other.node == one.node and other.start <= one.start < other.end
        ]
        assert len(beside) <= 2
    logs = [path.read_text() for path in (shards.folder / "logs/test/minilm").rglob("*.log")]
    assert sum("SLURM job" in log and "GPU" in log for log in logs) >= SHARDS


def test_a_cancelled_shard_is_run_again(shards: SlurmWorkflow, short: Prepared) -> None:
    run = shards.start(**TWO)
    comment, job = next(iter(shards.wait_for_running().items()))
    shards.cluster.run("scancel", job)
    shards.finish(run)
    check(shards, short)
    states = [attempt.state for attempt in shards.attempts() if attempt.comment == comment]
    assert len(states) == 2
    assert any(state.startswith("CANCELLED") for state in states)
    assert sum(times_run(shards).values()) == 3


def test_a_shard_over_its_memory_limit_gets_more_memory(
    shards: SlurmWorkflow, short: Prepared
) -> None:
    if not shards.cluster.cgroup:
        pytest.skip("memory limits are not enforced here: SLURM cannot use cgroups")
    memory = "embed_shard:mem_mb=400"
    output = shards.finish(shards.start(memory, sample={"size": 10}, shards={"size": 10})).output
    assert "OUT_OF_MEMORY" in output
    *failed, last = [attempt.state for attempt in shards.attempts()]
    assert failed
    # The state is FAILED if only a step ran out of memory.
    assert set(failed) <= {"OUT_OF_MEMORY", "FAILED"}
    assert last == "COMPLETED"
    check(shards, short)


def suspend_shards(folder: Path) -> None:
    """Suspend the processes that embed shards of this working directory, as if the node were very slow."""
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end in the meantime.
        with contextlib.suppress(OSError):
            embeds = b"embed_shard.py" in (process / "cmdline").read_bytes()
            if embeds and (process / "cwd").resolve() == folder:
                os.kill(int(process.name), signal.SIGSTOP)


@pytest.mark.slow
def test_a_shard_over_its_time_limit_gets_more_time_and_resumes(
    long_shard: SlurmWorkflow, long: Prepared
) -> None:
    # The first chunk must be saved before this limit, also on a busy machine.
    run = long_shard.start("embed_shard:runtime=3 if attempt == 1 else 10", **LONG)
    long_shard.wait_for_chunk()
    suspend_shards(long_shard.folder)
    output = long_shard.finish(run).output
    assert "TIMEOUT" in output
    assert [attempt.state for attempt in long_shard.attempts()] == ["TIMEOUT", "COMPLETED"]
    check(long_shard, long)
    assert_resumed(long_shard)


def test_a_crash_in_one_shard_shows_its_traceback_and_does_not_affect_other_shards(
    shards: SlurmWorkflow, short: Prepared
) -> None:
    run = shards.start("--retries", "0", **TWO)
    minilm = shards.results / "minilm"
    wait_for((minilm / "lookup.json").exists, 120, "the look-up is written")
    missing = np.load(minilm / "missing.npy")
    # Rows of the last shard that are not ascending, which is an error of the program.
    missing[14] = 5_000
    np.save(minilm / "missing.npy", missing)
    output = shards.finish(run, code=1).output
    assert "Traceback" in output
    assert "ValueError: Rows must be ascending" in output
    names = [f"{name}.json" for name in shards.shard_names()]
    assert sorted(path.name for path in minilm.glob("shards/*.json")) == names[:-1]
    again = shards.finish(shards.start(**TWO))
    assert again.jobs == {"find_vectors": 1, "embed_shard": 1, "merge_vectors": 1}
    check(shards, short)


def test_a_shard_that_hangs_is_ended_and_run_again(shards: SlurmWorkflow, short: Prepared) -> None:
    run = shards.start(
        "embed_shard:no_progress_minutes=1", sample={"size": 10}, shards={"size": 10}
    )
    minilm = shards.results / "minilm"
    wait_for((minilm / "lookup.json").exists, 120, "the look-up is written")
    # Whoever reads it waits, as for a file server that does not answer.
    (minilm / "missing.npy").rename(minilm / "aside")
    os.mkfifo(minilm / "missing.npy")
    [name] = shards.shard_names()
    log = shards.folder / f"logs/test/minilm/embed_shard/{name}.log"
    wait_for(
        lambda: log.exists() and "ERROR No progress for 1 min" in log.read_text(), 240, "it ends"
    )
    (minilm / "aside").rename(minilm / "missing.npy")
    output = shards.finish(run).output
    assert "this process hangs and ends here" in output
    assert 'embed_shard.py", line' in output
    *hung, last = [attempt.state for attempt in shards.attempts()]
    assert set(hung) == {"FAILED"}
    assert last == "COMPLETED"
    check(shards, short)


@pytest.fixture
def small_disk(shards: SlurmWorkflow) -> Iterator[Path]:
    """Mount a small disk for the vectors."""
    place = shards.results / "minilm"
    place.mkdir()
    with mounted(place, "size=64k"):
        yield place


def test_a_full_disk_is_reported_and_the_next_run_resumes(
    shards: SlurmWorkflow, short: Prepared, small_disk: Path
) -> None:
    output = shards.finish(shards.start("--retries", "0", **FEW), code=1).output
    assert "No space left on device" in output
    for piece in shards.pieces():
        # A piece with a manifest is complete.
        piece.verify()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    shards.finish(shards.start(**FEW))
    check(shards, short)


def test_a_job_without_a_visible_gpu_fails_at_once(shards: SlurmWorkflow) -> None:
    shards.configure(sample={"size": 10}, shards={"size": 10})
    del shards.env["EMBED_DEVICE"]
    command = shards.command("--retries", "0")
    done = subprocess.run(command, env=shards.env, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "was given a GPU but sees none" in output
    assert not list(shards.results.glob("minilm/vectors/*.npy"))


@pytest.mark.slow
def test_a_hundred_small_shards(shards: SlurmWorkflow, short: Prepared) -> None:
    """Also prints the overhead of a shard, for the benchmarks."""
    hundred = {**SHORT, "sample": {"size": 100}, "shards": {"size": 1}}
    shards.finish(shards.start(**hundred))
    attempts = shards.attempts()
    assert [attempt.state for attempt in attempts] == ["COMPLETED"] * 100
    cosines = (shards.embeddings()[:80] * short.embeddings).sum(axis=1)
    assert cosines.min() > 0.99999
    elapsed = [seconds(attempt.end, attempt.start) for attempt in attempts]
    embedding = [piece.manifest.seconds for piece in shards.pieces()]
    span = max(attempt.end for attempt in attempts), min(attempt.start for attempt in attempts)
    print(
        f"seconds per job, median: {statistics.median(elapsed):.1f}; of which embedding, median: "
        f"{statistics.median(embedding):.2f}; from the first start to the last end: {seconds(*span):.0f}"
    )
