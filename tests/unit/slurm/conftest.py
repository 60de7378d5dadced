"""Replacements of SLURM's commands, and a folder for results."""

from collections.abc import Callable
from pathlib import Path

import pytest

Commands = Callable[..., None]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Write the only programs on the PATH as shell scripts: ``commands(sinfo="echo ...")``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(**scripts: str) -> None:
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the results of a corpus."""
    path = tmp_path / "results/arxiv"
    path.mkdir(parents=True)
    return path
