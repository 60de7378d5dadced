"""Results are judged by their content: nothing is embedded twice, and nothing is taken for something else."""

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.data.make_snapshot import record
from support.running import MINILM, Workflow, model

# What a run costs at most where all vectors are there: seconds, and no GPU.
CHEAP = {"fetch_model", "filter_papers", "sample_papers", "find_vectors", "merge_vectors"}


def forget(workflow: Workflow) -> None:
    """Delete .snakemake, as people do to get rid of a lock."""
    shutil.rmtree(workflow.folder / ".snakemake")


def scramble_times(workflow: Workflow) -> None:
    """Touch everything, as purge policies make people do, in an order that means nothing, some in the future."""
    files = sorted(path for path in workflow.folder.rglob("*") if ".snakemake" not in path.parts)
    random.Random(1).shuffle(files)
    for number, path in enumerate(files):
        at = time.time() + 3 * 3600 - 60 * number
        os.utime(path, (at, at))


def copy_carelessly(workflow: Workflow) -> None:
    """Copy the folder without its times, and go on in the copy."""
    copied = workflow.folder.with_name(f"{workflow.folder.name}-copied")
    shutil.copytree(workflow.folder, copied, copy_function=shutil.copyfile)
    workflow.folder, workflow.results = copied, copied / "results/test"


def purge(workflow: Workflow) -> None:
    """Lose what a scratch disk purges first: the large files that were not read lately."""
    for name in ("papers.parquet", "drawn.parquet"):
        (workflow.results / name).unlink()


@pytest.mark.parametrize(
    ("event", "remembered"),
    [
        (scramble_times, True),
        (scramble_times, False),
        (copy_carelessly, True),
        (copy_carelessly, False),
        (purge, False),
    ],
)
def test_nothing_is_embedded_again(
    done: Workflow, event: Callable[[Workflow], None], remembered: bool
) -> None:
    before = done.embeddings()
    event(done)
    if not remembered:
        forget(done)
    jobs = done.run(sample={"size": 35}).jobs
    assert jobs.pop("embed_shard") == 1  # the 10 new papers
    assert set(jobs) <= CHEAP
    assert done.embeddings()[:25].tobytes() == before.tobytes()


def test_the_same_snapshot_elsewhere_is_the_same(done: Workflow) -> None:
    moved = done.folder / "elsewhere/snapshot.json"
    moved.parent.mkdir()
    shutil.copyfile(done.folder / "resources/snapshot.json", moved)
    (done.folder / "resources/snapshot.json").unlink()
    assert done.run(snapshot=str(moved)).jobs == {}


def test_a_lost_memory_takes_no_results_for_those_of_another_config(done: Workflow) -> None:
    first = done.embeddings()
    forget(done)
    cls: dict[str, Any] = {"models": [model(pooling="cls")], "shards": {"size": 25}}
    assert "(forced execution)" in done.run("--dry-run", **cls).output
    assert done.run(**cls).jobs == {"find_vectors": 1, "embed_shard": 1, "merge_vectors": 1}
    second = done.embeddings()
    assert not np.allclose(first, second)
    forget(done)
    assert done.run().jobs == {"find_vectors": 1, "merge_vectors": 1}
    assert done.embeddings().tobytes() == first.tobytes()
    forget(done)
    seed: dict[str, Any] = {"sample": {"size": 25, "seed": 43}, "shards": {"size": 25}}
    jobs = done.run(**seed).jobs
    assert jobs["sample_papers"] == jobs["find_vectors"] == jobs["merge_vectors"] == 1
    papers = pd.read_parquet(done.results / "papers.parquet")
    expected = papers.sample(25, random_state=43)["id"].tolist()
    assert pd.read_parquet(done.results / "minilm/papers.parquet")["id"].tolist() == expected
    forget(done)
    categories: dict[str, Any] = {**seed, "corpus": {"name": "test", "categories": ["physics."]}}
    assert done.run(**categories).jobs["filter_papers"] == 1
    merged = pd.read_parquet(done.results / "minilm/papers.parquet")
    assert set(merged["category 0"]) == {"physics"}
    assert done.run(**categories).jobs == {}


def test_a_label_changed_in_place_is_seen(tmp_path: Path) -> None:
    """The length and the time of the table stay the same."""
    if not MINILM.is_dir():
        pytest.skip(f"{MINILM} is missing. Run: make install")
    workflow = Workflow(tmp_path)
    table = tmp_path / "papers.csv"
    rows = [f"{number},about {number},a,a.{number % 2}" for number in range(8)]
    table.write_text("\n".join(["id,text,field,sub", *rows]) + "\n")
    columns = {"id": "id", "text": "text", "category 0": "field", "category 1": "sub"}
    config: dict[str, Any] = {
        "snapshot": str(table),
        "corpus": {"name": "test", "format": "table", "categories": "all", "columns": columns},
        "sample": {"size": "all"},
    }
    workflow.run(**config)
    times = table.stat()
    table.write_text(table.read_text().replace("about 3,a,a.1", "about 3,a,a.7"))
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    jobs = workflow.run(**config).jobs
    assert "filter_papers" in jobs
    assert "embed_shard" not in jobs
    papers = pd.read_parquet(workflow.results / "minilm/papers.parquet").set_index("id")
    assert papers.loc["3", "category 1"] == "a.7"
    manifest = json.loads((workflow.results / "minilm/manifest.json").read_text())
    assert manifest["changes"] == {"new": 0, "gone": 0, "other_text": 0, "other_label": 1}


def test_a_run_uses_the_config_that_it_began_with(fresh: Workflow) -> None:
    """The config is edited, and broken, while jobs of the run wait."""
    config: dict[str, Any] = {"shards": {"size": 5}}
    fresh.configure(**config)
    run = subprocess.Popen(
        fresh.command("--cores", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    while not list(fresh.results.glob("minilm/shards/*.json")):
        assert run.poll() is None, "the run ended before its first shard"
        time.sleep(0.05)
    fresh.configure(models=[model(pooling="cls")], sample={"size": 20, "seed": 43}, **config)
    while len(list(fresh.results.glob("minilm/shards/*.json"))) < 3:
        assert run.poll() is None, "the run ended before its third shard"
        time.sleep(0.05)
    (fresh.folder / "config.yaml").write_text("models: [")
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert f"{fresh.folder / 'config.yaml'} was edited during this run." in output
    manifest = json.loads((fresh.results / "minilm/manifest.json").read_text())
    assert manifest["encoder"]["pooling"] == "mean"
    assert (manifest["sample"]["size"], manifest["sample"]["seed"]) == (25, 42)
    papers = pd.read_parquet(fresh.results / "papers.parquet").sample(25, random_state=42)
    merged = pd.read_parquet(fresh.results / "minilm/papers.parquet")
    assert merged["id"].tolist() == papers["id"].tolist()
    assert fresh.run(**config).jobs == {}
    edited = fresh.run(models=[model(pooling="cls")], shards={"size": 25}).jobs
    assert edited == {"find_vectors": 1, "embed_shard": 1, "merge_vectors": 1}


def test_a_checkpoint_alone_can_be_fetched(fresh: Workflow) -> None:
    assert fresh.run("resources/models/minilm").jobs == {"fetch_model": 1}


def write_snapshot(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))


def test_the_next_snapshot_embeds_only_what_is_new(fresh: Workflow, tmp_path: Path) -> None:
    """With order hash the sample stays the same papers, and the result is that of a run from nothing."""
    rng = random.Random(3)
    records = [record(rng, number) for number in range(400)]
    snapshot = fresh.folder / "resources/snapshot.json"
    config: dict[str, Any] = {
        "sample": {"size": 40, "seed": 42, "order": "hash"},
        "shards": {"size": 20},
    }
    write_snapshot(snapshot, records[:300])
    assert fresh.run(**config).jobs["embed_shard"] == 2
    before = pd.read_parquet(fresh.results / "minilm/papers.parquet")
    changed = {**records[0], "id": before["id"][5], "title": "Another title"}
    later = [changed if one["id"] == changed["id"] else one for one in records]
    write_snapshot(snapshot, later)
    jobs = fresh.run(**config).jobs
    after = pd.read_parquet(fresh.results / "minilm/papers.parquet")
    new = set(after["topic"]) - set(before["topic"])
    assert 1 <= len(new) < 20
    assert jobs["embed_shard"] == 1
    manifest = json.loads((fresh.results / "minilm/manifest.json").read_text())
    kept = set(after["id"]) & set(before["id"])
    assert manifest["changes"] == {
        "new": 40 - len(kept),
        "gone": 40 - len(kept),
        "other_text": int(changed["id"] in kept),
        "other_label": manifest["changes"]["other_label"],
    }
    scratch = fresh.copy(tmp_path / "scratch")
    shutil.rmtree(scratch.folder / "results")
    scratch.run(**config)
    pd.testing.assert_frame_equal(pd.read_parquet(scratch.results / "minilm/papers.parquet"), after)
    assert (scratch.embeddings() * fresh.embeddings()).sum(axis=1).min() >= 0.99999


def test_a_sample_that_the_snapshot_cannot_hold_is_refused_at_once(fresh: Workflow) -> None:
    run = fresh.run("--dry-run", code=1, sample={"size": 10_000_000})
    assert "sample.size asks for 10,000,000 papers" in run.output
    assert "cannot hold more than" in run.output
    assert "Traceback" not in run.output


def test_without_a_vector_store_a_rerun_of_the_same_does_nothing(fresh: Workflow) -> None:
    off: dict[str, Any] = {"vector_store": False}
    fresh.run(**off)
    assert not list((fresh.results / "minilm/vectors").glob("*.npy"))
    assert fresh.run(**off).jobs == {}
    assert fresh.embeddings().shape == (25, 384)


def test_a_damaged_vector_is_replaced_by_the_next_run(done: Workflow) -> None:
    before = done.embeddings()
    piece = next((done.results / "minilm/vectors").glob("*-00001-*[!s].npy"))
    data = bytearray(piece.read_bytes())
    data[-100] ^= 1
    piece.write_bytes(data)
    (done.results / "minilm/embeddings.npy").unlink()
    refused = done.run(code=1).output
    assert "1 of 3 pieces of the vector store do not match their checksums" in refused
    assert done.run().jobs == {"find_vectors": 1, "embed_shard": 1, "merge_vectors": 1}
    np.testing.assert_allclose(done.embeddings(), before, atol=1e-6)
