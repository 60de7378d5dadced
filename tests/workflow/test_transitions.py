"""Which jobs run when something changes, and that the embeddings are those of a fresh run."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.data.make_snapshot import make_snapshot
from support.running import Jobs, Workflow, model

CORPUS = {"filter_papers": 1, "sample_papers": 1}


def embedding(shards: int, models: int = 1) -> Jobs:
    """The jobs that embed ``shards`` shards and merge them."""
    return {"embed_shard": shards, "merge_shards": models}


def test_fresh_run_makes_everything(finished: Workflow) -> None:
    results = finished.results
    papers = pd.read_parquet(results / "papers.parquet")
    sample = papers.sample(25, random_state=42).reset_index(drop=True)
    columns = ["id", "topic", "category 0", "category 1"]
    merged = pd.read_parquet(results / "minilm/papers.parquet")
    assert list(merged) == columns
    pd.testing.assert_frame_equal(merged, sample[columns])
    embeddings = finished.embeddings()
    assert embeddings.shape == (25, 384)
    assert embeddings.dtype == np.float32
    shards = [np.load(results / f"minilm/shards/{shard:05d}.npy") for shard in range(3)]
    np.testing.assert_array_equal(embeddings, np.concatenate(shards))


def test_second_run_does_nothing(done: Workflow) -> None:
    assert done.run().jobs == {}


def test_dry_run_of_a_fresh_clone_lists_every_shard(fresh: Workflow) -> None:
    (fresh.folder / "resources/snapshot.json").unlink()
    output = fresh.run("--dry-run", sample={"size": 10_000}, shards={"size": 1_000}).output
    assert output.count("Embedding papers") == 10


@pytest.mark.parametrize(
    ("size", "jobs"),
    [
        (30, embedding(1)),  # the short last shard grows
        (45, embedding(3)),  # and two new ones
        (20, embedding(0)),
        (12, embedding(1)),  # the last shard becomes shorter
    ],
)
def test_another_size_embeds_only_what_changes(done: Workflow, size: int, jobs: Jobs) -> None:
    before = done.embeddings()
    wanted = {rule: count for rule, count in jobs.items() if count}
    assert done.run(sample={"size": size}).jobs == wanted
    after = done.embeddings()
    assert after.shape == (size, 384)
    common = min(size, 25)
    assert (after[:common] * before[:common]).sum(axis=1).min() > 0.99999


def test_shrinking_and_growing_back_embeds_the_cut_shard_each_time(done: Workflow) -> None:
    before = done.embeddings()
    assert done.run(sample={"size": 12}).jobs == embedding(1)
    assert done.run().jobs == embedding(1)  # the third shard is still there
    np.testing.assert_allclose(done.embeddings(), before, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        ({"shards": {"size": 15}}, embedding(2)),
        ({"sample": {"size": 25, "seed": 7}}, {"sample_papers": 1, **embedding(3)}),
        ({"models": [model(pooling="cls")]}, embedding(3)),
        (
            {"models": [model(pooling="cls")], "sample": {"size": 25, "seed": 7}},
            {"sample_papers": 1, **embedding(3)},
        ),
        ({"corpus": {"name": "test", "categories": ["cs."]}}, {**CORPUS, **embedding(3)}),
        ({"models": [model(), model("second", pooling="cls")]}, {"fetch_model": 1, **embedding(3)}),
    ],
    ids=["shard size", "seed", "pooling", "seed and pooling", "categories", "second model"],
)
def test_a_changed_setting_reruns_what_depends_on_it(
    done: Workflow, changes: dict[str, Any], jobs: Jobs
) -> None:
    before = done.embeddings()
    assert done.run(**changes).jobs == jobs
    assert done.run(**changes).jobs == {}
    if "models" in changes and len(changes["models"]) == 2:
        np.testing.assert_array_equal(done.embeddings(), before)
        assert not np.allclose(done.embeddings("second"), before)


def test_a_changed_pooling_leaves_the_other_model_alone(fresh: Workflow) -> None:
    both: dict[str, Any] = {"sample": {"size": 10}}
    fresh.run(models=[model("first"), model("second")], **both)
    changed = [model("first"), model("second", pooling="cls")]
    assert fresh.run(models=changed, **both).jobs == embedding(1)


@pytest.mark.parametrize(
    "options",
    [
        ["--set-resources", "embed_shard:tokens_per_batch=128"],
        ["--set-resources", "embed_shard:mem='64GB'", "embed_shard:runtime=600"],
        ["--set-threads", "embed_shard=2"],
    ],
    ids=["tokens per batch", "memory and time", "threads"],
)
def test_a_changed_speed_setting_reruns_nothing(done: Workflow, options: list[str]) -> None:
    assert done.run(*options).jobs == {}


def test_a_fresh_download_of_the_same_snapshot_reruns_nothing(done: Workflow) -> None:
    snapshot = done.folder / "resources/snapshot.json"
    content = snapshot.read_bytes()
    snapshot.unlink()
    snapshot.write_bytes(content)
    assert done.run().jobs == {}


def test_a_new_snapshot_reruns_everything_but_the_model(done: Workflow) -> None:
    make_snapshot(done.folder / "resources/snapshot.json", records=330, seed=1)
    assert done.run().jobs == {**CORPUS, **embedding(3)}


def test_a_touched_script_reruns_nothing(done: Workflow, tmp_path: Path) -> None:
    """A `git checkout` renews the times of the workflow's own files; that is no reason to embed."""
    script = Path(__file__).parents[2] / "workflow/scripts/embed_shard.py"
    times = script.stat()
    os.utime(script)
    try:
        assert done.run().jobs == {}
    finally:
        os.utime(script, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_size_all_embeds_every_paper_and_sees_new_ones(fresh: Workflow) -> None:
    everything: dict[str, Any] = {"sample": {"size": "all"}, "shards": {"size": 60}}
    run = fresh.run(**everything)
    assert run.jobs == {"fetch_model": 1, **CORPUS, **embedding(2)}
    assert len(fresh.embeddings()) == 100  # a third of the records are cs. or physics.
    assert fresh.run(**everything).jobs == {}
    assert fresh.run(sample={"size": 60}, shards={"size": 60}).jobs == {"merge_shards": 1}
    assert fresh.run(**everything).jobs == {"merge_shards": 1}
    make_snapshot(fresh.folder / "resources/snapshot.json", records=390, seed=1)
    assert fresh.run(**everything).jobs == {**CORPUS, **embedding(3)}
    assert len(fresh.embeddings()) == 130


def test_a_deleted_shard_is_made_again(done: Workflow) -> None:
    before = done.embeddings()
    (done.results / "minilm/shards/00001.npy").unlink()
    assert done.run().jobs == embedding(1)
    np.testing.assert_allclose(done.embeddings(), before, atol=1e-6)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_shard_is_refused_and_mended_by_the_named_command(
    done: Workflow, damage: Any
) -> None:
    before = done.embeddings()
    damage(done.results / "minilm/shards/00001.npy")
    output = done.run(code=1).output
    assert "Shard 00001" in output
    assert not (done.results / "minilm/embeddings.npy").exists()
    repair = output.split("Make it anew: ")[1].split(", then run")[0]
    subprocess.run(repair, shell=True, check=True, cwd=done.folder)  # noqa: S602 - as a person would
    assert done.run().jobs == embedding(1)
    np.testing.assert_allclose(done.embeddings(), before, atol=1e-6)


def test_a_killed_shard_goes_on_where_it_was(fresh: Workflow) -> None:
    """SIGKILL to the whole run while a shard of several chunks is being embedded."""
    settings: dict[str, Any] = {
        "corpus": {"name": "test", "categories": ["cs.", "physics.", "math.", "hep-", "quant-ph"]},
        "sample": {"size": 1_200},
        "shards": {"size": 1_200},
        "models": [model(max_length=32)],
    }
    make_snapshot(fresh.folder / "resources/snapshot.json", records=1_800)
    fresh.configure(**settings)
    run = subprocess.Popen(
        fresh.command(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chunks = fresh.results / "minilm/shards/00000.chunks"
    while not list(chunks.glob("[!.]*.npy")):
        assert run.poll() is None, "the run ended before the first chunk was there"
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (fresh.results / "minilm/shards/00000.npy").exists()
    fresh.run("--unlock", **settings)
    again = fresh.run("--rerun-incomplete", **settings)
    assert again.jobs == embedding(1)
    assert "from an earlier run" in again.output
    killed = fresh.embeddings()
    (fresh.results / "minilm/shards/00000.npy").unlink()
    fresh.run(**settings)
    assert (killed * fresh.embeddings()).sum(axis=1).min() > 0.99999


def test_a_corrupt_snapshot_stops_the_run_before_anything_is_embedded(fresh: Workflow) -> None:
    snapshot = fresh.folder / "resources/snapshot.json"
    os.truncate(snapshot, snapshot.stat().st_size - 50)
    run = fresh.run(code=1)
    assert "the download was cut" in run.output
    assert "Traceback" not in run.output
    assert not {"sample_papers", "embed_shard"} & set(run.jobs)
    assert not list(fresh.results.glob("*.parquet"))


def test_more_papers_than_there_are_fails_before_any_embedding(fresh: Workflow) -> None:
    run = fresh.run(code=1, sample={"size": 101})
    assert "101" in run.output
    assert "only 100" in run.output
    assert "embed_shard" not in run.jobs
    fresh.run(sample={"size": 5})
    grown = fresh.run("--dry-run", code=1, sample={"size": 101})  # now known while planning
    assert "only 100" in grown.output


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"snapshot": "nowhere.json"}, ["snapshot:", "nowhere.json"]),
        ({"sample": {"size": -1}}, ["sample.size", "from 1 upward, or all"]),
        ({"corpus": {"name": "test", "kategories": []}}, ["corpus", "kategories", "categories"]),
        ({"models": [model(), model()]}, ["models[0].label", "minilm"]),
        ({"models": [model(label="a/b")]}, ["models[0].label", "a/b"]),
    ],
    ids=["snapshot", "size", "unknown key", "two labels", "label"],
)
def test_a_wrong_config_is_told_before_any_job(
    fresh: Workflow, changes: dict[str, Any], told: list[str]
) -> None:
    run = fresh.run(code=1, **changes)
    assert run.jobs == {}
    for words in told:
        assert words in run.output


def test_the_run_says_what_it_makes_from_what(fresh: Workflow) -> None:
    output = fresh.run("--until", "filter_papers").output
    for words in ("resources/snapshot.json", "25 papers", "3 shard(s)", "minilm", "results/test"):
        assert words in output
