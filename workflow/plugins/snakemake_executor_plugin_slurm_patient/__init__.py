"""The executor ``slurm-patient``: snakemake-executor-plugin-slurm for unattended runs.

It submits jobs as the plugin does. It differs where a run would hang, end early or wait needlessly:

- squeue does not answer: the executor asks again until squeue answers.
- sbatch temporarily refuses a job: the executor waits, reports the reason and submits the job again.
- A job ended: the executor detects this within a second or two from a file that the job writes, without squeue.
- A job is missing from squeue, or was preempted for good: the executor asks sacct, then retries the job.
- A job ran out of memory or time: the retry gets twice as much, but never more than its partition allows.
- Ctrl-C or SIGTERM: every job of the run is cancelled, including jobs that are being submitted.
"""

import asyncio
import collections
import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from arxiv_embeddings.slurm.limits import partitions
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

# Snakemake reads these from every executor plugin.
common_settings = plugin.common_settings


@dataclass
class ExecutorSettings(plugin.ExecutorSettings):  # type: ignore[misc]  # the plugin has no types
    """The settings of the plugin, and one for sites that refuse ``--mem``."""

    no_mem: bool = field(
        default=False,
        metadata={
            "help": "Request no memory, for sites that give each job the memory of its CPUs and refuse --mem.",
            "env_var": False,
            "required": False,
        },
    )


# The tested version of snakemake-executor-plugin-slurm.
TRIED_WITH = "2.8.0"

# Messages of sbatch for temporary problems. Any other message fails the job at once.
PASSING = re.compile(
    "SubmitJob|temporarily|partition not available|Unable to contact|standby|timed out"
    "|Connection refused|Connection reset|Communication connection failure|Zero Bytes"
)
# Only the answer was lost; the job may have been submitted.
PERHAPS_SUBMITTED = re.compile("timed out|Connection reset|Zero Bytes")
SECONDS_TO_NEXT_TRY = 20
SECONDS_FOR_AN_ANSWER = 60
# Seconds between two status checks, as in the plugin.
LONGEST_INTERVAL = 180

FAILED = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
# SLURM may requeue such a job. If it has not done so after ROUNDS_TO_COME_BACK status checks, it never will.
PERHAPS_REQUEUED = {"NODE_FAIL", "PREEMPTED"}
ROUNDS_TO_COME_BACK = 3
# Messages of slurmstepd and srun in the log of a job.
OUT_OF_MEMORY = re.compile("oom.kill|task .*: Out Of Memory")
RAN_OUT_OF = {"OUT_OF_MEMORY": "mem_mb", "TIMEOUT": "runtime"}


def _move_cache() -> None:
    """Use a local cache folder if HOME is full or read-only: Snakemake writes to its cache at the start."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            # A full quota allows creating the file but not writing to it.
            file.write(b"x")
            file.flush()
    except OSError:
        os.environ["XDG_CACHE_HOME"] = str(Path(".snakemake/cache").absolute())


# Snakemake imports all plugins when it starts.
_move_cache()


def _marker(job: Any) -> str:
    """Return the name, without its ending, of the file that an attempt of a job writes when it ends."""
    return f"{job.jobid}-{job.attempt}"


class Executor(plugin.Executor):  # type: ignore[misc]  # the plugin has no types
    """Submits jobs to SLURM, follows them, and cancels them."""

    _watch: asyncio.Task[None] | None = None

    def __init__(self, workflow: Any, logger: Any) -> None:
        installed = version("snakemake-executor-plugin-slurm")
        if installed.split(".")[0] != TRIED_WITH.split(".")[0]:
            raise WorkflowError(
                f"snakemake-executor-plugin-slurm {installed} is installed, but the executor slurm-patient "
                f"was tested with {TRIED_WITH}. Run: make install"
            )
        if workflow.executor_settings.array_jobs:
            raise WorkflowError(
                "The executor slurm-patient does not support job arrays. Remove the setting array-jobs."
            )
        self._stopping = threading.Event()
        self._refusals: dict[Any, str] = {}
        self._needs: dict[tuple[Any, str], int] = {}
        self._missing: collections.Counter[str] = collections.Counter()
        self._reported: dict[str, float] = {}
        if "SLURM_JOB_ID" in os.environ:
            # Snakemake runs inside a SLURM job: the jobs of the run must not inherit the settings of that job.
            # SLURM_CONF is kept because it identifies the cluster.
            for name in set(os.environ) - {"SLURM_CONF"}:
                if name.startswith("SLURM_"):
                    del os.environ[name]
        super().__init__(workflow, logger)

    def __post_init__(self) -> None:
        # This executor asks squeue first, and sacct for jobs that squeue does not list. The plugin would suggest one.
        self.workflow.executor_settings.status_command = None
        super().__post_init__()
        if self.workflow.executor_settings.no_mem:
            # The plugin warns for every job.
            self.logger.addFilter(lambda record: "No job memory" not in record.getMessage())
        self.markers = Path(self.tmpdir)

    def _warn(self, topic: str, message: str) -> None:
        """Warn the user, at most once a minute per topic."""
        now = time.monotonic()
        if now - self._reported.get(topic, -60) >= 60:
            self._reported[topic] = now
            self.logger.warning(message)

    # --- Submission -----------------------------------------------------------------------------

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs; a retried job gets more of the resource that it ran out of."""
        # Snakemake's own handler would wait for the jobs, but SIGTERM is usually followed by SIGKILL soon.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for job in jobs:
            if job.attempt > 1 and not job.is_group():
                self._set_resources(job)
            self._drop_mem(job)
        super().run_jobs(jobs)

    def _drop_mem(self, job: Any) -> None:
        """Request no memory for a job if the site does not allow it."""
        if self.workflow.executor_settings.no_mem:
            job.resources.mem_mb = 0

    def _set_resources(self, job: Any) -> None:
        """Raise the resource that ran out in an earlier attempt, up to the limit of the partition, if known."""
        names = (job.resources.get("slurm_partition") or "").split(",")
        groups = [
            group
            for group in partitions() or []
            if group.partition in names or (group.default and names == [""])
        ]
        limits: dict[str, list[float]] = {
            "mem_mb": [group.mem_mb for group in groups],
            "runtime": [group.minutes for group in groups],
        }
        for name, amounts in limits.items():
            asked = job.resources.get(name)
            if asked and amounts:
                needed = max(asked, self._needs.get((job, name), 0))
                setattr(job.resources, name, int(min(needed, max(amounts))))

    def refusal(self, job: Any) -> str:
        """Return why sbatch would refuse a job permanently; "" if it would not. Nothing is submitted."""
        parts = {
            "run_uuid": self.run_uuid,
            "slurm_logfile": os.devnull,
            "comment_str": "",
            "account": next(self.get_account_arg(job)),
            "partition": self.get_partition_arg(job),
            "workdir": self.workflow.workdir_init,
        }
        self._drop_mem(job)
        call = get_submit_command(job, parts, settings=self.workflow.executor_settings)
        command = [*shlex.split(call + set_gres_string(job)), "--test-only", "--wrap=true"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.SubprocessError):
            # If there is a problem, the first submission reports it.
            return ""
        words = " ".join(done.stderr.split())
        return words if done.returncode and not PASSING.search(words) else ""

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """Yield the option for the account. SLURM checks the account and has a default."""
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(account))}" if account else ""

    def get_partition_arg(self, job: Any) -> str:
        """Return the option for the partition. SLURM has a default."""
        return super().get_partition_arg(job) if job.resources.get("slurm_partition") else ""

    def get_job_exec_suffix(self, job: Any) -> str:
        """Return the last commands of a job: they write a file that records whether the job succeeded."""
        marker = shlex.quote(str(self.markers / _marker(job)))
        # A marker that cannot be written does not fail the job: squeue reports the same later.
        return f"(touch {marker}.done || true) || (touch {marker}.failed; exit 1)"

    def run_job(self, job: Any) -> None:
        """Submit one job; if SLURM temporarily refuses it, wait and submit it again."""
        super().run_job(job)
        pause = SECONDS_TO_NEXT_TRY
        while reason := self._refusals.pop(job, None):
            self._warn(
                reason,
                f"sbatch does not accept jobs at present: {reason} "
                "The run waits and tries again. Press Ctrl-C to end it.",
            )
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, LONGEST_INTERVAL)
            if PERHAPS_SUBMITTED.search(reason):
                self._cancel_unanswered(job)
            super().run_job(job)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        refusal = re.match(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", msg, re.S)
        if refusal and PASSING.search(refusal[1]):
            self._refusals[job_info.job] = " ".join(refusal[1].split())
        else:
            # Another attempt would be refused as well.
            if refusal:
                job_info.job.attempt = job_info.job.restart_times + 1
            super()._report_job_error_threadsafe(job_info, msg)

    def _cancel_unanswered(self, job: Any) -> None:
        """Cancel the job that sbatch submitted before it timed out."""
        wildcards = get_job_wildcards(job)
        comment = f"rule_{job.name}" + (f"_wildcards_{wildcards}" if wildcards else "")
        query = ["squeue", "--noheader", f"--name={self.run_uuid}", "--format=%i|%k"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            queued = subprocess.run(
                query, capture_output=True, text=True, timeout=SECONDS_FOR_AN_ANSWER, check=True
            )
            for line in queued.stdout.splitlines():
                number, _, of = line.partition("|")
                if of == comment:
                    subprocess.run(["scancel", number], timeout=SECONDS_FOR_AN_ANSWER, check=False)
        for marker in self.markers.glob(f"{_marker(job)}.*"):
            marker.unlink()

    # --- Waiting --------------------------------------------------------------------------------

    async def _wait_for_jobs(self) -> None:
        """Check the jobs until the run ends: their markers every second, squeue less often."""
        self._loop, self._watch = asyncio.get_running_loop(), asyncio.current_task()
        shortest = self.workflow.executor_settings.init_seconds_before_status_checks
        interval, next_round = shortest, 0.0
        asked: collections.Counter[str] = collections.Counter()
        with contextlib.suppress(asyncio.CancelledError):
            while self.wait:
                await asyncio.sleep(1)
                with self.lock:
                    active = list(self.active_jobs)
                now = time.monotonic()
                if not active:
                    interval, next_round = shortest, now + shortest
                    continue
                markers = self._markers()
                jobs = [job for job in active if not self._is_done(job, markers)]
                if len(jobs) < len(active):
                    interval, next_round = shortest, min(next_round, now + shortest)
                failed = {
                    job.external_jobid for job in jobs if f"{_marker(job.job)}.failed" in markers
                }
                if any(asked[job] < 3 for job in failed):
                    # SLURM knows the reason once it has cleaned up.
                    next_round = min(next_round, now + 3)
                if jobs and now >= next_round:
                    asked.update(failed)
                    ended = await self._round(jobs)
                    if ended is None:
                        interval = SECONDS_TO_NEXT_TRY
                    else:
                        interval = shortest if ended else min(interval + 10, LONGEST_INTERVAL)
                    next_round = time.monotonic() + interval

    def _markers(self) -> set[str]:
        try:
            return {path.name for path in self.markers.iterdir()}
        # The file server may be unavailable; squeue reports the same.
        except OSError:
            return set()

    def _is_done(self, job: SubmittedJobInfo, markers: set[str]) -> bool:
        done = f"{_marker(job.job)}.done" in markers
        if done:
            self._succeed(job)
        return done

    async def _round(self, jobs: list[SubmittedJobInfo]) -> int | None:
        """Ask SLURM for the states of jobs, and report the jobs that ended.

        Returns:
            The number of jobs that ended; None if squeue does not answer.
        """
        query = ("--array", "--noheader", "--states=all", "--format=%i|%T")
        text = await self._ask("squeue", *query, f"--name={self.run_uuid}")
        if text is None:
            return None
        states = dict(line.split("|", 1) for line in text.splitlines() if "|" in line)
        gone = [job.external_jobid for job in jobs if job.external_jobid not in states]
        if gone:
            columns = ("--allocations", "--noheader", "--parsable2", "--format=JobID,State")
            text = await self._ask("sacct", *columns, f"--jobs={','.join(gone)}")
            rows = [line.split("|", 1) for line in (text or "").splitlines() if "|" in line]
            # The first word, because sacct writes for example "CANCELLED by 0".
            states |= {job: state.split()[0] for job, state in rows if state}
        return sum(self._report(job, states.get(job.external_jobid, "")) for job in jobs)

    def _report(self, job: SubmittedJobInfo, state: str) -> bool:
        """Report a job if it ended; return whether it did."""
        if state == "COMPLETED":
            self._succeed(job)
            return True
        if state and state not in PERHAPS_REQUEUED | FAILED:
            self._missing.pop(job.external_jobid, None)
            return False
        self._missing[job.external_jobid] += 1
        if state not in FAILED and self._missing[job.external_jobid] < ROUNDS_TO_COME_BACK:
            return False
        # Otherwise it might still start in parallel to the next attempt.
        if state in PERHAPS_REQUEUED:
            self._scancel(job.external_jobid)
        self._fail(job, state)
        return True

    async def _ask(self, *command: str) -> str | None:
        """Return the output of a command; warn the user and return None if it does not answer."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                answer = process.communicate()
                out, err = await asyncio.wait_for(answer, SECONDS_FOR_AN_ANSWER)
            finally:
                if process.returncode is None:
                    process.kill()
            if process.returncode == 0:
                return out.decode(errors="replace")
            reason = " ".join(err.decode(errors="replace").split()) or "it failed"
        except TimeoutError:
            reason = f"it did not finish within {SECONDS_FOR_AN_ANSWER} s"
        except OSError as error:
            reason = str(error)
        self._warn(
            command[0],
            f"{command[0]} does not answer: {reason}. The run asks again; its jobs are not affected.",
        )
        return None

    def _forget(self, job: SubmittedJobInfo) -> None:
        with self.lock:
            self.active_jobs.remove(job)
        self._missing.pop(job.external_jobid, None)

    def _succeed(self, job: SubmittedJobInfo) -> None:
        self._forget(job)
        if not self.workflow.executor_settings.keep_successful_logs:
            with contextlib.suppress(OSError):
                job.aux["slurm_logfile"].unlink()
        self.report_job_success(job)

    def _fail(self, job: SubmittedJobInfo, state: str) -> None:
        self._forget(job)
        with contextlib.suppress(OSError):
            # If a step of a job runs out of memory, SLURM may only report that the job failed.
            if state == "FAILED" and OUT_OF_MEMORY.search(
                job.aux["slurm_logfile"].read_text(errors="replace")
            ):
                state = "OUT_OF_MEMORY"
        if name := RAN_OUT_OF.get(state):
            self._needs[job.job, name] = 2 * (job.job.resources.get(name) or 0)
        how = state or "unknown: neither squeue nor sacct lists it"
        message = f"SLURM job {job.external_jobid} ended; its state is {how}. "
        self.report_job_error(job, msg=message, aux_logs=[str(job.aux["slurm_logfile"])])

    # --- The end --------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel all jobs of the run, including jobs whose ids are not known yet."""
        self._stopping.set()
        self._scancel(f"--name={self.run_uuid}")
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        # Cancel the jobs that were submitted in the meantime.
        self._scancel(f"--name={self.run_uuid}")

    def _scancel(self, what: str) -> None:
        try:
            done = subprocess.run(
                ["scancel", what], capture_output=True, text=True, timeout=30, check=False
            )
            failure = done.stderr.strip() if done.returncode else ""
        except (OSError, subprocess.SubprocessError) as error:
            failure = str(error)
        if failure:
            self.logger.error(
                f"scancel failed: {failure}. Jobs may still run. When SLURM answers, run: scancel {what}"
            )

    def shutdown(self) -> None:
        """End at once, even during a status check; a missing efficiency report is not an error."""
        # Jobs are left only after an error of this executor.
        if self.active_jobs and not self._stopping.is_set():
            self.cancel_jobs(self.active_jobs)
        self._stopping.set()
        if self._watch:
            # The loop may have ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._watch.cancel)
        try:
            super().shutdown()
        # For example from pandas, sacct or the disk. All results are computed by now.
        except Exception as error:
            self.logger.warning(f"The efficiency report could not be written: {error}")
