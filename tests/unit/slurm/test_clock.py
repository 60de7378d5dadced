"""Inputs from the future are found before anything is computed from them."""

import os
import time
from pathlib import Path

from arxiv_embeddings.slurm.clock import clock_problems


def test_an_input_an_hour_ahead(tmp_path: Path) -> None:
    fresh, ahead = tmp_path / "fresh", tmp_path / "ahead"
    for file in (fresh, ahead):
        file.touch()
    os.utime(ahead, (time.time() + 3600,) * 2)
    (problem,) = clock_problems([fresh, ahead, tmp_path / "not there yet"], tmp_path)
    assert problem.startswith(f"{ahead} is dated ")
    assert "0:59:5" in problem or "1:00:00" in problem
    assert problem.endswith(f"touch {ahead}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ahead", "fresh"]


def test_inputs_of_the_past(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch()
    os.utime(old, (0, 0))
    assert clock_problems([old], tmp_path) == []
