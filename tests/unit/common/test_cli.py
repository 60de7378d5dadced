"""Commands log to stderr and to a file, and fail with one line where the user can fix the problem."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
START = """
import argparse, os, signal, sys, time, warnings
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
def main(arguments):
    {work}
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int)
run(main, parser)
print("end")
"""


def command(work: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that does ``work``, a line of Python; return its exit code, stdout and stderr."""
    inherited = {name: value for name, value in os.environ.items() if "SLURM" not in name}
    return subprocess.run(
        [sys.executable, "-c", START.format(work=work), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**inherited, "PYTHONPATH": str(SCRIPTS), **environment},
    )


def test_arguments_reach_the_work() -> None:
    done = command("print(arguments.size + 1)", "--size", 4)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\nend\n", "")


def test_user_error_is_one_line_on_stderr_and_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/new/a.log"
    work = "raise InputError('The file is empty. Download it again.')"
    for _ in range(2):
        done = command(work, "--log", log)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.endswith(" ERROR The file is empty. Download it again.")
    assert log.read_text().count(" ERROR The file is empty. Download it again.\n") == 2


def test_unexpected_error_has_its_traceback(tmp_path: Path) -> None:
    done = command("1 / 0", "--log", tmp_path / "a.log")
    assert done.returncode == 1
    for text in (done.stderr, (tmp_path / "a.log").read_text()):
        assert " ERROR Unexpected error. Please report it with this log." in text
        assert "Traceback" in text
        assert "ZeroDivisionError" in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            "OSError(28, 'No space', '/a/b')",
            "/a/b cannot be read or written: No space left on device. Free space on its disk, "
            "then run the command again.",
        ),
        (
            "OSError(5, 'Error writing bytes')",
            "A file ([Errno 5] Error writing bytes) cannot be read or written: Input/output error. "
            "Check its disk, then run the command again.",
        ),
        (
            "PermissionError(13, '', '/a')",
            "/a cannot be read or written: Permission denied. Change its permissions, or choose "
            "another path.",
        ),
        (
            "OSError(30, '', '/a')",
            "/a cannot be read or written: Read-only file system. Choose a folder that can be written.",
        ),
    ],
)
def test_error_of_the_file_system_is_one_line(error: str, message: str, tmp_path: Path) -> None:
    done = command(f"raise {error}", "--log", tmp_path / "a.log")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f" ERROR {message}")
    assert message in (tmp_path / "a.log").read_text()


def test_other_error_of_a_file_has_its_traceback() -> None:
    done = command("open('/nowhere')")
    assert "Unexpected error" in done.stderr
    assert "FileNotFoundError" in done.stderr


def test_warnings_are_logged(tmp_path: Path) -> None:
    command("warnings.warn('careful')", "--log", tmp_path / "a.log")
    assert "WARNING" in (tmp_path / "a.log").read_text()
    assert "careful" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_its_code_and_runs_the_cleanup(number: signal.Signals) -> None:
    work = f"""try:
        os.kill(os.getpid(), {number:d}); time.sleep(60)
    finally:
        print("removed")"""
    done = command(work)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "removed\n", "")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1"}, "SLURM job 7 on n1, GPU none."),
        (
            {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", "CUDA_VISIBLE_DEVICES": "3"},
            "SLURM job 7 on n1, GPU 3.",
        ),
    ],
)
def test_log_begins_with_the_slurm_job(environment: dict[str, str], expected: str) -> None:
    (*lines,) = command("pass", **environment).stderr.splitlines()
    assert [line.partition(" INFO ")[2] for line in lines] == [expected] * bool(expected)


def test_a_second_sigterm_does_not_interrupt_the_cleaning_up() -> None:
    twice = "os.kill(os.getpid(), signal.SIGTERM)"
    work = f"""
    try:
        {twice}
        time.sleep(60)
    finally:
        {twice}
        time.sleep(0.1)
        print('saved', flush=True)"""
    done = command(work)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "saved\n")
