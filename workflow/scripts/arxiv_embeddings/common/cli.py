"""What all commands share: logging, signals and exit codes."""

import argparse
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from .errors import InputError

log = logging.getLogger(__name__)

# What to do about errors of the file system, which are not errors of a program.
ADVICE = {
    errno.ENOSPC: "Free space on its disk, then run the command again.",
    errno.EDQUOT: "Delete files until your quota allows it, then run the command again.",
    errno.EROFS: "Choose a folder that can be written.",
    errno.EACCES: "Change its permissions, or choose another path.",
    errno.EIO: "Check its disk, then run the command again.",
}


def run(work: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, log to stderr and to ``--log``, and do the work.

    The exit code is 0 or 1; after SIGTERM it is 143, after Ctrl-C 130. An ``InputError`` and an error of the file
    system, such as a full disk, are logged as one line, because the user can fix them; any other exception is
    logged with its traceback.
    """
    parser.add_argument("--log", type=Path, help="file to append the messages to")
    arguments = parser.parse_args()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if arguments.log is not None:
        arguments.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(arguments.log, mode="a"))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )
    logging.captureWarnings(capture=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_on_signal)
    if job := os.environ.get("SLURM_JOB_ID"):
        node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        log.info("SLURM job %s on %s, GPU %s.", job, node, gpus)
    try:
        work(arguments)
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in ADVICE:
            path = error.filename or f"A file ({error})"
            reason = os.strerror(error.errno)
            log.error("%s cannot be read or written: %s. %s", path, reason, ADVICE[error.errno])
            sys.exit(1)
        log.exception("Unexpected error. Please report it with this log.")
        sys.exit(1)


def end_with_reader() -> None:
    """End this process without a traceback when nobody reads its output any more, as in ``| head``."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def number_or_all(text: str) -> int | None:
    """Return the number in an argument, or None for ``all``: a type for ``add_argument``."""
    return None if text == "all" else int(text)


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Raise SystemExit, so that partial files are removed on Ctrl-C, and when SLURM preempts a job."""
    if number == signal.SIGTERM:
        # A second one, as SLURM and the process that started this one may both send it, must not end the cleaning up.
        signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
