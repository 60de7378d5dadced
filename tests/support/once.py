"""Expensive folders that are built once per test run, also when several workers of pytest-xdist need them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    name: str,
    build: Callable[[Path], None],
) -> Path:
    """Return the folder ``name`` of this test run; the first worker that asks for it builds it.

    All workers share the folder, so tests must not change it.

    Args:
        tmp_path_factory: the fixture of pytest.
        worker_id: the fixture of pytest-xdist; ``"master"`` without workers.
        name: unique within the test run.
        build: fills the folder, which is empty. If it fails, the next call builds again.
    """
    base = tmp_path_factory.getbasetemp()
    # Each worker has a folder of its own inside that of the run.
    shared = base if worker_id == "master" else base.parent
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            finished.touch()
    return folder
