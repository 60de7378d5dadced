"""Build an expensive fixture once per run of pytest, also with several xdist workers."""

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

LONGEST_WAIT = 30 * 60  # seconds


def built_once(
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    name: str,
    build: Callable[[Path], None],
) -> Path:
    """Return a folder that one worker has built and all workers of this run share.

    Tests must not write to it: they take a copy. If the build fails, the tests of all workers that need the
    folder fail with its traceback, and it is not built again. If the worker that builds is killed, another
    worker starts over.

    Args:
        tmp_path_factory: the fixture of pytest.
        worker_id: the fixture of pytest-xdist; "master" without workers.
        name: of the folder, unique in the run.
        build: fills the folder, which exists and is empty. It may skip the test.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        # Each worker has a folder of its own inside the folder of the run.
        shared = shared.parent
    folder = shared / name
    built, failed = shared / f"{name}.built", shared / f"{name}.failed"
    try:
        with FileLock(shared / f"{name}.lock", timeout=LONGEST_WAIT):
            if failed.exists():
                pytest.fail(f"{name} could not be built:\n{failed.read_text()}", pytrace=False)
            if not built.exists():
                _build(folder, build, failed)
                built.touch()
    except Timeout:
        pytest.fail(f"{name} was not built in {LONGEST_WAIT} s: find out why its build hangs.")
    return folder


def _build(folder: Path, build: Callable[[Path], None], failed: Path) -> None:
    # Left by a worker that was killed or skipped.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        build(folder)
    except pytest.skip.Exception:
        raise
    except BaseException:
        failed.write_text(traceback.format_exc())
        raise
