"""Asking SLURM's commands, which may be missing, fail, or hang while the controller is away."""

import subprocess
from collections.abc import Sequence


class NoAnswerError(Exception):
    """A command gave no answer; the message says why, to stand behind the command's name."""


def output_of(command: Sequence[str], within: float) -> str:
    """Return what ``command`` prints.

    Args:
        command: of SLURM, with its arguments.
        within: seconds it gets.

    Raises:
        NoAnswerError: it is absent, fails, or takes longer.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"did not answer within {within} s") from error
    except OSError as error:
        raise NoAnswerError(f"could not be started ({error.strerror})") from error
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise NoAnswerError(f"failed ({reason})")
    return done.stdout
