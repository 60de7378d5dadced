"""The progress of each shard, from files in the results and from squeue."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.slurm.shard_states import ModelState, read_state, whole_rows
from arxiv_embeddings.slurm.status import status_lines
from support.slurm_runs import MODEL, START, chunk, finish, queued, record_in


def names(state: ModelState) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the shards that are done, running and waiting."""
    done = [shard.name for shard in state.done]
    running = [shard.name for shard in state.running]
    return done, running, [shard.name for shard in state.waiting]


def test_done_needs_both_files_of_the_shard(folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START + 10)
    # Vectors alone, and a manifest alone.
    finish(record, "00001", START + 10).unlink()
    finish(record, "00002", START + 10).with_suffix(".npy").unlink()
    # Of another shard size, and of a larger sample.
    finish(record, "00003", START + 10, start=0, stop=100)
    finish(record, "00007", START + 10)
    state = read_state(record, MODEL, [])
    waiting = ["00001", "00002", "00003", "00004", "00005", "00006"]
    assert names(state) == (["00000"], [], waiting)
    assert (state.total, state.papers, state.papers_done) == (7, 2100, 300)


def test_shards_with_files_count_before_the_sample_is_known(folder: Path) -> None:
    record = record_in(folder, papers=None)
    assert names(read_state(record, MODEL, None)) == ([], [], [])
    finish(record, "00002", START + 10)
    finish(record, "00001", START + 10).unlink()
    # At most one shard's papers count, whatever earlier settings left behind.
    chunk(record, "00004", "a", rows=200, written=START)
    chunk(record, "00004", "b", rows=200, written=START)
    state = read_state(record, MODEL, None)
    assert names(state) == (["00002"], ["00004"], ["00001"])
    assert (state.total, state.papers, state.eta) == (None, None, None)
    assert state.papers_done == 600
    (folder / "filter.json").write_text('{"snapshot": {"bytes": 1}, "records": {"kept": 450}}')
    assert read_state(record_in(folder, papers=None), MODEL, None).total == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1]", '"x"', "\xff", "{}"),
        *('{"start": "a", "seconds": []}', '{"start": 0}', '{"stop": 300}'),
    ],
)
def test_a_shard_whose_manifest_cannot_be_read_is_done(text: str, folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START + 10).write_text(text, encoding="latin-1")
    state = read_state(record, MODEL, [])
    assert state.papers_done == 300
    assert state.done[0].number("seconds") == 0
    assert state.done[0].rate("papers_per_second") is None
    # Without the size of the sample, the number of its papers is unknown.
    assert read_state(record_in(folder, papers=None), MODEL, []).papers_done == 0


def test_chunks_are_counted_by_their_headers(folder: Path) -> None:
    record = record_in(folder)
    chunk(record, "00000", "a", rows=100, written=START + 5)
    # Two files of one chunk count once.
    other_sum = chunk(record, "00000", "b", rows=60, written=START + 6)
    other_sum.rename(other_sum.with_name("b-othersum.npy"))
    chunk(record, "00000", "b", rows=60, written=START + 6)
    truncated = chunk(record, "00000", "c", rows=50, written=START + 7)
    truncated.write_bytes(truncated.read_bytes()[:-1])
    partial = chunk(record, "00000", "d", rows=50, written=START + 7)
    partial.rename(partial.with_name(".d-sum.npy.host-1.partial"))
    hidden = chunk(record, "00000", "g", rows=50, written=START + 7)
    hidden.rename(hidden.with_name(".g-sum.npy"))
    (truncated.parent / "e-sum.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff")
    (truncated.parent / "f-sum.npy").mkdir()
    (shard,) = read_state(record, MODEL, None).running
    assert shard.chunk_papers == 160
    assert shard.last_chunk == START + 6


def test_the_chunks_of_a_shard_count_at_most_its_papers(folder: Path) -> None:
    record = record_in(folder, papers=350)
    for key in "abc":
        chunk(record, "00001", key, rows=30, written=START + 5)
    state = read_state(record, MODEL, None)
    assert state.papers_done == 50
    assert state.running[0].fresh_papers == 50


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUM", b"\x93NUMPY\x03\x00", b"\x93NUMPY\x01\x00\x06\x00{1:2}\n", b"x" * 99],
)
def test_rows_of_damaged_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.npy"
    path.write_bytes(content)
    assert whole_rows(path) == 0
    assert whole_rows(tmp_path / "missing.npy") == 0
    np.save(path, np.zeros((5, 2), np.float32))
    assert whole_rows(path) == 5
    np.save(path, np.zeros(5, np.float32))
    assert whole_rows(path) == 0


def test_squeue_decides_which_shards_are_running(folder: Path) -> None:
    record = record_in(folder)
    # A job that died left a chunk.
    chunk(record, "00001", "a", rows=100, written=START + 5)
    jobs = [
        queued("00002", "RUNNING"),
        queued("00003", "PENDING"),
        queued("00004", "RUNNING", model="other"),
    ]
    state = read_state(record, MODEL, jobs)
    assert names(state) == ([], ["00002"], ["00000", "00001", "00003", "00004", "00005", "00006"])
    assert state.papers_done == 100
    assert state.running[0].job == jobs[0]
    assert [shard.jobs for shard in state.waiting if shard.jobs] == [[jobs[1]]]
    assert all(shard.job is None for shard in state.waiting)


def test_files_decide_which_shards_are_running_where_squeue_does_not_answer(folder: Path) -> None:
    record = record_in(folder)
    chunk(record, "00001", "a", rows=100, written=START + 5)
    shards = folder / MODEL / "shards"
    (shards / ".00002.npy.node1-17.partial").touch()
    (shards / ".00003.json.node1-17.partial").touch()
    (shards / "00004.npy").touch()
    finish(record, "00000", START + 1)
    # The chunks of a finished shard are about to be removed.
    (shards / "00000.chunks").mkdir()
    state = read_state(record, MODEL, None)
    assert names(state) == (["00000"], ["00001", "00002"], ["00003", "00004", "00005", "00006"])


def test_rates_and_eta(folder: Path) -> None:
    record = record_in(folder)
    # Of an earlier run.
    finish(record, "00000", START - 1000)
    # The first job waited in the queue for 100 s.
    finish(record, "00001", START + 110, seconds=10)
    finish(record, "00002", START + 120, seconds=8)
    chunk(record, "00003", "a", rows=90, written=START + 130)
    chunk(record, "00004", "a", rows=40, written=START - 900)
    state = read_state(record, MODEL, None, now=START + 150)
    assert state.papers_done == 1030
    assert state.run_rate == pytest.approx(690 / 150)
    assert state.recent_rate == pytest.approx(690 / 30)
    assert state.eta == pytest.approx((2100 - 1030) / 23)
    stalled = read_state(record, MODEL, None, now=START + 130 + 690)
    assert stalled.recent_rate == pytest.approx(1)


def test_the_recent_rate_ends_with_the_last_progress(folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START + 10, seconds=10)
    finish(record, "00001", START + 20, seconds=10)
    assert read_state(record, MODEL, None, now=START + 20).recent_rate == 30
    assert read_state(record, MODEL, None, now=START + 40).recent_rate == 30
    assert read_state(record, MODEL, None, now=START + 50).recent_rate == 20


def test_files_written_in_the_second_of_the_start_belong_to_the_run(folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START, seconds=10)
    chunk(record, "00001", "a", rows=90, written=START)
    state = read_state(record, MODEL, None, now=START + 10)
    assert state.run_rate == pytest.approx(39)
    assert state.recent_rate == pytest.approx(39)


def test_the_rate_of_the_run_gives_the_eta_until_a_shard_is_done(folder: Path) -> None:
    record = record_in(folder)
    chunk(record, "00001", "a", rows=100, written=START + 5)
    state = read_state(record, MODEL, None, now=START + 50)
    assert (state.run_rate, state.recent_rate) == (2, None)
    assert state.eta == 1000
    assert read_state(record, MODEL, None, now=START).eta is None


@pytest.mark.parametrize("shards", [20, 21, 30])
def test_rate_of_the_last_20_shards(shards: int, folder: Path) -> None:
    record = record_in(folder, papers=300 * 50)
    for number in range(shards):
        # The shards before the last 20 were slow.
        slow = max(shards - 20, 1)
        seconds = 100 * min(number + 1, slow) + 10 * max(number + 1 - slow, 0)
        finish(record, f"{number:05d}", START + seconds, seconds=10)
    now = START + seconds
    chunk(record, "00040", "a", rows=250, written=now)
    state = read_state(record, MODEL, None, now=now)
    # Of 20 shards or fewer all count, with the chunks and without the time in the queue.
    expected = 30 if shards > 20 else (20 * 300 + 250) / 200
    assert state.recent_rate == pytest.approx(expected)
    remaining = (50 - shards) * 300 - 250
    assert state.eta == pytest.approx(remaining / expected)
    later = read_state(record, MODEL, None, now=now + 6000)
    assert later.recent_rate == pytest.approx((6000 if shards > 20 else 6250) / 6000)


def test_nothing_is_left_to_do_once_all_papers_are_done(folder: Path) -> None:
    record = record_in(folder, papers=300)
    finish(record, "00000", START + 10)
    assert read_state(record, MODEL, None, now=START + 10).eta == 0


def test_a_model_is_merged_once_it_has_a_manifest(folder: Path) -> None:
    record = record_in(folder)
    assert not read_state(record, MODEL, None).merged
    (folder / MODEL).mkdir()
    (folder / MODEL / "manifest.json").touch()
    assert read_state(record, MODEL, None).merged


def lines_executed(function: Callable[..., Any], *arguments: Any) -> int:
    """Return how many lines of this project a call executes, each pass of a loop counted."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if "arxiv_embeddings" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", ["done", "running", "queued"])
def test_status_takes_time_in_proportion_to_the_shards(kind: str, folder: Path) -> None:
    counts = []
    for shards in (100, 200):
        record = record_in(folder, papers=shards * 300)
        every = [f"{number:05d}" for number in range(shards)]
        jobs = [queued(name, "PENDING") for name in every] if kind == "queued" else None
        for name in every:
            if kind == "done":
                finish(record, name, START + 10)
            if kind == "running":
                (folder / MODEL / "shards").mkdir(parents=True, exist_ok=True)
                (folder / MODEL / "shards" / f".{name}.npy.node1-17.partial").touch()
        counts.append(lines_executed(status_lines, record, jobs, START + 20))
    assert counts[1] < 2.1 * counts[0]
