"""Inputs that are dated in the future, as seen by the clock of the results' disk."""

import datetime
import tempfile
from collections.abc import Iterable
from pathlib import Path

TOLERATED = 2.0  # seconds; some file systems keep no finer times


def clock_problems(files: Iterable[Path], folder: Path) -> list[str]:
    """Find inputs that would look newer than what is computed from them now.

    Snakemake deletes an output that is older than an input of its job.

    Args:
        files: inputs; those that do not exist yet are left out.
        folder: on the disk of the results; it exists. A file is written there, to see its time.

    Returns:
        One line for each such input: what is wrong, and what to do.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        now = Path(file.name).stat().st_mtime
    problems = []
    for path in sorted(set(files)):
        try:
            ahead = path.stat().st_mtime - now
        except OSError:
            continue
        if ahead > TOLERATED:
            duration = datetime.timedelta(seconds=round(ahead))
            problems.append(
                f"{path} is dated {duration} (hours:minutes:seconds) in the future, by the clock of the disk of "
                f"{folder.absolute()}, so whatever is computed from it would count as outdated. Check the clocks of "
                f"the machines, then run: touch {path}"
            )
    return problems
