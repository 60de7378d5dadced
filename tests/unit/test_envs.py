"""The conda environments and the lock name the same versions."""

import re
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[2] / "envs"


@pytest.mark.parametrize("name", ["corpus", "embed"])
def test_conda_environment_pins_what_the_lock_pins(name: str) -> None:
    lock = set((ENVS / "workflow.lock").read_text().split())
    environment = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    pins = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pins
    assert set(pins) <= lock


def test_every_line_of_a_lock_is_a_pin() -> None:
    for lock in ENVS.glob("*.lock"):
        for line in lock.read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.+-]+", line), (lock, line)
