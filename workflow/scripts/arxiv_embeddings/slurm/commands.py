"""Run SLURM's commands, which may be missing, fail, or hang while the controller is down."""

import subprocess
from collections.abc import Sequence

TIMEOUT_SECONDS = 10.0


class NoAnswerError(Exception):
    """A command of SLURM gave no answer. The message is the reason, worded to follow the command's name."""


def output_of(command: Sequence[str]) -> str:
    """Return what a command of SLURM prints; bytes that are not UTF-8 are replaced.

    Args:
        command: the command with its arguments.

    Raises:
        NoAnswerError: it is missing, fails, or takes longer than ``TIMEOUT_SECONDS``.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"did not answer within {TIMEOUT_SECONDS:g} s") from error
    except OSError as error:
        raise NoAnswerError(f"could not be started ({error.strerror})") from error
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise NoAnswerError(f"failed ({reason})")
    return done.stdout
