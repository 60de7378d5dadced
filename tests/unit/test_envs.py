"""What `make install` installs: pinned versions, and a Snakemake that finds the executor."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[2] / "envs"
GPL = {"phate", "graphtools", "tasklogger"}
PIN = re.compile(r"([\w.-]+)==([\w.+-]+)")


def pins(lock: Path) -> dict[str, str]:
    """The version of every package in a lock."""
    matches = (PIN.fullmatch(line) for line in lock.read_text().splitlines())
    return {match[1]: match[2] for match in matches if match}


@pytest.mark.parametrize(
    ("name", "locks"),
    [
        ("corpus", ["workflow"]),
        ("embed", ["workflow"]),
        ("evaluate", ["workflow", "evaluate"]),
        ("reduce", ["workflow", "evaluate", "phate", "trimap"]),
    ],
)
def test_conda_environment_pins_what_the_locks_pin(name: str, locks: list[str]) -> None:
    locked = {line for lock in locks for line in (ENVS / f"{lock}.lock").read_text().split()}
    environment = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    pinned = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pinned
    assert set(pinned) <= locked


def test_every_line_of_a_lock_is_a_pin() -> None:
    for lock in ENVS.glob("*.lock"):
        for line in lock.read_text().splitlines():
            assert line.startswith("#") or PIN.fullmatch(line), (lock, line)


def test_all_locks_fit_into_one_environment() -> None:
    versions: dict[str, str] = {}
    for lock in sorted(ENVS.glob("*.lock")):
        for name, version in pins(lock).items():
            assert versions.setdefault(name, version) == version, (lock, name)


def test_gpl_packages_are_in_their_own_lock_alone() -> None:
    for lock in ENVS.glob("*.lock"):
        assert GPL & set(pins(lock)) == (GPL if lock.stem == "phate" else set()), lock


def test_snakemake_finds_the_executor_and_ignores_pythonpath(tmp_path: Path) -> None:
    """Modules of a site set PYTHONPATH. Where this fails, `make install` has not been run again."""
    (tmp_path / "msgspec.py").write_text("raise ImportError('of another Python')\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "snakemake", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--slurm-patient-requeue" in done.stdout
