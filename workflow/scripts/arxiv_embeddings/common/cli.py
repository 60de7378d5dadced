"""What the commands share: their log and the way they fail."""

import argparse
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


def run(work: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, log to stderr and to ``--log``, do the work, and exit with 0 or 1.

    What a user can mend is logged as one line; anything else with its traceback.
    """
    parser.add_argument("--log", type=Path, help="file that gets the messages too")
    arguments = parser.parse_args()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if arguments.log is not None:
        arguments.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(arguments.log, mode="a"))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )
    logging.captureWarnings(capture=True)
    signal.signal(signal.SIGTERM, _end_at_once)
    if job := os.environ.get("SLURM_JOB_ID"):
        node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        log.info("SLURM job %s on %s, GPU %s.", job, node, gpus)
    try:
        work(arguments)
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("This is unexpected. Please report it with this log.")
        sys.exit(1)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End as any error does, so that partial files are removed: SLURM preempts, or the time is over."""
    sys.exit(128 + number)
