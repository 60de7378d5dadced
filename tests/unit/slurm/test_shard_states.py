"""The progress of each shard, from files in the results and from squeue."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from arxiv_embeddings.slurm.shard_states import ModelState, read_state
from arxiv_embeddings.slurm.status import status_lines
from support.slurm_runs import (
    LOOKUP,
    MODEL,
    START,
    chunk,
    finish,
    look_up,
    piece,
    planned_in,
    queued,
    record_in,
    report,
    shard_name,
)


def names(state: ModelState) -> tuple[list[int], list[int], list[int]]:
    """Return the numbers of the shards that are done, running and waiting."""
    kinds = state.done, state.running, state.waiting
    done, running, waiting = (
        [int(shard.name.removeprefix(f"{LOOKUP}-")) for shard in shards] for shards in kinds
    )
    return done, running, waiting


def test_a_shard_is_done_once_its_job_says_so(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 10)
    # Vectors alone: the job was killed before its end.
    finish(record, 1, START + 10).unlink()
    # Of an earlier look-up.
    other = finish(record, 3, START + 10)
    other.rename(other.with_name("00000000-00003.json"))
    # Beyond the last shard.
    report(record, 7, START + 10, papers=300, embedded=300)
    state = read_state(record, MODEL, [])
    assert names(state) == ([0], [], [1, 2, 3, 4, 5, 6])
    assert (state.total, state.papers, state.papers_done) == (7, 2100, 900)


def test_nothing_is_known_before_the_store_was_searched(folder: Path) -> None:
    record = record_in(folder)
    state = read_state(record, MODEL, None)
    assert names(state) == ([], [], [])
    assert (state.total, state.papers, state.papers_done) == (None, 2100, 0)
    # The look-up of an earlier run, of another sample size.
    look_up(record, papers=600, missing=600)
    assert read_state(record, MODEL, None).total is None
    look_up(record)
    assert read_state(record, MODEL, None).total == 7
    # A sample of all papers: how many is known once the filter has finished.
    state = read_state(record_in(folder, papers=None), MODEL, None)
    assert (state.total, state.papers, state.eta) == (None, None, None)
    (folder / "filter.json").write_text('{"snapshot": {"bytes": 1}, "records": {"kept": 450}}')
    look_up(record, papers=450, missing=450)
    state = read_state(record_in(folder, papers=None), MODEL, None)
    assert (state.total, state.papers) == (2, 450)


def test_found_and_repeated_papers_need_no_shard(folder: Path) -> None:
    record = record_in(folder)
    look_up(record, found=1490, missing=600)
    finish(record, 0, START + 10)
    state = read_state(record, MODEL, [])
    assert names(state) == ([0], [], [1])
    assert (state.found, state.repeated, state.papers_done) == (1490, 10, 1800)
    finish(record, 1, START + 20)
    assert read_state(record, MODEL, []).papers_done == 2100


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"lookup": "a", "papers": "b"}'])
def test_a_lookup_that_cannot_be_read_is_as_none(text: str, folder: Path) -> None:
    record = record_in(folder)
    look_up(record).write_text(text)
    assert read_state(record, MODEL, None).total is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\xff", "{}"])
def test_a_shard_whose_manifest_cannot_be_read_is_done(text: str, folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 10).write_text(text, encoding="latin-1")
    finish(record, 1, START + 10)
    (manifest,) = (folder / MODEL / "vectors").glob(f"{shard_name(1)}-*.json")
    manifest.write_text(text, encoding="latin-1")
    state = read_state(record, MODEL, [])
    assert state.papers_done == 600
    for shard in state.done:
        assert shard.manifest == {}
        assert shard.number("seconds") == 0
        assert shard.rate("papers_per_second") is None


def test_a_shard_without_its_vectors_is_done(folder: Path) -> None:
    """They are removed from the store after merging where the config says so."""
    record = planned_in(folder, papers=300)
    finish(record, 0, START + 10)
    for file in (folder / MODEL / "vectors").iterdir():
        file.unlink()
    (shard,) = read_state(record, MODEL, []).done
    assert shard.manifest["embedded"] == 300
    assert shard.rate("papers_per_second") is None


def test_rates_of_a_resumed_shard_are_those_of_its_last_job(folder: Path) -> None:
    record = planned_in(folder)
    chunk(record, 0, "a", rows=200, written=START + 5)
    piece(record, 0, "b", rows=100, written=START + 15, seconds=4.0)
    report(record, 0, START + 16, papers=300, embedded=100)
    (shard,) = read_state(record, MODEL, []).done
    assert (shard.papers, shard.number("seconds")) == (300, 4)
    assert shard.rate("papers_per_second") == 25


def test_chunks_are_counted_by_their_manifests(folder: Path) -> None:
    record = planned_in(folder)
    chunk(record, 0, "a", rows=100, written=START + 5)
    chunk(record, 0, "b", rows=60, written=START + 6)
    chunk(record, 0, "c", rows=50, written=START + 7).write_text("{")
    # Vectors without a manifest are not there yet.
    partial = chunk(record, 0, "d", rows=50, written=START + 7)
    partial.rename(partial.with_name(f".{partial.name}.host-1.partial"))
    # Of another look-up, which may plan a shard of the same number.
    other = chunk(record, 0, "e", rows=50, written=START + 7)
    other.rename(other.with_name("00000000-00000-abcdef01.json"))
    (shard,) = read_state(record, MODEL, None).running
    assert shard.chunk_papers == 160
    assert shard.last_chunk == START + 6


def test_the_chunks_of_a_shard_count_at_most_its_papers(folder: Path) -> None:
    """While a job joins its chunks, they lie beside the whole."""
    record = planned_in(folder, papers=350)
    for key in "abc":
        chunk(record, 1, key, rows=30, written=START + 5)
    state = read_state(record, MODEL, None)
    assert state.papers_done == 50
    assert state.running[0].fresh_papers == 50


def test_squeue_decides_which_shards_are_running(folder: Path) -> None:
    record = planned_in(folder)
    # A job that died left a chunk.
    chunk(record, 1, "a", rows=100, written=START + 5)
    jobs = [
        queued(2, "RUNNING"),
        queued(3, "PENDING"),
        queued(4, "RUNNING", model="other"),
    ]
    state = read_state(record, MODEL, jobs)
    assert names(state) == ([], [2], [0, 1, 3, 4, 5, 6])
    assert state.papers_done == 100
    assert state.running[0].job == jobs[0]
    assert [shard.jobs for shard in state.waiting if shard.jobs] == [[jobs[1]]]
    assert all(shard.job is None for shard in state.waiting)


def test_files_decide_which_shards_are_running_where_squeue_does_not_answer(folder: Path) -> None:
    record = planned_in(folder)
    chunk(record, 1, "a", rows=100, written=START + 5)
    store = folder / MODEL / "vectors"
    (store / f".{shard_name(2)}-abcdef01.npy.node1-17.partial").touch()
    (store / f".{shard_name(3)}-abcdef01.json.node1-17.partial").touch()
    (store / f"{shard_name(4)}-abcdef01.npy").touch()
    finish(record, 0, START + 1)
    state = read_state(record, MODEL, None)
    assert names(state) == ([0], [1, 2], [3, 4, 5, 6])


def test_rates_and_eta(folder: Path) -> None:
    record = planned_in(folder)
    # Of an earlier run.
    finish(record, 0, START - 1000)
    # The first job waited in the queue for 100 s.
    finish(record, 1, START + 110, seconds=10)
    finish(record, 2, START + 120, seconds=8)
    chunk(record, 3, "a", rows=90, written=START + 130)
    chunk(record, 4, "a", rows=40, written=START - 900)
    state = read_state(record, MODEL, None, now=START + 150)
    assert state.papers_done == 1030
    assert state.run_rate == pytest.approx(690 / 150)
    assert state.recent_rate == pytest.approx(690 / 30)
    assert state.eta == pytest.approx((2100 - 1030) / 23)
    stalled = read_state(record, MODEL, None, now=START + 130 + 690)
    assert stalled.recent_rate == pytest.approx(1)


def test_the_recent_rate_ends_with_the_last_progress(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 10, seconds=10)
    finish(record, 1, START + 20, seconds=10)
    assert read_state(record, MODEL, None, now=START + 20).recent_rate == 30
    assert read_state(record, MODEL, None, now=START + 40).recent_rate == 30
    assert read_state(record, MODEL, None, now=START + 50).recent_rate == 20


def test_files_written_in_the_second_of_the_start_belong_to_the_run(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START, seconds=10)
    chunk(record, 1, "a", rows=90, written=START)
    state = read_state(record, MODEL, None, now=START + 10)
    assert state.run_rate == pytest.approx(39)
    assert state.recent_rate == pytest.approx(39)


def test_the_rate_of_the_run_gives_the_eta_until_a_shard_is_done(folder: Path) -> None:
    record = planned_in(folder)
    chunk(record, 1, "a", rows=100, written=START + 5)
    state = read_state(record, MODEL, None, now=START + 50)
    assert (state.run_rate, state.recent_rate) == (2, None)
    assert state.eta == 1000
    assert read_state(record, MODEL, None, now=START).eta is None


@pytest.mark.parametrize("shards", [20, 21, 30])
def test_rate_of_the_last_20_shards(shards: int, folder: Path) -> None:
    record = planned_in(folder, papers=300 * 50)
    for number in range(shards):
        # The shards before the last 20 were slow.
        slow = max(shards - 20, 1)
        seconds = 100 * min(number + 1, slow) + 10 * max(number + 1 - slow, 0)
        finish(record, number, START + seconds, seconds=10)
    now = START + seconds
    chunk(record, 40, "a", rows=250, written=now)
    state = read_state(record, MODEL, None, now=now)
    # Of 20 shards or fewer all count, with the chunks and without the time in the queue.
    expected = 30 if shards > 20 else (20 * 300 + 250) / 200
    assert state.recent_rate == pytest.approx(expected)
    remaining = (50 - shards) * 300 - 250
    assert state.eta == pytest.approx(remaining / expected)
    later = read_state(record, MODEL, None, now=now + 6000)
    assert later.recent_rate == pytest.approx((6000 if shards > 20 else 6250) / 6000)


def test_nothing_is_left_to_do_once_all_papers_are_done(folder: Path) -> None:
    record = planned_in(folder, papers=300)
    finish(record, 0, START + 10)
    assert read_state(record, MODEL, None, now=START + 10).eta == 0


def test_a_model_is_merged_once_it_has_a_manifest(folder: Path) -> None:
    record = planned_in(folder)
    assert not read_state(record, MODEL, None).merged
    manifest = folder / MODEL / "manifest.json"
    manifest.touch()
    assert read_state(record, MODEL, None).merged
    # Of the run before: the store was searched after it.
    os.utime(manifest, (START - 1, START - 1))
    assert not read_state(record, MODEL, None).merged


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
        record = planned_in(folder, papers=shards * 300)
        every = range(shards)
        jobs = [queued(shard, "PENDING") for shard in every] if kind == "queued" else None
        for shard in every:
            if kind == "done":
                finish(record, shard, START + 10)
            if kind == "running":
                name = f".{shard_name(shard)}-abcdef01.npy.node1-17.partial"
                (folder / MODEL / "vectors").mkdir(exist_ok=True)
                (folder / MODEL / "vectors" / name).touch()
        counts.append(lines_executed(status_lines, record, jobs, START + 20))
    assert counts[1] < 2.1 * counts[0]
