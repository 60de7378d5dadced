"""What SLURM says of the jobs of shards: those in the queue, and those in its accounting."""

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..common.progress import duration
from .commands import NoAnswerError, output_of
from .run_record import Plan, rivals

SECONDS_FOR_A_COMMAND = 10.0

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
        return output_of(command, SECONDS_FOR_A_COMMAND)
    except NoAnswerError:
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
    plans = [plan, *rivals(plan)]

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
