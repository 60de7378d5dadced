"""Ending well when SIGTERM arrives: SLURM sends it when it preempts a job, and at its time limit."""

import sys
from types import FrameType


def end_at_once(number: int, frame: FrameType | None) -> None:
    """End the process as any error does, so that partial files are removed: a signal handler."""
    sys.exit(128 + number)
