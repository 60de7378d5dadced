"""Ending well when SIGTERM arrives: SLURM sends it when it preempts a job, and at its time limit.

SIGKILL follows some seconds later (KillWait, 30 by default).
"""

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from types import FrameType

log = logging.getLogger(__name__)


def end_at_once(number: int, frame: FrameType | None) -> None:
    """End the process as any error does, so that partial files are removed: a signal handler."""
    sys.exit(128 + number)


@contextlib.contextmanager
def finishing_on_sigterm() -> Iterator[None]:
    """Let the block finish when SIGTERM arrives in it, and end the process behind it."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if arrived:
        log.warning(
            "SIGTERM: the current chunk is saved, and the next run of this job goes on from here."
        )
        end_at_once(arrived[0], None)
