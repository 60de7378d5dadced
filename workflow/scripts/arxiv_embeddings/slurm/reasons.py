"""Why jobs wait in the queue, in plain words."""

import re
from collections.abc import Iterable

from .jobs import QueuedJob

# The pattern of the reason, why the jobs wait, and what the user can do. The first pattern that matches counts. The
# reasons are those of the page "Job Reason Codes" of SLURM's documentation.
_NOTES = [
    (r"None", "not yet looked at by SLURM", ""),
    (r"Resources", "for free resources", ""),
    (r"Priority", "behind jobs with a higher priority", ""),
    (r"BeginTime", "for their start time, as after a requeue", ""),
    (r"JobHeldUser", "held by you", "run scontrol release {jobs}"),
    (r"JobHeldAdmin", "held by an administrator", "ask the administrators to release {jobs}"),
    (
        r"launch failed requeued held",
        "held because they could not be started on a node",
        "report the node to the administrators, then run scontrol release {jobs}",
    ),
    (
        r"PartitionTimeLimit",
        "for ever, as their time limit is above that of the partition",
        "run scontrol update JobId={jobs} TimeLimit=<limit of the partition>",
    ),
    (r"PartitionDown|PartitionInactive", "until administrators open the partition", ""),
    (
        r"(Assoc|QOS)\w*PerJob\w*|(Assoc|QOS)MaxWall\w*",
        "for ever, as they request more than the account or QOS allows a job",
        "interrupt the run, request less, and repeat the command",
    ),
    (
        r"(Assoc|QOS)Grp(?!\w*RunMinutes)\w*Minutes\w*",
        "as the hours of the account or QOS are used up",
        "ask the administrators for more, or use another account",
    ),
    (r"(Assoc|QOS)(Max|Grp)\w*", "at a limit of the account or QOS, until other jobs end", ""),
    (r"ReqNodeNotAvail.*", "for nodes that are down or reserved", ""),
    (
        r"DependencyNeverSatisfied",
        "for ever, as a job that they depend on failed",
        "run scontrol update JobId={jobs} Dependency=",
    ),
]


def waiting_lines(jobs: Iterable[QueuedJob]) -> list[str]:
    """Return one line for each reason why pending ``jobs`` wait, the most frequent reason first.

    For example ``3 held by you (JobHeldUser): run scontrol release 17,18,21``. Jobs in other states are skipped.
    """
    by_reason: dict[str, list[str]] = {}
    for job in jobs:
        if job.state == "PENDING":
            # Some versions of SLURM print "_" for a space.
            by_reason.setdefault(job.reason.replace("_", " "), []).append(job.job_id)
    return [
        _line(reason, job_ids)
        for reason, job_ids in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    ]


def _line(reason: str, job_ids: list[str]) -> str:
    count = f"{len(job_ids):,}"
    for pattern, why, what_to_do in _NOTES:
        if re.fullmatch(pattern, reason):
            line = f"{count} {why} ({reason})"
            # All ids, however many, so that the command can be copied; squeue lists held jobs in no order.
            jobs = ",".join(sorted(job_ids, key=lambda job: (len(job), job)))
            return f"{line}: {what_to_do.format(jobs=jobs)}" if what_to_do else line
    return f"{count} for another reason ({reason})"
