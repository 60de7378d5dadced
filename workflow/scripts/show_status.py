"""Print the progress of the runs in results/. It only reads, so call it at any time, from any shell."""

import argparse
import sys
from pathlib import Path

from arxiv_embeddings.common.cli import end_with_reader
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.slurm import run_record
from arxiv_embeddings.slurm.jobs import queued_jobs
from arxiv_embeddings.slurm.status import status_lines


def main(folders: list[Path]) -> int:
    if not folders:
        print(
            f"There is no results/*/{run_record.NAME} here: no run has been started in this folder. "
            "Start a run, or name a folder of results with --results.",
            file=sys.stderr,
        )
        return 1
    failed = 0
    for number, folder in enumerate(folders):
        try:
            record = run_record.read_run_record(folder)
        except InputError as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        print("\n" * bool(number) + "\n".join(status_lines(record, queued_jobs(record))))
    return failed


if __name__ == "__main__":
    end_with_reader()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="folders of results, such as results/arxiv; default: all runs in results/",
    )
    chosen = parser.parse_args().results
    found = sorted(path.parent for path in Path("results").glob(f"*/{run_record.NAME}"))
    sys.exit(main(chosen or found))
