"""A run on the cluster uses the config from its start, and never uses results of another config."""

import json
import shutil
from typing import Any

import numpy as np
from slurm.cluster import wait_for
from slurm.conftest import FEW, Prepared, SlurmWorkflow, check
from support.running import model


def test_an_edit_during_a_run_has_no_effect_and_deleted_snakemake_records_are_not_needed(
    shards: SlurmWorkflow, short: Prepared
) -> None:
    # Two shards run, and two wait.
    run = shards.start("--resources", "gpu_jobs=2", **FEW)
    wait_for(lambda: list(shards.results.glob("minilm/shards/*.json")), 180, "a shard is done")
    cls: dict[str, Any] = {**FEW, "models": [model(pooling="cls")]}
    shards.configure(**{**cls, "sample": {"size": 30, "seed": 43}})
    output = shards.finish(run).output
    assert f"{shards.folder / 'config.yaml'} was edited during this run." in output
    check(shards, short)
    manifest = json.loads((shards.results / "minilm/manifest.json").read_text())
    assert manifest["encoder"]["pooling"] == "mean"
    assert (manifest["sample"]["size"], manifest["sample"]["seed"]) == (40, 42)
    assert {piece["encoder"]["pooling"] for piece in manifest["pieces"]} == {"mean"}
    assert len(shards.attempts()) == 4
    assert shards.finish(shards.start(**FEW)).jobs == {}

    shutil.rmtree(shards.folder / ".snakemake")
    shards.finish(shards.start(**cls))
    assert len(shards.attempts()) == 8
    assert not np.allclose(shards.embeddings(), short.embeddings[:40], atol=1e-2)

    shutil.rmtree(shards.folder / ".snakemake")
    shards.finish(shards.start(**FEW))
    # All vectors were in the store, so no GPU job was submitted.
    assert len(shards.attempts()) == 8
    check(shards, short)
