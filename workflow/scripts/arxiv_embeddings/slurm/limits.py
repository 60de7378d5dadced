"""What a SLURM cluster has to give, and what a job asks of it."""

import contextlib
import logging
import math
import os
import pwd
import re
from dataclasses import dataclass

from .commands import NoAnswerError, output_of

log = logging.getLogger(__name__)

ANSWER_WITHIN = 10  # seconds that a command of SLURM gets

# Without --exact, differing nodes share a line that tells only the smallest of them ("4+").
# With --all also hidden partitions are listed, which accept jobs like any other.
SINFO = ["sinfo", "--all", "--exact", "--noheader", "--format=%P|%l|%m|%c|%G|%a"]

IN_PARENTHESES = re.compile(r"\([^()]*\)")


@dataclass(frozen=True)
class Request:
    """What one rule's jobs ask of SLURM; a None leaves it to SLURM.

    Attributes:
        rule: the name of the rule.
        partition: one partition, or several with commas between them: SLURM takes any of those.
        account: the account that pays.
        cpus: of one job.
        mem_mb: memory of one job in MB, as SLURM counts it.
        minutes: the time limit of one job.
        gpus: of one job, all on one node.
    """

    rule: str
    partition: str | None
    account: str | None
    cpus: int
    mem_mb: int | None
    minutes: int | None
    gpus: int


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one partition that are alike, and the limits of the partition.

    Attributes:
        partition: its name.
        default: whether jobs without a partition go there.
        up: whether jobs start there.
        minutes: the longest time limit of a job; infinite where there is none.
        mem_mb: memory of a node in MB.
        cpus: of a node.
        gpus: of a node, of whatever type.
    """

    partition: str
    default: bool
    up: bool
    minutes: float
    mem_mb: int
    cpus: int
    gpus: int

    def fits(self, request: Request) -> bool:
        """Tell whether one of these nodes, when it is free, can run such a job."""
        return (
            request.cpus <= self.cpus
            and (request.mem_mb or 0) <= self.mem_mb
            and (request.minutes or 0) <= self.minutes
            and request.gpus <= self.gpus
        )


def partitions() -> list[NodeGroup] | None:
    """Return what sinfo tells, or None where it does not answer."""
    text = _answer(SINFO, "partitions")
    if text is None:
        return None
    groups = parse_partitions(text)
    if not groups:
        log.info("sinfo shows no partition, so partitions could not be checked.")
    return groups or None


def accounts() -> list[str] | None:
    """Return the accounts of this user in lower case, as SLURM keeps them, or None where unknown."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        log.info("This user has no name, so accounts could not be checked.")
        return None
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}"]
    text = _answer([*command, "format=account"], "accounts")
    if text is None:
        return None
    # Without any, the cluster does not keep accounts, or sbatch refuses the first job in clear words.
    if not text.split():
        log.info("sacctmgr shows no account of %s, so accounts could not be checked.", user)
    return sorted({name.lower() for name in text.split()}) or None


def _answer(command: list[str], what: str) -> str | None:
    """Return the output of a command of SLURM; None, and a line in the log, if there is none."""
    try:
        return output_of(command, ANSWER_WITHIN)
    except NoAnswerError as error:
        log.info("%s %s, so %s could not be checked.", command[0], error, what)
        return None


def parse_partitions(text: str) -> list[NodeGroup]:
    """Return the groups of nodes in the output of ``sinfo --format=%P|%l|%m|%c|%G|%a``.

    Lines of another shape, such as the headings of several clusters, are left out.
    """
    groups = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 6:
            continue
        name, limit, memory, cpus, gres, state = fields
        with contextlib.suppress(ValueError):
            groups.append(
                NodeGroup(
                    partition=name.removesuffix("*"),
                    default=name.endswith("*"),
                    up=state == "up",
                    minutes=parse_minutes(limit),
                    mem_mb=int(memory.removesuffix("+")),
                    cpus=int(cpus.removesuffix("+")),
                    gpus=parse_gpus(gres),
                )
            )
    return groups


def parse_minutes(limit: str) -> float:
    """Return a time limit of SLURM (``1-00:00:00``, ``12:00:00``, ``30:00``, ``infinite``) in minutes.

    Raises:
        ValueError: it is none.
    """
    if limit.lower() in {"infinite", "unlimited", "n/a", "none"}:
        return math.inf
    days, dash, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if len(parts) > 3:
        raise ValueError(f"{limit!r} is no time limit")
    # A day is followed by hours; a lone number is minutes.
    if dash or len(parts) == 3:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = 0, *[*parts, 0][:2]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def parse_gpus(gres: str) -> int:
    """Return the number of GPUs in the generic resources of a node, of whatever type.

    For example 2 for ``gpu:a100:2(S:0-1),shard:4``, and 0 for ``(null)``.
    """
    count = 0
    # The sockets in parentheses may hold commas and colons.
    for resource in IN_PARENTHESES.sub("", gres).split(","):
        name, *facts = resource.strip().split(":")
        if name == "gpu":
            count += int(facts[-1]) if facts and facts[-1].isdecimal() else 1
    return count
