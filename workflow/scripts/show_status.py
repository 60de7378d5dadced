"""Print how far the runs in results/ are; it only reads and can be called at any time, from any shell."""

import argparse
import sys
from pathlib import Path

from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.slurm.jobs import queued_jobs
from arxiv_embeddings.slurm.run_record import read_plan
from arxiv_embeddings.slurm.status import status_lines


def main(folders: list[Path]) -> int:
    if not folders:
        print(
            "There is no results/*/plan.json here: no run has been started in this folder. Start one, or name "
            "the folder of results with --results.",
            file=sys.stderr,
        )
        return 1
    failed = 0
    for number, folder in enumerate(folders):
        try:
            plan = read_plan(folder)
        except InputError as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        print("\n" * bool(number) + "\n".join(status_lines(plan, queued_jobs(plan))))
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="folders of results, such as results/arxiv; all in results/ if not given",
    )
    chosen = parser.parse_args().results
    sys.exit(main(chosen or [plan.parent for plan in sorted(Path("results").glob("*/plan.json"))]))
