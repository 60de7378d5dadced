"""The version of the workflow that produced a result."""

import subprocess
from pathlib import Path


def git_commit(folder: Path) -> str | None:
    """Return the full commit id of the git checkout that contains ``folder``; None without a checkout or git.

    ``+changes`` is appended if tracked files differ from the commit.
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
