"""Detect the account, the partitions and the way to request GPUs, and write them for the profile."""

import sys

import yaml
from arxiv_embeddings.slurm.commands import NoAnswerError
from arxiv_embeddings.slurm.site import HEADER, SITE, propose


def main() -> None:
    if SITE.exists():
        sys.exit(f"{SITE} exists. Edit it by hand, or delete it and run this again.")
    try:
        entries = propose()
    except NoAnswerError as error:
        sys.exit(f"sinfo {error}. Run this on a login node of the cluster.")
    SITE.write_text(HEADER + (yaml.safe_dump(entries, sort_keys=False) if entries else ""))
    print(f"Written to {SITE}:\n{SITE.read_text()}")
    if "gpu_partition" not in entries:
        print(
            "sinfo shows no partition with GPUs. Ask your site for its name, and write it as gpu_partition."
        )
    print("Other partitions: sinfo. Other accounts: sacctmgr show associations user=$USER")
    print("Next: snakemake --profile slurm -n")


if __name__ == "__main__":
    main()
