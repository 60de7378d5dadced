"""How far a run is and how its jobs went, read from the results folder and from SLURM; nothing is written."""

import contextlib
import datetime
import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .errors import InputError
from .planning import read_filter_report, shard_ranges

SECONDS_FOR_A_COMMAND = 10.0
SHARDS_FOR_A_RATE = 20  # the last shards done that tell how fast it goes now

# Comments of snakemake-executor-plugin-slurm: the wildcards in a row. A label may hold _ itself.
_COMMENT = re.compile(r"rule_embed_shard_wildcards_(?P<model>[\w.-]+)_(?P<shard>\d+)")
_GPUS = re.compile(r"gres/gpu(?P<type>:[^=]+)?=(?P<count>\d+)")

_SQUEUE_FIELDS = "%i|%T|%M|%N|%V|%Z|%k"
# The comment is only in the accounting where a site stores it (AccountingStoreFlags=job_comment); the
# submit line holds it too, since SLURM 21.08. It comes last: it may hold anything.
_SACCT_FIELDS = (
    "JobID,JobName,State,Comment,Submit,Start,ElapsedRaw,AllocTRES,NodeList,ExitCode,WorkDir"
)
_SACCT_COLUMNS = _SACCT_FIELDS.count(",") + 1

Job = TypeVar("Job", "QueuedJob", "Attempt")

UNFINISHED_STATES = {"PENDING", "RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING"}


# --- What was planned --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What the last run of a corpus set out to make.

    ``papers`` is None where the size of the sample is not known yet; ``started`` is local time.
    """

    folder: Path
    papers: int | None
    shard_size: int
    models: list[str]
    started: datetime.datetime
    executor: str

    @property
    def corpus(self) -> str:
        """The name of the corpus."""
        return self.folder.resolve().name

    @property
    def workdir(self) -> Path:
        """The folder that the workflow runs in."""
        return self.folder.resolve().parent.parent

    @property
    def user(self) -> str | None:
        """The number of the user whose run it is."""
        try:
            return str((self.folder / "plan.json").stat().st_uid)
        except OSError:
            return None

    def log_of(self, model: str, shard: str) -> Path:
        """Return where the log of a shard lies."""
        return self.workdir / f"logs/{self.corpus}/{model}/embed_shard/{shard}.log"


def read_plan(folder: Path) -> Plan:
    """Return the plan of the results in ``folder``.

    Raises:
        InputError: there is none yet, or it is damaged.
    """
    path = folder / "plan.json"
    try:
        content = json.loads(path.read_text())
        papers, size = content["papers"], int(content["shard_size"])
        started = datetime.datetime.fromisoformat(content["started"])
        if started.tzinfo is not None:
            started = started.astimezone().replace(tzinfo=None)
        if size < 1:
            raise ValueError(f"shard_size is {size}")
        models = [str(model) for model in content["models"]]
        plan = Plan(folder, papers, size, models, started, str(content["executor"]))
        if papers is None:
            # The sample is all papers, known when they are filtered.
            with contextlib.suppress(InputError):
                kept = int(read_filter_report(folder / "filter.json")["records"]["kept"])
                plan = Plan(folder, kept, size, models, started, plan.executor)
        elif not isinstance(papers, int) or papers < 1:
            raise ValueError(f"papers is {papers!r}")
    except FileNotFoundError:
        raise InputError(
            f"There is no {path}: no run has been started there. Start one, or name the folder of results "
            "with --results."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}). Try again; the next run writes it anew."
        ) from error
    return plan


def _rivals(plan: Plan) -> list[Plan]:
    """Return the other plans in the same working directory."""
    plans = []
    for path in sorted(plan.folder.resolve().parent.glob("*/plan.json")):
        if path.parent != plan.folder.resolve():
            with contextlib.suppress(InputError):
                plans.append(read_plan(path.parent))
    return plans


# --- What SLURM says ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueuedJob:
    """A job of a shard that squeue lists. ``elapsed`` is as squeue writes it: ``1-02:03:04``."""

    job: str
    state: str
    elapsed: str
    node: str
    submitted: str
    workdir: str
    model: str
    shard: str


@dataclass(frozen=True)
class Attempt:
    """One try of a shard: a SLURM job, or one of the runs of a job that was requeued."""

    job: str
    state: str
    submitted: str
    elapsed: float
    gpus: int
    node: str
    exit_code: str
    workdir: str
    model: str
    shard: str

    @property
    def gpu_hours(self) -> float:
        """Elapsed hours times the GPUs it held."""
        return self.elapsed * self.gpus / 3600

    @property
    def ended(self) -> str:
        """How it ended, in words: ``FAILED with exit code 3``, ``NODE_FAIL on node1``."""
        code, _, number = self.exit_code.partition(":")
        if self.state == "FAILED" and number not in ("", "0"):
            return f"FAILED by signal {number}"
        if self.state == "FAILED":
            return f"FAILED with exit code {code}"
        if self.state == "TIMEOUT":
            return f"TIMEOUT after {duration(self.elapsed)}"
        if self.state == "NODE_FAIL":
            return f"NODE_FAIL on {self.node}"
        return self.state


def command_output(command: Sequence[str]) -> str | None:
    """Return what ``command`` prints; None where it is absent, fails, or takes too long."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_FOR_A_COMMAND,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def parse_squeue(text: str) -> list[QueuedJob]:
    """Return the jobs of shards in the output of squeue; other jobs are left out."""
    jobs = []
    for line in text.splitlines():
        head, _, comment = line.rpartition("|")
        found = _COMMENT.fullmatch(comment.strip())
        columns = head.split("|", 5)
        if found and len(columns) == 6:
            job, state, elapsed, node, submitted, workdir = columns
            jobs.append(
                QueuedJob(
                    job, state, elapsed, node, submitted, workdir, found["model"], found["shard"]
                )
            )
    return jobs


def parse_sacct(text: str) -> list[Attempt]:
    """Return the tries of shards in the output of sacct, in its order; other jobs are left out."""
    attempts = []
    for line in text.splitlines():
        columns = line.split("|", _SACCT_COLUMNS)
        if len(columns) < _SACCT_COLUMNS:
            continue
        job, _, state, comment, submitted, _, elapsed, tres, node, code, workdir = columns[
            :_SACCT_COLUMNS
        ]
        found = _COMMENT.fullmatch(comment.strip())
        if not found and len(columns) > _SACCT_COLUMNS:
            found = re.search(rf"--comment[ =]['\"]?{_COMMENT.pattern}", columns[-1])
        if not found:
            continue
        attempts.append(
            Attempt(
                job=job,
                state=(state.split() or ["UNKNOWN"])[0],  # "CANCELLED by 1000"
                submitted=submitted,
                elapsed=float(elapsed) if elapsed.isdigit() else 0.0,
                gpus=_gpus(tres),
                node=node,
                exit_code=code,
                workdir=workdir,
                model=found["model"],
                shard=found["shard"],
            )
        )
    return attempts


def _gpus(tres: str) -> int:
    """Return the GPUs in ``billing=1,gres/gpu=2,gres/gpu:a100=2``: the sum is listed beside its parts."""
    counts = [(found["type"], int(found["count"])) for found in _GPUS.finditer(tres)]
    total = [count for kind, count in counts if kind is None]
    return total[0] if total else sum(count for _, count in counts)


def queued_jobs(plan: Plan) -> list[QueuedJob] | None:
    """Return the jobs of the plan's shards that wait or run; None where squeue does not answer."""
    if plan.executor != "slurm":
        return None
    user = ["--user", plan.user] if plan.user else []
    text = command_output(["squeue", "--noheader", *user, "--format", _SQUEUE_FIELDS])
    return None if text is None else _of_plan(parse_squeue(text), plan)


def job_history(plan: Plan, since: str | None = None) -> list[Attempt] | None:
    """Return all tries of the plan's shards, in the order of time; None where sacct does not answer.

    Args:
        plan: of the run.
        since: a time as sacct takes it; otherwise the start of the run.
    """
    if plan.executor != "slurm":
        return None
    command = ["sacct", "-X", "--noheader", "--parsable2", "--duplicates"]
    command += ["--starttime", since or plan.started.isoformat(timespec="seconds")]
    command += ["--user", plan.user] if plan.user else []
    for fields in (f"{_SACCT_FIELDS},SubmitLine", _SACCT_FIELDS):
        text = command_output([*command, f"--format={fields}"])
        if text is not None:
            return _of_plan(parse_sacct(text), plan)
    return None


def _of_plan(jobs: Iterable[Job], plan: Plan) -> list[Job]:
    """Leave out jobs of other working directories, models and corpora.

    A comment does not name the corpus: of corpora that share a model, the one whose run was started last
    before the job was submitted has it.
    """
    plans = [plan, *_rivals(plan)]

    def mine(job: Job) -> bool:
        if job.model not in plan.models or not _same_folder(job.workdir, plan.workdir):
            return False
        try:
            submitted = datetime.datetime.fromisoformat(job.submitted)
        except ValueError:
            return True
        # Plan and job times are whole seconds, so a job may be of the same second.
        owners = [
            other.started
            for other in plans
            if job.model in other.models and other.started <= submitted
        ]
        return not owners or plan.started == max(owners)

    return [job for job in jobs if mine(job)]


def _same_folder(name: str, folder: Path) -> bool:
    """Tell whether ``name`` may be ``folder``; a node can know it under a name that is not known here."""
    try:
        return not name or Path(name).samefile(folder)
    except OSError:
        return True


# --- What the results folder says --------------------------------------------------------------------


@dataclass(frozen=True)
class DoneShard:
    """A shard with vectors and manifest. ``manifest`` is empty where it cannot be read."""

    name: str
    papers: int
    ended: float
    manifest: dict[str, Any]

    def number(self, key: str) -> float:
        """Return a number of the manifest, 0 where there is none."""
        value = self.manifest.get(key)
        return float(value) if isinstance(value, int | float) else 0.0

    def rate(self, key: str) -> float | None:
        """Return a rate of the manifest; None where it tells nothing, as all was taken from chunks."""
        return self.number(key) or None


@dataclass(frozen=True)
class OpenShard:
    """A shard that is not done: its finished chunks, and its jobs that squeue lists."""

    name: str
    papers: int | None
    chunk_papers: int
    last_chunk: float | None
    jobs: list[QueuedJob]
    running: bool
    fresh_papers: int

    @property
    def job(self) -> QueuedJob | None:
        """Its running job, if there is one."""
        return next((job for job in self.jobs if job.state == "RUNNING"), None)


@dataclass(frozen=True)
class ModelState:
    """How far a model is. ``planned`` and ``papers`` are None before the size of the sample is known."""

    model: str
    planned: int | None
    papers: int | None
    done: list[DoneShard]
    running: list[OpenShard]
    waiting: list[OpenShard]
    merged: bool
    run_rate: float | None = field(default=None)
    recent_rate: float | None = field(default=None)

    @property
    def papers_done(self) -> int:
        """Papers of the shards done and of the finished chunks of the others."""
        chunks = sum(shard.chunk_papers for shard in (*self.running, *self.waiting))
        return sum(shard.papers for shard in self.done) + chunks

    @property
    def eta(self) -> float | None:
        """Seconds until all papers are done, at the rate of the last shards, else of the run."""
        rate = self.recent_rate or self.run_rate
        if self.papers is None or not rate:
            return None
        return max(self.papers - self.papers_done, 0) / rate


def read_state(
    plan: Plan, model: str, jobs: Sequence[QueuedJob] | None, now: float | None = None
) -> ModelState:
    """Return how far ``model`` is.

    A shard runs when squeue lists a running job for it. Where squeue does not answer, or jobs are no
    SLURM jobs, one with finished chunks or a partial file counts as running.

    Args:
        plan: of the run.
        model: a label of the plan.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch, if not the present.
    """
    now = time.time() if now is None else now
    folder = plan.folder / model / "shards"
    names = _names(folder)
    ranges: dict[str, tuple[int, int] | None]
    if plan.papers is None:
        found = (re.fullmatch(r"\.?(\d+)\.(npy|json|chunks)(\..+)?", name) for name in names)
        ranges = dict.fromkeys(sorted({name[1] for name in found if name}))
    else:
        ranges = dict(shard_ranges(plan.papers, plan.shard_size))
    mine = [job for job in jobs or () if job.model == model]
    done: list[DoneShard] = []
    running: list[OpenShard] = []
    waiting: list[OpenShard] = []
    for name, rows in ranges.items():
        if {f"{name}.npy", f"{name}.json"} <= names:
            shard = _done_shard(folder, name, rows)
            if shard is not None:
                done.append(shard)
                continue
        begun = any(
            other == f"{name}.chunks" or other.startswith(f".{name}.npy.") for other in names
        )
        own = [job for job in mine if job.shard == name]
        is_running = begun if jobs is None else any(job.state == "RUNNING" for job in own)
        chunks = _chunks(folder / f"{name}.chunks") if f"{name}.chunks" in names else {}
        papers = None if rows is None else rows[1] - rows[0]
        cap = plan.shard_size if papers is None else papers
        since = plan.started.timestamp()
        open_shard = OpenShard(
            name=name,
            papers=papers,
            chunk_papers=min(sum(rows for rows, _ in chunks.values()), cap),
            last_chunk=max((at for _, at in chunks.values()), default=None),
            jobs=own,
            running=is_running,
            fresh_papers=min(sum(rows for rows, at in chunks.values() if at >= since), cap),
        )
        (running if is_running else waiting).append(open_shard)
    return ModelState(
        model=model,
        planned=None if plan.papers is None else len(ranges),
        papers=plan.papers,
        done=done,
        running=running,
        waiting=waiting,
        merged=(plan.folder / model / "manifest.json").exists(),
        **_rates(plan.started.timestamp(), now, done, [*running, *waiting]),
    )


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _done_shard(folder: Path, name: str, rows: tuple[int, int] | None) -> DoneShard | None:
    """Return a shard with both its files; None where one vanished or is of other papers."""
    path = folder / f"{name}.json"
    content, ended = None, 0.0
    try:
        ended = path.stat().st_mtime
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass  # half visible on a network file system, or damaged: counted, and told
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    own = manifest.get("start"), manifest.get("stop")
    if not all(isinstance(number, int) for number in own):
        papers = 0 if rows is None else rows[1] - rows[0]
        return DoneShard(name, papers, ended, manifest)
    if rows is not None and own != rows:
        return None  # of another sample or shard size: it is made again
    return DoneShard(name, own[1] - own[0], ended, manifest)  # type: ignore[operator]


def _chunks(folder: Path) -> dict[str, tuple[int, float]]:
    """Return papers and time of the finished chunks, by key; cut files are left out."""
    chunks = {}
    for name in sorted(_names(folder)):
        if not name.startswith(".") and name.endswith(".npy"):
            with contextlib.suppress(OSError):
                at = (folder / name).stat().st_mtime
                if rows := whole_rows(folder / name):
                    chunks[name.split("-")[0]] = rows, at
    return chunks


def whole_rows(path: Path) -> int:
    """Return the rows of the matrix in a ``.npy`` file by its header; 0 where the file is not whole."""
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return 0
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            numbers = int(np.prod(shape, dtype=np.int64))
            whole = path.stat().st_size == file.tell() + numbers * dtype.itemsize
    except Exception:  # numpy raises whatever a damaged header makes it stumble over
        return 0
    return int(shape[0]) if whole and len(shape) == 2 else 0


def _rates(
    started: float, now: float, done: Sequence[DoneShard], unfinished: Sequence[OpenShard]
) -> dict[str, float | None]:
    """Return the papers a second since the run was started, and of its last shards."""
    fresh = sorted(
        (shard for shard in done if shard.ended >= started), key=lambda shard: shard.ended
    )
    in_chunks = sum(shard.fresh_papers for shard in unfinished)

    def rate(papers: int, seconds: float) -> float | None:
        return papers / seconds if papers and seconds > 0 else None

    papers = sum(shard.papers for shard in fresh)
    rates = {"run_rate": rate(papers + in_chunks, now - started), "recent_rate": None}
    if not fresh:
        return rates
    last_sign = max(
        [shard.ended for shard in fresh]
        + [shard.last_chunk for shard in unfinished if shard.last_chunk is not None]
    )
    if len(fresh) > SHARDS_FOR_A_RATE:
        # Chunks are left out: of the shards that were under way when the span began, they are not known.
        papers = sum(shard.papers for shard in fresh[-SHARDS_FOR_A_RATE:])
        begun, ended = fresh[-SHARDS_FOR_A_RATE - 1].ended, fresh[-1].ended
    else:
        # Without the time that the first job waited in the queue.
        papers += in_chunks
        begun = max(started, min(shard.ended - shard.number("seconds") for shard in fresh))
        ended = last_sign
    # A silence that is longer than the span says that it has become slower.
    rates["recent_rate"] = rate(papers, max(ended - begun, now - last_sign))
    return rates


# --- In words ----------------------------------------------------------------------------------------


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


def duration(seconds: float) -> str:
    """Return a time span in words: ``45 s``, ``2 min 5 s``, ``3 h 20 min``, ``2 d 4 h``."""
    left = round(max(seconds, 0))
    for (unit, size), (smaller, part) in (
        (("d", 86400), ("h", 3600)),
        (("h", 3600), ("min", 60)),
        (("min", 60), ("s", 1)),
    ):
        if left >= size:
            return f"{left // size} {unit} {left % size // part} {smaller}"
    return f"{left} s"
