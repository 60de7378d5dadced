"""How far a run is and how its jobs went, in words."""

import contextlib
import datetime
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..common.progress import duration
from .jobs import UNFINISHED_STATES, Attempt, QueuedJob
from .run_record import Plan
from .shard_states import DoneShard, ModelState, OpenShard, read_state


def status_lines(
    plan: Plan, jobs: Sequence[QueuedJob] | None, now: float | None = None
) -> list[str]:
    """Return what ``show_status.py`` prints of a corpus."""
    now = time.time() if now is None else now
    since = duration(now - plan.started.timestamp())
    where = "SLURM jobs" if plan.executor == "slurm" else f"{plan.executor} jobs"
    lines = [f"{plan.folder}: {where}, started {plan.started:%Y-%m-%d %H:%M:%S}, {since} ago"]
    if plan.executor == "slurm" and jobs is None:
        lines.append("  squeue does not answer: what runs is told by the files alone")
    for model in plan.models:
        state = read_state(plan, model, jobs, now)
        lines += ["", f"  {model}", *(f"    {line}" for line in _model_lines(state, now, jobs))]
    return lines


def _model_lines(state: ModelState, now: float, jobs: Sequence[QueuedJob] | None) -> list[str]:
    if state.planned is None:
        lines = [
            f"shards   {len(state.done):,} done, {len(state.running):,} running; how many there will be is "
            "known when the papers are filtered"
        ]
    else:
        queued = sum(bool(shard.jobs) for shard in state.waiting)
        begun = sum(shard.chunk_papers > 0 for shard in state.waiting)
        notes = [f"{queued:,} queued"] * bool(queued) + [f"{begun:,} begun"] * bool(begun)
        lines = [
            f"shards   {len(state.done):,} of {state.planned:,} done, {len(state.running):,} running, "
            f"{len(state.waiting):,} waiting" + (f" ({', '.join(notes)})" if notes else "")
        ]
    total = "" if state.papers is None else f" of {state.papers:,}"
    share = f" ({state.papers_done / state.papers:.0%})" if state.papers else ""
    lines.append(f"papers   {state.papers_done:,}{total}{share}")
    if damaged := [shard.name for shard in state.done if not shard.manifest]:
        lines.append(f"warning  manifest not readable (yet): {_some(damaged)}")
    for shard in state.running:
        lines.append(f"running  {_running_line(shard, now)}")
    if state.planned is not None and len(state.done) == state.planned:
        merged = "merged" if state.merged else "not merged yet"
        return [*lines, f"all shards are done, {merged}"]
    if jobs is not None and not jobs:
        lines.append("note     no shard's job runs or waits in the queue")
    rates = [
        f"{_number(rate)} {over}"
        for rate, over in ((state.recent_rate, "lately"), (state.run_rate, "over the run"))
        if rate
    ]
    lines.append(f"papers/s {', '.join(rates) or 'nothing finished in this run yet'}")
    if state.eta is None:
        lines.append("ETA      not known yet")
    else:
        at = datetime.datetime.fromtimestamp(now + state.eta)
        lines.append(f"ETA      {duration(state.eta)} ({at:%a %H:%M})")
    return lines


def _running_line(shard: OpenShard, now: float) -> str:
    parts = []
    if shard.job is not None:
        parts.append(f"job {shard.job.job} on {shard.job.node}, {shard.job.elapsed}")
        if others := [job.job for job in shard.jobs if job is not shard.job]:
            parts.append(f"also job {_some(others)}")
    of = "" if shard.papers is None else f" of {shard.papers:,}"
    parts.append(f"{shard.chunk_papers:,}{of} papers")
    if shard.last_chunk is not None:
        parts.append(f"last chunk {duration(now - shard.last_chunk)} ago")
    return f"{shard.name}  {', '.join(parts)}"


def summary_lines(plan: Plan, history: Sequence[Attempt] | None) -> list[str]:
    """Return what ``show_summary.py`` prints of a corpus.

    Args:
        plan: of the run.
        history: as ``job_history`` returns it; None: from the manifests alone.
    """
    lines = [
        f"{plan.folder}: {plan.executor} run started {plan.started:%Y-%m-%d %H:%M:%S}",
    ]
    if plan.executor != "slurm":
        lines.append("  No SLURM jobs: what follows is from the manifests alone.")
    elif history is None:
        lines.append(
            "  sacct does not answer: attempts and GPU-hours are not known, what follows is from the "
            "manifests alone."
        )
    elif not history:
        lines.append(
            "  sacct lists no shard's job since then: what follows is from the manifests alone."
        )
    for model in plan.models:
        state = read_state(plan, model, None)
        own = [attempt for attempt in history or () if attempt.model == model]
        lines += ["", f"  {model}"]
        lines += [f"    {line}" for line in _summary_of_model(plan, state, own)]
    return lines


def _summary_of_model(plan: Plan, state: ModelState, history: list[Attempt]) -> list[str]:
    planned = "an unknown number" if state.planned is None else f"{state.planned:,}"
    merged = "merged" if state.merged else "not merged"
    lines = [f"shards      {len(state.done):,} of {planned} done, {merged}"]
    by_shard: dict[str, list[Attempt]] = {}
    for attempt in history:
        by_shard.setdefault(attempt.shard, []).append(attempt)
    if history:
        lines += _attempt_lines(history, state.done)
    for label, key in (("papers/s", "papers_per_second"), ("tokens/s", "tokens_per_second")):
        rates = [rate for shard in state.done if (rate := shard.rate(key)) is not None]
        if rates:
            low, middle, high = min(rates), statistics.median(rates), max(rates)
            lines.append(
                f"{label}    {_number(low)} min, {_number(middle)} median, {_number(high)} max a shard"
            )
    if damaged := [shard.name for shard in state.done if not shard.manifest]:
        lines.append(f"warning     manifest not readable: {_some(damaged)}")
    done = {shard.name for shard in state.done}
    retried = [name for name in sorted(by_shard) if name in done and len(by_shard[name]) > 1]
    if retried:
        lines.append("Done after more than one attempt")
        lines += [f"  {name}  {_attempts(by_shard[name])}" for name in retried]
    missing = [shard.name for shard in (*state.running, *state.waiting)]
    tried = sorted(
        name for name in missing if name in by_shard or plan.log_of(state.model, name).exists()
    )
    if tried:
        lines.append("Not done")
        for name in tried:
            log = plan.log_of(state.model, name)
            lines.append(f"  {name}  {_attempts(by_shard.get(name, [])) or 'tried'}")
            if error := _last_error(log):
                lines.append(f"         {error}")
            lines.append(f"         {_shown(log)}{'' if log.exists() else ' (was not written)'}")
    if untried := sorted(set(missing) - set(tried)):
        lines.append(f"Never tried: {_some(untried)}")
    return lines


def _attempt_lines(history: list[Attempt], done: list[DoneShard]) -> list[str]:
    counts: dict[str, int] = {}
    tried = [attempt for attempt in history if attempt.state != "PENDING"]
    for attempt in tried:
        counts[attempt.state] = counts.get(attempt.state, 0) + 1
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
    hours = sum(attempt.gpu_hours for attempt in history)
    lost = sum(
        attempt.gpu_hours
        for attempt in history
        if attempt.state != "COMPLETED" and attempt.state not in UNFINISHED_STATES
    )
    lines = [
        f"attempts    {len(tried):,} at {len({attempt.shard for attempt in tried}):,} shard(s): {told}",
        f"GPU-hours   {hours:,.2f}, of them {lost:,.2f} in attempts that did not complete",
    ]
    if (share := efficiency(history, done)) is not None:
        lines.append(f"efficiency  {share:.0%} of the jobs' time went into embedding")
    return lines


def efficiency(history: Iterable[Attempt], done: Iterable[DoneShard]) -> float | None:
    """Return the embedding seconds of the manifests over the elapsed seconds of all ended jobs.

    Only shards that a job in ``history`` completed are counted as embedded. None where nothing is known.
    """
    ended = [attempt for attempt in history if attempt.state not in UNFINISHED_STATES]
    completed = {attempt.shard for attempt in ended if attempt.state == "COMPLETED"}
    embedding = sum(shard.number("seconds") for shard in done if shard.name in completed)
    elapsed = sum(attempt.elapsed for attempt in ended)
    return embedding / elapsed if elapsed and embedding else None


def _attempts(attempts: Iterable[Attempt]) -> str:
    return ", then ".join(
        f"{attempt.ended} (job {attempt.job}{f' on {attempt.node}' if attempt.gpus else ''})"
        for attempt in attempts
    )


def _last_error(log: Path) -> str:
    """Return the last line of a log that reports an error, without its time."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 65536, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line.partition(" ERROR ")[2] for line in lines if " ERROR " in line]
    return errors[-1][:300] if errors else ""


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:10])}{f' and {len(names) - 10:,} more' if len(names) > 10 else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
