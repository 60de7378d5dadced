"""The progress of a run, and the summary of its jobs, as lines of text."""

import collections
import contextlib
import datetime
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..common.progress import duration
from .jobs import UNFINISHED_STATES, Attempt, QueuedJob
from .reasons import waiting_lines
from .run_record import RunRecord
from .shard_states import DoneShard, ModelState, OpenShard, read_state


def status_lines(
    record: RunRecord, jobs: Sequence[QueuedJob] | None, now: float | None = None
) -> list[str]:
    """Return the lines that ``show_status.py`` prints for a corpus.

    Args:
        record: of the run.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch; None for the current time.
    """
    now = time.time() if now is None else now
    age = duration(now - record.started.timestamp())
    kind = "SLURM jobs" if record.executor == "slurm" else f"{record.executor} jobs"
    lines = [f"{record.folder}: {kind}, started {record.started:%Y-%m-%d %H:%M:%S}, {age} ago"]
    lines += [f"  {line}" for line in _run_lines(record, now)]
    if record.executor == "slurm" and jobs is None:
        lines.append("  squeue does not answer: running shards are detected from their files alone")
    for model in record.models:
        state = read_state(record, model, jobs, now)
        lines += ["", f"  {model}"]
        lines += [f"    {line}" for line in _model_lines(record, state, now, jobs)]
    return lines


def _run_lines(record: RunRecord, now: float) -> list[str]:
    """Return how the run ended, or why it cannot be seen whether it still runs; nothing while it runs."""
    again = "repeat the command. What is finished is kept"
    if record.ended is not None:
        ago = f"{duration(now - record.ended.timestamp())} ago"
        return [
            f"it succeeded {ago}"
            if record.succeeded
            else f"it failed or was stopped {ago}: {again}"
        ]
    if record.is_gone:
        jobs = "; its jobs continue" if record.executor == "slurm" else ""
        return [
            f"its process is gone: it was killed, or this machine was restarted{jobs}. "
            f"Run snakemake --unlock, then {again}"
        ]
    if record.process is not None and not record.process.is_here:
        return [
            f"its process is on {record.process.host}: only there can be seen whether it still runs"
        ]
    return []


def _model_lines(
    record: RunRecord, state: ModelState, now: float, jobs: Sequence[QueuedJob] | None
) -> list[str]:
    lines = [f"shards   {_shard_counts(state)}"]
    total = "" if state.papers is None else f" of {state.papers:,}"
    share = f" ({state.papers_done / state.papers:.0%})" if state.papers else ""
    lines.append(f"papers   {state.papers_done:,}{total}{share}")
    if state.found and state.total:
        lines.append(f"found    {state.found:,}{total} had their vectors in the vector store")
    if damaged := [shard.name for shard in state.done if not shard.manifest]:
        lines.append(f"warning  manifest not readable (yet): {_some(damaged)}")
    lines += [f"running  {_running_line(shard, now)}" for shard in state.running]
    queued = (job for shard in state.waiting for job in shard.jobs)
    lines += [f"waiting  {line}" for line in waiting_lines(queued)]
    if state.total is not None and len(state.done) == state.total:
        what = "all shards are done" if state.total else "all vectors were in the vector store"
        return [*lines, f"{what}, {'merged' if state.merged else 'only merging is left'}"]
    if jobs is not None and not jobs:
        lines.append("note     no job of this run is running or queued")
    rates = [
        f"{_number(rate)} {span}"
        for rate, span in ((state.recent_rate, "recently"), (state.run_rate, "over the run"))
        if rate
    ]
    lines.append(f"papers/s {', '.join(rates) or 'nothing finished in this run yet'}")
    if record.is_over:
        return [*lines, "ETA      none: the run is over"]
    if state.running and all(shard.stalled for shard in state.running):
        return [*lines, "ETA      not known: no running shard makes progress"]
    if state.eta is None:
        return [*lines, "ETA      not known yet"]
    end = datetime.datetime.fromtimestamp(now + state.eta)
    return [*lines, f"ETA      {duration(state.eta)} ({end:%a %H:%M})"]


def _shard_counts(state: ModelState) -> str:
    """Return how many shards are done, running and waiting; of the waiting ones, what is known."""
    if state.total is None:
        return "not known yet: which papers need a job is known once find_vectors has finished"
    if state.total == 0:
        return "none needed"
    counts = (
        f"{len(state.done):,} of {state.total:,} done, {len(state.running):,} running, "
        f"{len(state.waiting):,} waiting"
    )
    queued = sum(bool(shard.jobs) for shard in state.waiting)
    begun = sum(shard.chunk_papers > 0 for shard in state.waiting)
    notes = [f"{count:,} {word}" for count, word in ((queued, "queued"), (begun, "begun")) if count]
    return f"{counts} ({', '.join(notes)})" if notes else counts


def _running_line(shard: OpenShard, now: float) -> str:
    parts = []
    if shard.job is not None:
        parts.append(f"job {shard.job.job_id} on {shard.job.node}, {shard.job.elapsed}")
        if others := [job.job_id for job in shard.jobs if job is not shard.job]:
            parts.append(f"also job {_some(others)}")
    parts.append(f"{shard.chunk_papers:,} of {shard.papers:,} papers")
    if shard.idle is not None and shard.stalled:
        parts.append(f"no progress for {duration(shard.idle)}")
    elif shard.last_chunk is not None:
        parts.append(f"last chunk {duration(now - shard.last_chunk)} ago")
    return f"{shard.name}  {', '.join(parts)}"


def summary_lines(record: RunRecord, history: Sequence[Attempt] | None) -> list[str]:
    """Return the lines that ``show_summary.py`` prints for a corpus.

    Args:
        record: of the run.
        history: as ``job_history`` returns it; None to use the manifests alone.
    """
    lines = [
        f"{record.folder}: {record.executor} run started {record.started:%Y-%m-%d %H:%M:%S}",
    ]
    if record.executor != "slurm":
        lines.append("  Not a SLURM run: the lines below are from the manifests alone.")
    elif history is None:
        lines.append(
            "  sacct does not answer, so attempts and GPU-hours are unknown: the lines below are from the "
            "manifests alone."
        )
    elif not history:
        lines.append(
            "  sacct lists no job of this run: the lines below are from the manifests alone."
        )
    for model in record.models:
        state = read_state(record, model, None)
        own = [attempt for attempt in history or () if attempt.model == model]
        lines += ["", f"  {model}"]
        lines += [f"    {line}" for line in _model_summary(record, state, own)]
    return lines


def _model_summary(record: RunRecord, state: ModelState, history: list[Attempt]) -> list[str]:
    total = "an unknown number" if state.total is None else f"{state.total:,}"
    merged = "merged" if state.merged else "not merged"
    found = (
        [f"found       {state.found:,} papers had their vectors in the vector store"]
        if state.found
        else []
    )
    by_shard: dict[str, list[Attempt]] = {}
    for attempt in history:
        by_shard.setdefault(attempt.shard, []).append(attempt)
    damaged = [shard.name for shard in state.done if not shard.manifest]
    return [
        f"shards      {len(state.done):,} of {total} done, {merged}",
        *found,
        *(_attempt_lines(history, state.done) if history else []),
        *_rate_lines(state.done),
        *([f"warning     manifest not readable: {_some(damaged)}"] if damaged else []),
        *_retry_lines(state.done, by_shard),
        *_missing_lines(record, state, by_shard),
    ]


def _attempt_lines(history: list[Attempt], done: list[DoneShard]) -> list[str]:
    """Return how the attempts ended and what they cost; a waiting job is not an attempt yet."""
    tried = [attempt for attempt in history if attempt.state != "PENDING"]
    states = collections.Counter(attempt.state for attempt in tried)
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    hours = sum(attempt.gpu_hours for attempt in history)
    lost = sum(
        attempt.gpu_hours
        for attempt in history
        if attempt.state != "COMPLETED" and attempt.state not in UNFINISHED_STATES
    )
    lines = [
        f"attempts    {len(tried):,} for {len({attempt.shard for attempt in tried}):,} shard(s): {counts}",
        f"GPU-hours   {hours:,.2f}, of which {lost:,.2f} in attempts that did not complete",
    ]
    if (share := efficiency(history, done)) is not None:
        lines.append(f"efficiency  {share:.0%} of the jobs' time was spent on embedding")
    return lines


def _rate_lines(done: list[DoneShard]) -> list[str]:
    """Return the distribution over the shards of papers and tokens per second."""
    lines = []
    for label, key in (("papers/s", "papers_per_second"), ("tokens/s", "tokens_per_second")):
        rates = [rate for shard in done if (rate := shard.rate(key)) is not None]
        if rates:
            low, middle, high = min(rates), statistics.median(rates), max(rates)
            lines.append(
                f"{label}    minimum {_number(low)}, median {_number(middle)}, maximum {_number(high)} per shard"
            )
    return lines


def _retry_lines(done: list[DoneShard], by_shard: dict[str, list[Attempt]]) -> list[str]:
    """Return the shards that are done after more than one attempt, with their attempts."""
    retried = sorted(shard.name for shard in done if len(by_shard.get(shard.name, [])) > 1)
    lines = [f"  {name}  {_attempts(by_shard[name])}" for name in retried]
    return ["Done after more than one attempt", *lines] if lines else []


def _missing_lines(
    record: RunRecord, state: ModelState, by_shard: dict[str, list[Attempt]]
) -> list[str]:
    """Return the shards that are not done: their attempts, last error and log, or that there was no attempt."""
    tried, untried = [], []
    for name in sorted(shard.name for shard in (*state.running, *state.waiting)):
        log = record.log_of(state.model, name)
        if name not in by_shard and not log.exists():
            untried.append(name)
            continue
        tried.append(f"  {name}  {_attempts(by_shard.get(name, [])) or 'attempted'}")
        if error := _last_error(log):
            tried.append(f"         {error}")
        tried.append(f"         {_shown(log)}{'' if log.exists() else ' (was not written)'}")
    lines = ["Not done", *tried] if tried else []
    return [*lines, f"Never attempted: {_some(untried)}"] if untried else lines


def efficiency(history: Iterable[Attempt], done: Iterable[DoneShard]) -> float | None:
    """Return the seconds of embedding in the manifests divided by the elapsed seconds of all ended jobs.

    Only shards that a job in ``history`` completed count as embedded. None where one of the two is 0.
    """
    ended = [attempt for attempt in history if attempt.state not in UNFINISHED_STATES]
    completed = {attempt.shard for attempt in ended if attempt.state == "COMPLETED"}
    embedding = sum(shard.number("seconds") for shard in done if shard.name in completed)
    elapsed = sum(attempt.elapsed for attempt in ended)
    return embedding / elapsed if elapsed and embedding else None


def _attempts(attempts: Iterable[Attempt]) -> str:
    return ", then ".join(
        f"{attempt.ended} (job {attempt.job_id}{f' on {attempt.node}' if attempt.gpus else ''})"
        for attempt in attempts
    )


def _last_error(log: Path) -> str:
    """Return the last error in a log, without the time; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 65536, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line.partition(" ERROR ")[2] for line in lines if " ERROR " in line]
    return errors[-1][:300] if errors else ""


def _shown(path: Path) -> str:
    """Return a path relative to the current folder where it is below it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:10])}{f' and {len(names) - 10:,} more' if len(names) > 10 else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
