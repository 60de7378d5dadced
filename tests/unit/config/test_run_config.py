"""A run's jobs use the config that the run began with."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config import run_config

CONFIG: dict[str, Any] = {"corpus": {"name": "arxiv"}, "sample": {"seed": 42}}
OTHER: dict[str, Any] = {"corpus": {"name": "wos"}, "sample": {"seed": 1}}


def saved(folder: Path, *configs: dict[str, Any]) -> str:
    for config in configs:
        run_config.save(config, folder)
    return os.pathsep.join(str(run_config.path_of(config, folder)) for config in configs)


def test_a_config_is_read_as_it_was_saved(tmp_path: Path) -> None:
    paths = saved(tmp_path / "runs", CONFIG)
    assert run_config.of_job(paths, {}) == CONFIG
    edited = {**CONFIG, "sample": {"seed": 43}}
    assert run_config.of_job(paths, edited) == CONFIG
    saved(tmp_path / "runs", edited)
    assert run_config.of_job(paths, edited) == CONFIG
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, CONFIG))
    os.utime(path, (5, 5))
    saved(tmp_path, CONFIG)
    assert path.stat().st_mtime == 5


def test_of_two_runs_of_a_corpus_the_first_one_counts(tmp_path: Path) -> None:
    """The newest stands first: a run may have been started inside a job of another one."""
    newer = {**CONFIG, "sample": {"seed": 43}}
    assert run_config.of_job(saved(tmp_path, newer, CONFIG), CONFIG) == newer


def test_of_several_modules_each_gets_its_own(tmp_path: Path) -> None:
    paths = saved(tmp_path, CONFIG, OTHER)
    assert run_config.of_job(paths, {"corpus": {"name": "wos"}}) == OTHER
    assert run_config.of_job(f"{os.pathsep}{paths}", {"corpus": {"name": "arxiv"}}) == CONFIG
    with pytest.raises(InputError, match=r"'dbpedia'\. Start the run again"):
        run_config.of_job(paths, {"corpus": {"name": "dbpedia"}})


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_config_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"cannot be read .*Start the run again"):
        run_config.of_job(str(path), CONFIG)
    with pytest.raises(InputError, match="belongs to no run"):
        run_config.of_job("", CONFIG)


def test_edits_are_noticed_by_content(tmp_path: Path) -> None:
    kept, edited, removed = (tmp_path / name for name in ("kept", "edited", "removed"))
    for path in (kept, edited, removed):
        path.write_text(json.dumps(CONFIG))
    sums = run_config.file_sums([kept, edited, removed, tmp_path / "never"])
    os.utime(kept)
    assert run_config.edited(sums) == []
    edited.write_text(json.dumps(OTHER))
    removed.unlink()
    assert run_config.edited(sums) == [edited, removed]
