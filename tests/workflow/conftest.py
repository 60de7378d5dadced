"""Finished and fresh working directories for the tests of the whole workflow."""

from pathlib import Path

import pytest
from support.running import Workflow, with_snapshot


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A working directory with a snapshot of 300 records and no results."""
    return with_snapshot(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def finished(inputs: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished run of 25 papers in shards of 10. Tests take a copy."""
    workflow = inputs.copy(tmp_path_factory.mktemp("finished"))
    workflow.run()
    return workflow


@pytest.fixture
def done(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished run."""
    return finished.copy(tmp_path)


@pytest.fixture
def fresh(inputs: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the inputs."""
    return inputs.copy(tmp_path)
