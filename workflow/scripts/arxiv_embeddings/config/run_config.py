"""The config of a run, written down when it begins, so that its jobs use no other however long they wait."""

import json
import os
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import file_sha256, json_sha256, write_json


def path_of(config: dict[str, Any], folder: Path) -> Path:
    """Return the file in ``folder`` for this config. Its name stands for its content, so runs never share one."""
    return folder / f"{json_sha256(config)[:12]}.json"


def save(config: dict[str, Any], folder: Path) -> None:
    """Write ``config`` to its file in ``folder``, unless it is there."""
    path = path_of(config, folder)
    if not path.is_file():
        write_json(path, config)


def of_job(paths: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the run that a job belongs to.

    Args:
        paths: the files of all configs of the run with ``os.pathsep`` between them: several where a workflow uses
            this one as a module more than once.
        config: as the job's process reads it; only the name of its corpus counts.

    Raises:
        InputError: none of the files can be read, or none is of that corpus.
    """
    configs = [load(Path(path)) for path in paths.split(os.pathsep) if path]
    name = config.get("corpus", {}).get("name")
    for one in configs:
        if len(configs) == 1 or one["corpus"]["name"] == name:
            return one
    raise InputError(
        f"This job belongs to no run of the corpus {name!r}. Start the run again; its jobs get the config that it "
        "began with."
    )


def load(path: Path) -> dict[str, Any]:
    """Return the config of a run.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"The config of this run, {path}, cannot be read ({error}). Start the run again."
        ) from error
    return config


def file_sums(paths: list[Path]) -> dict[Path, str | None]:
    """Return the sha256 of each config file; None for one that cannot be read."""
    return {path: _sum(path) for path in paths}


def edited(sums: dict[Path, str | None]) -> list[Path]:
    """Return the config files whose content differs from ``sums``, taken when the run began."""
    return [path for path, sha256 in sums.items() if _sum(path) != sha256]


def _sum(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
