"""Which version of the workflow made a result."""

import subprocess
from pathlib import Path


def commit(folder: Path) -> str | None:
    """Return the git commit of the checkout around ``folder``, with ``+changes`` if files differ from it.

    None where there is no checkout or no git.
    """
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}+changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
