"""Ending a process that hangs."""

import faulthandler
import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import IO, Self

from .progress import duration

log = logging.getLogger(__name__)

# Later than the thread by so much, faulthandler ends a process whose interpreter itself hangs.
GRACE_SECONDS = 60.0


class Watchdog:
    """Ends this process with exit code 1 if it makes no progress for ``minutes``.

    An error and the stacks of all threads are written to the log first. Where the interpreter itself hangs, as in a
    driver that keeps its lock, the stacks alone are written, ``GRACE_SECONDS`` later. ``progress`` may be called from
    any thread; the start counts as progress.

    The watch ends with the block, unless an exception leaves it: a thread that hangs keeps a process from ending.
    """

    def __init__(self, minutes: float) -> None:
        self._limit = minutes * 60
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def progress(self) -> None:
        """Tell that there was progress."""
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._stopped.set()
            self._thread.join()
            faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        streams: list[IO[str]] = [sys.stderr]
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler) and handler.stream is not None:
                streams.append(handler.stream)
        while (left := self._last + self._limit - time.monotonic()) > 0:
            faulthandler.dump_traceback_later(left + GRACE_SECONDS, file=streams[-1], exit=True)
            if self._stopped.wait(left):
                return
        log.error(
            "No progress for %s: this process hangs and ends here; the stacks of its threads follow. "
            "If it happens on one node only, exclude that node; if the work is only slow, raise no_progress_minutes.",
            duration(self._limit),
        )
        for stream in streams:
            faulthandler.dump_traceback(stream)
        os._exit(1)
