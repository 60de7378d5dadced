"""Print how a run went: shards, attempts and how each ended, GPU-hours, speed."""

import argparse
import sys
from pathlib import Path

from arxiv_embeddings.common.cli import end_with_reader
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.slurm.jobs import job_history
from arxiv_embeddings.slurm.run_record import read_run_record
from arxiv_embeddings.slurm.status import summary_lines


def main(folder: Path, since: str | None) -> int:
    try:
        record = read_run_record(folder)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(summary_lines(record, job_history(record, since))))
    return 0


if __name__ == "__main__":
    end_with_reader()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of results, such as results/arxiv",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="count SLURM jobs since this time, such as 2026-01-31; default: the last start of the run",
    )
    arguments = parser.parse_args()
    sys.exit(main(arguments.results, arguments.since))
