"""Processes that work as one end together, however one of them or the one that started them ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arxiv_embeddings.common.children import run_together
from arxiv_embeddings.common.errors import InputError

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
CHILD = """
import signal, sys, time
from pathlib import Path
from arxiv_embeddings.common.children import end_with_parent
def clean_up(*_):
    Path(sys.argv[1] + ".ended").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, clean_up)
end_with_parent()
Path(sys.argv[1]).touch()
time.sleep(120)
"""
PARENT = f"""
import signal, sys
from arxiv_embeddings.common.children import run_together
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
run_together([[sys.executable, "-c", {CHILD!r}, name] for name in sys.argv[1:]], lambda: None)
"""


def wait_for(*paths: Path) -> None:
    end = time.monotonic() + 60
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end, paths
        time.sleep(0.02)


def command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_all_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the file of the other."""
    names = [tmp_path / "a", tmp_path / "b"]
    code = (
        "import sys, time; from pathlib import Path; Path(sys.argv[1]).touch()\n"
        "while not Path(sys.argv[2]).exists(): time.sleep(0.01)"
    )
    calls: list[int] = []
    commands = [[*command(code), *map(str, order)] for order in (names, names[::-1])]
    run_together(commands, lambda: calls.append(1))
    assert calls


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "failed, see its messages above"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed \(SIGKILL; often because memory ran"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
    ],
)
def test_a_failure_stops_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    other = tmp_path / "other"
    waiting = f"import time, os\nwhile not os.path.exists({str(other)!r}): time.sleep(0.01)\n"
    with pytest.raises(InputError, match=f"Process 2 of 2 {reason}.* the others were stopped"):
        run_together([[*command(CHILD), str(other)], command(waiting + code)], lambda: None)
    assert (tmp_path / "other.ended").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_end_with_the_process_that_started_them(tmp_path: Path, number: int) -> None:
    names = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen(
        [*command(PARENT), *map(str, names)], env={**os.environ, "PYTHONPATH": str(SCRIPTS)}
    )
    wait_for(*names)
    parent.send_signal(number)
    wait_for(*(tmp_path / f"{name.name}.ended" for name in names))
    assert parent.wait() == (143 if number == signal.SIGTERM else -9)
