"""The site settings that the profile needs: account, partitions, and how GPUs are requested."""

import getpass
import math
import os
from pathlib import Path

import yaml

from . import limits
from .commands import NoAnswerError, output_of

SITE = Path(__file__).parents[4] / "profiles/slurm/site.yaml"
HEADER = "# Written by `make slurm-setup`; profiles/slurm/config.yaml reads it. Edit it if a value is wrong.\n"


def site(name: str) -> str:
    """Return a setting of this site as an expression that Snakemake evaluates; "" if it is not set.

    Args:
        name: for example ``account``: read from the environment variable EMBED_ACCOUNT, otherwise from the entry
            ``account`` of the site file.
    """
    entries = yaml.safe_load(SITE.read_text()) or {} if SITE.is_file() else {}
    value = os.environ.get(f"EMBED_{name.upper()}") or entries.get(name)
    return repr(str(value)) if value else ""


def propose() -> dict[str, str]:
    """Return entries for the site file, derived from the answers of sinfo, sacctmgr and sbatch.

    Raises:
        NoAnswerError: sinfo does not answer.
    """
    groups = [group for group in limits.parse_partitions(output_of(limits.SINFO)) if group.up]
    # The default partition comes first, then the partitions with the longest time limits.
    groups.sort(key=lambda group: (not group.default, -group.minutes))
    entries = {"account": _default_account()}
    for name, fitting in (
        ("cpu_partition", [group for group in groups if not group.gpus] or groups),
        ("gpu_partition", [group for group in groups if 0 < group.gpus < math.inf]),
    ):
        entries[name] = fitting[0].partition if fitting else ""
    if entries["gpu_partition"] and not _accepts(entries, "--gpus=1"):
        entries["gres"] = "gpu:1" if _accepts(entries, "--gres=gpu:1") else ""
    if _accepts(entries) and not _accepts(entries, "--mem=100"):
        entries["no_mem"] = "yes"
    return {name: value for name, value in entries.items() if value}


def _default_account() -> str:
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "user", getpass.getuser()]
    try:
        return output_of([*command, "format=defaultaccount"]).strip()
    except NoAnswerError:
        # SLURM may run without accounts.
        return ""


def _accepts(entries: dict[str, str], *options: str) -> bool:
    """Return whether sbatch would accept a job with these options; nothing is submitted."""
    where = ["--nodes=1", "--ntasks=1"]
    if partition := entries["gpu_partition"] or entries["cpu_partition"]:
        where.append(f"--partition={partition}")
    if account := entries["account"]:
        where.append(f"--account={account}")
    try:
        output_of(["sbatch", "--test-only", *where, *options, "--wrap=true"])
    except NoAnswerError:
        return False
    return True
