"""The limits of a SLURM cluster, and the resources that a job requests from it."""

import contextlib
import logging
import math
import os
import pwd
import re
from dataclasses import dataclass

from .commands import NoAnswerError, output_of

log = logging.getLogger(__name__)

# Without --exact, nodes that differ share a line with the smallest values ("4+").
# --all adds hidden partitions, which accept jobs like any other.
SINFO = ["sinfo", "--all", "--exact", "--noheader", "--format=%P|%l|%m|%c|%G|%a"]

IN_PARENTHESES = re.compile(r"\([^()]*\)")


@dataclass(frozen=True)
class Request:
    """What each job of a rule requests; None leaves the choice to SLURM.

    Attributes:
        rule: the name of the rule.
        partition: one partition, or several separated by commas, of which SLURM chooses one.
        account: the account that is charged.
        cpus: number of CPUs.
        mem_mb: memory in SLURM's megabytes (MiB).
        minutes: time limit.
        gpus: number of GPUs, all on one node.
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
    """Identical nodes of one partition, and the limits of the partition.

    Attributes:
        partition: name of the partition.
        default: whether jobs that name no partition go there.
        up: whether jobs start there.
        minutes: longest time limit of a job; infinite where there is none.
        mem_mb: memory per node in SLURM's megabytes (MiB); infinite where it is unknown.
        cpus: CPUs per node; infinite where they are unknown.
        gpus: GPUs per node, of all types together; infinite where they are unknown.
    """

    partition: str
    default: bool
    up: bool
    minutes: float
    mem_mb: float
    cpus: float
    gpus: float

    def fits(self, request: Request) -> bool:
        """Tell whether one of these nodes, as far as known, can run such a job once it is idle."""
        return (
            request.cpus <= self.cpus
            and (request.mem_mb or 0) <= self.mem_mb
            and (request.minutes or 0) <= self.minutes
            and request.gpus <= self.gpus
        )


def partitions() -> list[NodeGroup] | None:
    """Return the groups of nodes that sinfo lists; None, and a line in the log, if it lists none."""
    text = _answer(SINFO, "partitions")
    if text is None:
        return None
    groups = parse_partitions(text)
    if not groups:
        log.info("sinfo lists no partition, so partitions could not be checked.")
    return groups or None


def accounts() -> list[str] | None:
    """Return the accounts of this user in lower case, as SLURM stores them; None where they are unknown."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        log.info("This user has no name, so accounts could not be checked.")
        return None
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}"]
    text = _answer([*command, "format=account"], "accounts")
    if text is None:
        return None
    # A cluster without accounting lists none. Where one is required, sbatch says so at the first job.
    if not text.split():
        log.info("sacctmgr lists no account of %s, so accounts could not be checked.", user)
    return sorted({name.lower() for name in text.split()}) or None


def _answer(command: list[str], what: str) -> str | None:
    """Return the output of a command of SLURM; None, and a line in the log, if it does not answer."""
    try:
        return output_of(command)
    except NoAnswerError as error:
        log.info("%s %s, so %s could not be checked.", command[0], error, what)
        return None


def parse_partitions(text: str) -> list[NodeGroup]:
    """Return the groups of nodes in the output of ``sinfo --format=%P|%l|%m|%c|%G|%a``.

    Lines in another format, such as the headings of several clusters, are skipped. A partition whose nodes are
    hidden, as cloud nodes are while they are switched off, is listed with 0 CPUs and 0 MB: they are unknown.
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
                    mem_mb=int(memory.removesuffix("+")) or math.inf,
                    cpus=int(cpus.removesuffix("+")) or math.inf,
                    gpus=parse_gpus(gres) if int(cpus.removesuffix("+")) else math.inf,
                )
            )
    return groups


def parse_minutes(limit: str) -> float:
    """Return a time limit of SLURM (``1-00:00:00``, ``12:00:00``, ``30:00``, ``infinite``) in minutes.

    Raises:
        ValueError: ``limit`` is not a time limit.
    """
    if limit.lower() in {"infinite", "unlimited", "n/a", "none"}:
        return math.inf
    days, dash, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if len(parts) > 3:
        raise ValueError(f"{limit!r} is not a time limit")
    # Hours follow a day; a single number is minutes.
    if dash or len(parts) == 3:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = 0, *[*parts, 0][:2]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def parse_gpus(gres: str) -> int:
    """Return the number of GPUs, of all types together, in the generic resources of a node.

    For example 2 for ``gpu:a100:2(S:0-1),shard:4``, and 0 for ``(null)``.
    """
    count = 0
    # The sockets in parentheses may contain commas and colons.
    for resource in IN_PARENTHESES.sub("", gres).split(","):
        name, *facts = resource.strip().split(":")
        if name == "gpu":
            count += int(facts[-1]) if facts and facts[-1].isdecimal() else 1
    return count
