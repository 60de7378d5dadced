"""Finished and fresh working directories for the tests of the whole workflow."""

from pathlib import Path

import pytest
from support.once import built_once
from support.running import Workflow, with_snapshot


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """A working directory with a snapshot of 300 records and no results."""

    def build(folder: Path) -> None:
        with_snapshot(folder)

    return Workflow(built_once(tmp_path_factory, worker_id, "inputs", build))


@pytest.fixture(scope="session")
def finished(
    inputs: Workflow, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Workflow:
    """A finished run of 25 papers in shards of 10, with its output in run.log. Tests take a copy."""

    def build(folder: Path) -> None:
        (folder / "run.log").write_text(inputs.copy(folder).run().output)

    return Workflow(built_once(tmp_path_factory, worker_id, "finished", build))


@pytest.fixture
def done(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished run."""
    return finished.copy(tmp_path)


@pytest.fixture
def fresh(inputs: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the inputs."""
    return inputs.copy(tmp_path)
