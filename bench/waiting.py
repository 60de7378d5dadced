"""Measure how much of a run on a cluster is waiting, with jobs of known lengths on a real SLURM on this machine.

    sudo python bench/waiting.py [--rounds 3] [--executor slurm]

The jobs sleep as long as the steps of a run of 30,000 papers on six GPUs were estimated to take: filtering, sampling, looking up, six
shards at a time, merging; 81 s on the longest path. Everything else counts as waiting, as the user sees it: the start of
Snakemake, submission, SLURM's scheduling, the start of each job, and the time until its end is noticed. With ``--executor slurm``
the plugin itself runs instead of this repository's executor.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from slurm.cluster import ACCOUNT, Cluster

STEPS = {"filter": 14, "sample": 5, "look_up": 12, "embed": 43, "merge": 7}  # seconds
SHARDS = 6


def snakefile() -> str:
    """Return a workflow of the steps, each waiting for the one before."""
    rules = [f'rule all:\n    input: "merge-0"\n    localrule: True\nshards = range({SHARDS})']
    before = ""
    for name, seconds in STEPS.items():
        shards = f'expand("{before}-{{i}}", i=shards)' if before == "embed" else f'"{before}-0"'
        rules.append(
            f"rule {name}:\n"
            + (f"    input: {shards}\n" if before else "")
            + f'    output: "{name}-{{i}}"\n    resources: mem="500MB", runtime="10m"\n'
            f'    shell: "sleep {seconds}; touch {{output}}"'
        )
        before = name
    return "\n".join(rules) + "\n"


def seconds_of_run(cluster: Cluster, executor: str) -> float:
    """Return the seconds from the start of Snakemake to its end."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Snakefile").write_text(snakefile())
        options = ["--profile", str(ROOT / "slurm"), "--directory", folder, "--nocolor", "--quiet"]
        if executor == "slurm":
            # The same settings under the names of the plugin.
            options = ["--executor", "slurm", "--jobs", "100", "--directory", folder, "--quiet"]
            options += ["--default-resources", "slurm_partition=cpu", f"slurm_account={ACCOUNT}"]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--snakefile", f"{folder}/Snakefile", *options],
            env={**os.environ, **cluster.env, "EMBED_ACCOUNT": ACCOUNT},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs, of which the median counts; default: 3"
    )
    parser.add_argument("--executor", choices=["slurm-patient", "slurm"], default="slurm-patient")
    arguments = parser.parse_args()
    work = sum(STEPS.values())
    with Cluster() as cluster:
        runs = [seconds_of_run(cluster, arguments.executor) for _ in range(arguments.rounds)]
    median = statistics.median(runs)
    print(
        f"{arguments.executor}: {median:.0f} s, of which {work} s are work and {1 - work / median:.0%} waiting "
        f"(median of {', '.join(f'{seconds:.0f}' for seconds in runs)} s; {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
