"""Several processes that work as one: none is left when another one, or the one that started them, ends."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from .errors import InputError

SECONDS_BETWEEN_LOOKS = 0.2


def run_together(commands: Sequence[Sequence[str]], while_running: Callable[[], None]) -> None:
    """Run the commands at the same time and return when all have succeeded.

    If one fails, or an exception is raised here (SIGTERM raises SystemExit), the others get SIGTERM, and this function
    waits until all have ended. Commands that call ``end_with_parent`` end too if this process is killed.

    Args:
        commands: programs with their arguments. They must not read from standard input.
        while_running: called several times a second.

    Raises:
        InputError: one failed. What went wrong stands in its own messages.
    """
    children: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            # In a group of its own: Ctrl-C in a terminal reaches it through this process, once.
            children.append(subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0))
        while True:
            codes = [child.poll() for child in children]
            for number, code in enumerate(codes, 1):
                if code:
                    raise InputError(
                        f"Process {number} of {len(children)} {_ending(code)}, so the others were stopped."
                    )
            if None not in codes:
                return
            while_running()
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        for child in children:
            child.wait()


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL; often because memory ran out)"
    if code < 0:
        return f"was ended by signal {-code}"
    return "failed, see its messages above"


def end_with_parent() -> None:
    """Send this process SIGTERM when the process that runs it with ``run_together`` ends, even if that one is killed."""

    def wait() -> None:
        # Standard input ends with the process at its other end.
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end with parent", daemon=True).start()
