"""Another workflow can use this one as a Snakemake module, with its rules under any names."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.running import ONE_SHARD, ROOT, Workflow

SNAKEFILE = ROOT / "Snakefile"
# A module gets the whole config; nothing is added from config/config.yaml.
CONFIG: dict[str, Any] = {
    "corpus": {"name": "test", "categories": ["cs.", "physics."]},
    "sample": {"size": 25, "seed": 42},
    "shards": {"size": 100},
}


def with_module(
    workflow: Workflow, names: str = "", snakefile: str = repr(str(SNAKEFILE))
) -> Workflow:
    """Give the working directory a workflow of its own that uses this one as a module.

    Args:
        workflow: the working directory.
        names: the end of the ``use rule`` statement, for example ``as arxiv_*``.
        snakefile: an expression for the Snakefile of the module.
    """
    path = workflow.folder / "workflow/Snakefile"
    path.parent.mkdir()
    handlers = "\n".join(
        f"{name}:\n    arxiv.{name}()" for name in ("onstart", "onsuccess", "onerror")
    )
    path.write_text(
        f"module arxiv:\n    snakefile: {snakefile}\n    config: config\n"
        f"use rule * from arxiv {names}\n{handlers}\n"
    )
    return Workflow(workflow.folder, path)


def test_rules_without_a_prefix(fresh: Workflow, finished: Workflow) -> None:
    module = with_module(fresh)
    run = module.run(**CONFIG)
    assert run.jobs == ONE_SHARD
    assert "Papers    25 papers of cs., physics., drawn with seed 42" in run.output
    np.testing.assert_allclose(module.embeddings(), finished.embeddings(), atol=1e-5)
    papers, expected = (
        pd.read_parquet(workflow.results / "minilm/papers.parquet")
        for workflow in (module, finished)
    )
    pd.testing.assert_frame_equal(papers, expected)
    # The clone and the module take each other's results as their own.
    assert Workflow(fresh.folder).run(**CONFIG).jobs == {}


def test_rules_with_a_prefix(fresh: Workflow) -> None:
    """The number of shards becomes known by a checkpoint, which has another name in the module."""
    module = with_module(fresh, "as arxiv_*")
    config = {**CONFIG, "sample": {"size": "all", "seed": 42}}
    jobs = {f"arxiv_{rule}": count for rule, count in {**ONE_SHARD, "all": 1}.items()}
    assert module.run(**config).jobs == jobs
    assert module.embeddings().shape == (100, 384)
    report = module.run("--dry-run", "arxiv_report", **config).output
    for rule in ("cluster_papers", "draw_model", "make_explorer", "write_tables", "report"):
        assert f"\narxiv_{rule} " in report
    assert "\narxiv_embed_shard " not in report


def test_handlers_check_the_snapshot_before_any_job(fresh: Workflow) -> None:
    (fresh.folder / "resources/snapshot.json").unlink()
    run = with_module(fresh, "as arxiv_*").run(code=1, **CONFIG)
    assert "snapshot: there is no 'resources/snapshot.json'" in run.output
    assert run.jobs == {}


def test_module_gets_the_whole_config(fresh: Workflow) -> None:
    run = with_module(fresh).run("--dry-run", code=1, **{**CONFIG, "sample": {"size": 25}})
    assert "sample: 'seed' is a required property" in run.output
    assert "Traceback" not in run.output


def test_module_without_a_clone_is_refused(fresh: Workflow, tmp_path: Path) -> None:
    """The rules call scripts, so a Snakefile that Snakemake reads from a repository is not enough."""
    if not shutil.which("git"):
        pytest.skip("needs git")
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(SNAKEFILE, repository)
    user = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (["init"], ["add", "."], [*user, "commit", "--message", "test"]):
        subprocess.run(["git", *command], cwd=repository, check=True, capture_output=True)
    snakefile = f"gitfile({str(repository)!r}, path='Snakefile', ref='HEAD')"
    run = with_module(fresh, snakefile=snakefile).run("--dry-run", code=1, **CONFIG)
    assert "Clone the repository, and give the path of its Snakefile." in run.output
