"""An expensive fixture is built once per run, whatever the workers do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEST_FILE = """
import os, signal, time
from pathlib import Path
import pytest
from support.once import built_once

RECORD = Path({record!r})

def build(folder: Path) -> None:
    assert not list(folder.iterdir())
    (folder / "half").touch()
    with RECORD.open("a") as file:
        file.write("built\\n")
    time.sleep(0.5)
    {step}
    (folder / "whole").touch()

@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    return built_once(tmp_path_factory, worker_id, "something", build)

@pytest.mark.parametrize("number", range(4))
def test_it(built: Path, number: int) -> None:
    assert (built / "whole").exists()
"""


def run(folder: Path, workers: int, step: str = "pass") -> tuple[str, int]:
    """Run four tests that share a fixture; return the output and how often its build was started."""
    record = folder / "record"
    record.touch()
    (folder / "test_it.py").write_text(TEST_FILE.format(record=str(record), step=step))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-rA"),
            *("-p", "no:cacheprovider", "--basetemp", str(folder / "temp"), "-n", str(workers)),
            str(folder / "test_it.py"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        timeout=120,
    )
    return done.stdout, len(record.read_text().splitlines())


@pytest.mark.parametrize("workers", [0, 2])
def test_all_workers_share_one_build(tmp_path: Path, workers: int) -> None:
    output, builds = run(tmp_path, workers)
    assert "4 passed" in output
    assert builds == 1


def test_a_failed_build_fails_every_test_with_its_reason_and_is_not_repeated(
    tmp_path: Path,
) -> None:
    output, builds = run(tmp_path, 2, 'raise RuntimeError("no disk space")')
    assert "4 errors" in output
    assert re.search(r"something could not be built:(.|\n)*RuntimeError: no disk space", output)
    assert builds == 1


def test_a_build_may_skip_the_tests(tmp_path: Path) -> None:
    output, _ = run(tmp_path, 2, 'pytest.skip("no model here")')
    assert "4 skipped" in output
    assert "no model here" in output


def test_a_half_built_folder_of_a_killed_worker_is_built_again(tmp_path: Path) -> None:
    kill = "len(RECORD.read_text()) > 6 or os.kill(os.getpid(), signal.SIGKILL)"
    output, builds = run(tmp_path, 2, kill)
    assert "crashed" in output
    assert "3 passed" in output
    assert builds == 2
