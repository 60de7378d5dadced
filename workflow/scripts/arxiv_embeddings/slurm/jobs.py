"""The SLURM jobs of shards: queued and running ones from squeue, all of a run from sacct."""

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..common.progress import duration
from .commands import NoAnswerError, output_of
from .run_record import RunRecord, other_run_records

# The comment that snakemake-executor-plugin-slurm gives a job: rule and wildcards, joined by "_". A label may
# contain "_" too.
_COMMENT = re.compile(r"rule_embed_shard_wildcards_(?P<model>[\w.-]+)_(?P<shard>[0-9a-f]{8}-\d+)")
_GPUS = re.compile(r"gres/gpu(?P<type>:[^=]+)?=(?P<count>\d+)")

# The folder is the last field but one, as it may contain any character.
_SQUEUE_FIELDS = "%i|%T|%M|%N|%r|%V|%Z|%k"
# The accounting holds the comment only where a site stores it (AccountingStoreFlags=job_comment). Since
# SLURM 21.08 the submit line holds it too. The submit line is the last field, as it may contain any character.
_SACCT_FIELDS = (
    "JobID,JobName,State,Comment,Submit,Start,ElapsedRaw,AllocTRES,NodeList,ExitCode,WorkDir"
)
_SACCT_COLUMNS = _SACCT_FIELDS.count(",") + 1

Job = TypeVar("Job", "QueuedJob", "Attempt")

UNFINISHED_STATES = {"PENDING", "RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING"}


@dataclass(frozen=True)
class QueuedJob:
    """A job of a shard that squeue lists.

    ``elapsed`` is in squeue's format, ``1-02:03:04``. ``reason`` says why SLURM has not started it; ``None`` where it
    gives no reason.
    """

    job_id: str
    state: str
    elapsed: str
    node: str
    reason: str
    submitted: str
    workdir: str
    model: str
    shard: str


@dataclass(frozen=True)
class Attempt:
    """One attempt at a shard: a SLURM job, or one run of a job that was requeued.

    ``elapsed`` is in seconds; ``submitted`` is the time in sacct's format, ``2026-01-31T12:00:00``.
    """

    job_id: str
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
        """Elapsed hours times the GPUs of the job."""
        return self.elapsed * self.gpus / 3600

    @property
    def ended(self) -> str:
        """How it ended: ``FAILED with exit code 3``, ``NODE_FAIL on node1``, else the state alone."""
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
    """Return what ``command`` prints; None where it is missing, fails, or takes too long."""
    try:
        return output_of(command)
    except NoAnswerError:
        return None


def parse_squeue(text: str) -> list[QueuedJob]:
    """Return the jobs of shards in the output of squeue; other jobs are skipped."""
    jobs = []
    for line in text.splitlines():
        head, _, comment = line.rpartition("|")
        found = _COMMENT.fullmatch(comment.strip())
        columns = head.split("|", 6)
        if found and len(columns) == 7:
            job_id, state, elapsed, node, reason, submitted, workdir = columns
            jobs.append(
                QueuedJob(
                    job_id=job_id,
                    state=state,
                    elapsed=elapsed,
                    node=node,
                    reason=reason,
                    submitted=submitted,
                    workdir=workdir,
                    model=found["model"],
                    shard=found["shard"],
                )
            )
    return jobs


def parse_sacct(text: str) -> list[Attempt]:
    """Return the attempts at shards in the output of sacct, in its order; other jobs are skipped."""
    attempts = []
    for line in text.splitlines():
        columns = line.split("|", _SACCT_COLUMNS)
        if len(columns) < _SACCT_COLUMNS:
            continue
        job_id, _, state, comment, submitted, _, elapsed, tres, node, code, workdir = columns[
            :_SACCT_COLUMNS
        ]
        found = _COMMENT.fullmatch(comment.strip())
        if not found and len(columns) > _SACCT_COLUMNS:
            found = re.search(rf"--comment[ =]['\"]?{_COMMENT.pattern}", columns[-1])
        if not found:
            continue
        attempts.append(
            Attempt(
                job_id=job_id,
                # "CANCELLED by 1000" names the user who cancelled it.
                state=(state.split() or ["UNKNOWN"])[0],
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
    """Return the number of GPUs in ``billing=1,gres/gpu=2,gres/gpu:a100=2``: the total, else the sum of types."""
    counts = [(found["type"], int(found["count"])) for found in _GPUS.finditer(tres)]
    total = [count for kind, count in counts if kind is None]
    return total[0] if total else sum(count for _, count in counts)


def queued_jobs(record: RunRecord) -> list[QueuedJob] | None:
    """Return the jobs of the run's shards that are queued or running; None where squeue does not answer."""
    if record.executor != "slurm":
        return None
    user = ["--user", record.user] if record.user else []
    text = command_output(["squeue", "--noheader", *user, "--format", _SQUEUE_FIELDS])
    return None if text is None else _of_run(parse_squeue(text), record)


def job_history(record: RunRecord, since: str | None = None) -> list[Attempt] | None:
    """Return all attempts at the run's shards, oldest first; None where sacct does not answer.

    Args:
        record: of the run.
        since: a time in a format that sacct accepts; None for the start of the run.
    """
    if record.executor != "slurm":
        return None
    command = ["sacct", "-X", "--noheader", "--parsable2", "--duplicates"]
    command += ["--starttime", since or record.started.isoformat(timespec="seconds")]
    command += ["--user", record.user] if record.user else []
    # SLURM before 21.08 does not know SubmitLine and refuses the whole command.
    for fields in (f"{_SACCT_FIELDS},SubmitLine", _SACCT_FIELDS):
        text = command_output([*command, f"--format={fields}"])
        if text is not None:
            return _of_run(parse_sacct(text), record)
    return None


def _of_run(jobs: Iterable[Job], record: RunRecord) -> list[Job]:
    """Return the jobs of this run, without those of other working directories, models and corpora.

    A comment does not name the corpus. Where corpora share a model, a job belongs to the run that was
    started last before the job was submitted.
    """
    records = [record, *other_run_records(record)]

    def belongs(job: Job) -> bool:
        if job.model not in record.models or not _same_folder(job.workdir, record.workdir):
            return False
        try:
            submitted = datetime.datetime.fromisoformat(job.submitted)
        except ValueError:
            return True
        # Both times are in whole seconds, so a run and its first job may have the same one.
        starts = [
            other.started
            for other in records
            if job.model in other.models and other.started <= submitted
        ]
        return not starts or record.started == max(starts)

    return [job for job in jobs if belongs(job)]


def _same_folder(name: str, folder: Path) -> bool:
    """Tell whether ``name`` is ``folder``; True where it cannot be checked, as nodes may use other paths."""
    try:
        return not name or Path(name).samefile(folder)
    except OSError:
        return True
