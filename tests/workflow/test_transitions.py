"""Which jobs run after a change, and whether the embeddings are those of a fresh run."""

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
from support.running import ROOT, Jobs, Workflow, model

CORPUS = {"filter_papers": 1, "sample_papers": 1}


def embedding(shards: int) -> Jobs:
    """Return the jobs that embed ``shards`` shards of one model and merge them."""
    return {"embed_shard": shards, "merge_shards": 1}


def test_fresh_run_computes_everything(finished: Workflow) -> None:
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


def test_dry_run_of_a_fresh_clone_lists_every_shard(fresh: Workflow) -> None:
    (fresh.folder / "resources/snapshot.json").unlink()
    output = fresh.run("--dry-run", sample={"size": 10_000}, shards={"size": 1_000}).output
    assert output.count("Embedding papers") == 10


def test_another_size_embeds_only_what_changes(done: Workflow) -> None:
    first = done.embeddings()
    sizes = [
        (12, embedding(1)),  # the second shard becomes the last and shorter
        (25, embedding(1)),  # it grows back; the third is still there
        (45, embedding(3)),  # the third grows, and two are new
        (20, {"merge_shards": 1}),
    ]
    for size, jobs in sizes:
        assert done.run(sample={"size": size}).jobs == jobs
        embeddings = done.embeddings()
        assert embeddings.shape == (size, 384)
        common = min(size, 25)
        np.testing.assert_allclose(embeddings[:common], first[:common], atol=1e-5)


def test_a_changed_setting_reruns_what_depends_on_it(done: Workflow) -> None:
    """Each change is added to those before it, which must not rerun anything a second time."""
    config: dict[str, Any] = {}
    categories = {"name": "test", "categories": ["cs."]}
    first = model(pooling="cls")
    changes: list[tuple[dict[str, Any], Jobs]] = [
        ({"shards": {"size": 15}}, embedding(2)),
        ({"models": [first]}, embedding(2)),
        ({"sample": {"size": 25, "seed": 7}}, {"sample_papers": 1, **embedding(2)}),
        ({"corpus": categories}, {**CORPUS, **embedding(2)}),
    ]
    for change, jobs in changes:
        config |= change
        assert done.run(**config).jobs == jobs
    embeddings = done.embeddings()
    config["models"] = [first, model("second")]
    assert done.run(**config).jobs == {"fetch_model": 1, **embedding(2)}
    assert not np.allclose(done.embeddings("second"), embeddings)
    config["models"] = [first, model("second", pooling="cls")]
    assert done.run(**config).jobs == embedding(2)
    np.testing.assert_allclose(done.embeddings("second"), embeddings, atol=1e-5)
    np.testing.assert_array_equal(done.embeddings(), embeddings)
    assert done.run(**config).jobs == {}


def test_what_changes_no_result_reruns_nothing(done: Workflow) -> None:
    """Speed settings, a new download of the same snapshot, and files that `git checkout` wrote again."""
    snapshot = done.folder / "resources/snapshot.json"
    content = snapshot.read_bytes()
    snapshot.unlink()
    snapshot.write_bytes(content)
    settings = ["tokens_per_batch=128", "mem='64GB'", "runtime=600"]
    options = ["--set-resources", *(f"embed_shard:{setting}" for setting in settings)]
    script = ROOT / "workflow/scripts/embed_shard.py"
    times = script.stat()
    os.utime(script)
    try:
        assert done.run(*options, "--set-threads", "embed_shard=2").jobs == {}
    finally:
        os.utime(script, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_new_snapshot_reruns_everything_but_the_model(done: Workflow) -> None:
    make_snapshot(done.folder / "resources/snapshot.json", records=330, seed=1)
    assert done.run().jobs == {**CORPUS, **embedding(3)}


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


def test_a_deleted_shard_is_recomputed(done: Workflow) -> None:
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
def test_a_damaged_shard_is_refused_and_repaired_by_the_given_command(
    done: Workflow, damage: Any
) -> None:
    before = done.embeddings()
    damage(done.results / "minilm/shards/00001.npy")
    output = done.run(code=1).output
    assert "Shard 00001" in output
    assert not (done.results / "minilm/embeddings.npy").exists()
    repair = output.split("Make it anew: ")[1].split(", then run")[0]
    subprocess.run(repair, shell=True, check=True, cwd=done.folder)  # noqa: S602 - as a user would
    assert done.run().jobs == embedding(1)
    np.testing.assert_allclose(done.embeddings(), before, atol=1e-6)


def test_a_killed_shard_resumes_where_it_stopped(fresh: Workflow) -> None:
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
    ("changes", "messages"),
    [
        ({"snapshot": "nowhere.json"}, ["snapshot: ", "nowhere.json"]),
        (
            {
                "sample": {"size": -1},
                "corpus": {"name": "test", "kategories": []},
                "models": [model(label="a/b")],
            },
            [
                *("sample.size: -1 is not allowed", "from 1 upward, or all"),
                *("corpus: unknown key 'kategories'", "categories"),
                "models[0].label: 'a/b' is not allowed",
            ],
        ),
        ({"models": [model(), model()]}, ["models[0].label: ", "models[1].label: ", "'minilm'"]),
    ],
    ids=["snapshot", "values and keys", "two labels"],
)
def test_a_wrong_config_is_reported_before_any_job(
    fresh: Workflow, changes: dict[str, Any], messages: list[str]
) -> None:
    run = fresh.run(code=1, **changes)
    assert run.jobs == {}
    for message in messages:
        assert message in run.output


def test_the_run_prints_its_inputs_and_its_folder_of_results(finished: Workflow) -> None:
    output = (finished.folder / "run.log").read_text()
    for words in ("resources/snapshot.json", "25 papers", "3 shard(s)", "minilm", "results/test"):
        assert words in output
