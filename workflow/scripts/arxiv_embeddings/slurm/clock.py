"""Find inputs that are dated in the future according to the clock of the disk with the results."""

import datetime
import tempfile
from collections.abc import Iterable
from pathlib import Path

# Seconds; some file systems store times with this resolution.
TOLERATED = 2.0


def clock_problems(files: Iterable[Path], folder: Path) -> list[str]:
    """Find inputs that would look newer than outputs computed from them now.

    Snakemake deletes an output that is older than an input of its job.

    Args:
        files: inputs; files that do not exist yet are left out.
        folder: an existing folder on the disk with the results. A temporary file is written there to read the clock.

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
                f"{path} is dated {duration} (hours:minutes:seconds) in the future, according to the clock of "
                f"the disk of {folder.absolute()}, so results computed from it would count as outdated. Check the "
                f"clocks of the machines, then run: touch {path}"
            )
    return problems
