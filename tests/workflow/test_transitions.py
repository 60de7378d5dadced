"""Which jobs run after a change, and whether the embeddings are those of a fresh run."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arxiv_embeddings.embedding.store import VectorStore, pieces_in, text_keys
from support.data.make_snapshot import make_snapshot
from support.running import ROOT, Jobs, Workflow, model

CORPUS = {"filter_papers": 1, "sample_papers": 1}


def embedding(shards: int) -> Jobs:
    """Return the jobs that look up the vectors of one model, embed ``shards`` shards and merge."""
    jobs = {"find_vectors": 1, "embed_shard": shards, "merge_vectors": 1}
    return {rule: count for rule, count in jobs.items() if count}


def test_fresh_run_computes_everything(finished: Workflow) -> None:
    results = finished.results
    papers = pd.read_parquet(results / "papers.parquet")
    sample = papers.sample(25, random_state=42).reset_index(drop=True)
    columns = ["id", "topic", "category 0", "category 1", "categories"]
    columns += ["title", "authors", "submitted", "updated", "doi", "license"]
    merged = pd.read_parquet(results / "minilm/papers.parquet")
    assert list(merged) == columns
    pd.testing.assert_frame_equal(merged, sample[columns])
    embeddings = finished.embeddings()
    assert embeddings.shape == (25, 384)
    assert embeddings.dtype == np.float32
    store = VectorStore(pieces_in(results / "minilm/vectors"))
    assert len(store.pieces) == 3
    vectors, _ = store.gather(store.find(text_keys(merged["topic"])))
    np.testing.assert_array_equal(embeddings, vectors)


def test_results_from_before_there_were_metadata_stay_valid(done: Workflow) -> None:
    """They are not made again, also where they are merged again."""
    columns = ["id", "topic", "categories", "category 0", "category 1"]
    for name in ("papers", "drawn"):
        path = done.results / f"{name}.parquet"
        time = path.stat().st_mtime_ns
        pd.read_parquet(path)[columns].to_parquet(path, index=False)
        os.utime(path, ns=(time, time))
    assert done.run().jobs == {}
    assert done.run(sample={"size": 20}).jobs == embedding(0)
    merged = pd.read_parquet(done.results / "minilm/papers.parquet")
    assert list(merged) == ["id", "topic", "category 0", "category 1"]


def test_dry_run_of_a_fresh_clone_says_what_it_can(fresh: Workflow) -> None:
    """How many shards there are is known once the vectors are looked up."""
    (fresh.folder / "resources/snapshot.json").unlink()
    output = fresh.run("--dry-run", sample={"size": 10_000}, shards={"size": 1_000}).output
    found = re.findall(r"^(\w+): .* \(missing output files.*\)$", output, re.MULTILINE)
    assert found == [
        "filter_papers",
        "sample_papers",
        "fetch_model",
        "find_vectors",
        "merge_vectors",
    ]
    assert "A run would stop before its first job. snapshot: there is no" in output
    assert "The run involves checkpoint jobs" in output
    commands = fresh.run("--dry-run", "--printshellcmds").output
    assert 'python3 "$SCRIPTS/filter_papers.py"' in commands


def test_another_size_embeds_only_what_is_new(done: Workflow) -> None:
    first = done.embeddings()
    sizes = [(12, embedding(0)), (45, embedding(2)), (20, embedding(0))]
    for size, jobs in sizes:
        assert done.run(sample={"size": size}).jobs == jobs
        embeddings = done.embeddings()
        assert embeddings.shape == (size, 384)
        common = min(size, 25)
        np.testing.assert_array_equal(embeddings[:common], first[:common])


def test_a_changed_setting_reruns_what_depends_on_it(done: Workflow) -> None:
    """Each change is added to those before it, which must not rerun anything a second time."""
    config: dict[str, Any] = {}
    first = model(pooling="cls")
    assert done.run(shards={"size": 25}).jobs == {}
    config |= {"models": [first], "shards": {"size": 25}}
    assert done.run(**config).jobs == embedding(1)
    known = texts(done)
    for change, before in (
        ({"sample": {"size": 25, "seed": 7}}, {"sample_papers": 1}),
        ({"corpus": {"name": "test", "categories": ["cs."]}}, CORPUS),
    ):
        config |= change
        jobs = done.run(**config).jobs
        new = texts(done) - known
        assert 0 < len(new) < 25
        assert jobs == {**before, **embedding(1)}
        known |= new
    embeddings = done.embeddings()
    config["models"] = [first, model("second")]
    assert done.run(**config).jobs == {"fetch_model": 1, **embedding(1)}
    assert not np.allclose(done.embeddings("second"), embeddings)
    config["models"] = [first, model("second", pooling="cls")]
    assert done.run(**config).jobs == embedding(1)
    np.testing.assert_allclose(done.embeddings("second"), embeddings, atol=1e-5)
    np.testing.assert_array_equal(done.embeddings(), embeddings)
    config["models"] = [first, model("second")]
    assert done.run(**config).jobs == embedding(0)
    assert done.run(**config).jobs == {}


def texts(workflow: Workflow) -> set[str]:
    """Return the texts of the merged papers."""
    return set(pd.read_parquet(workflow.results / "minilm/papers.parquet")["topic"])


def test_what_changes_no_result_reruns_nothing(done: Workflow) -> None:
    """Speed settings, a new download of the same snapshot, and files that `git checkout` wrote again."""
    snapshot = done.folder / "resources/snapshot.json"
    content = snapshot.read_bytes()
    snapshot.unlink()
    snapshot.write_bytes(content)
    settings = ["tokens_per_batch=128", "no_progress_minutes=60", "mem='64GB'", "runtime=600"]
    options = ["--set-resources", *(f"embed_shard:{setting}" for setting in settings)]
    script = ROOT / "workflow/scripts/embed_shard.py"
    times = script.stat()
    os.utime(script)
    try:
        assert done.run(*options, "--set-threads", "embed_shard=2").jobs == {}
    finally:
        os.utime(script, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_new_snapshot_embeds_only_its_new_texts(done: Workflow) -> None:
    before = texts(done)
    make_snapshot(done.folder / "resources/snapshot.json", records=330, seed=1)
    jobs = done.run().jobs
    new = len(texts(done) - before)
    assert jobs == {**CORPUS, **embedding(-(-new // 10))}


def test_size_all_embeds_every_paper_and_sees_new_ones(fresh: Workflow) -> None:
    everything: dict[str, Any] = {"sample": {"size": "all"}, "shards": {"size": 60}}
    run = fresh.run(**everything)
    assert run.jobs == {"fetch_model": 1, **CORPUS, **embedding(2)}
    assert len(fresh.embeddings()) == 100  # a third of the records are cs. or physics.
    assert fresh.run(**everything).jobs == {}
    assert fresh.run(sample={"size": 60}, shards={"size": 60}).jobs == embedding(0)
    assert fresh.run(**everything).jobs == embedding(0)
    reseeded = {**everything, "sample": {"size": "all", "seed": 5}}
    assert fresh.run(**reseeded).jobs == {"sample_papers": 1, **embedding(0)}
    assert len(fresh.embeddings()) == 100


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
    store = fresh.results / "minilm/vectors"
    while not list(store.glob("*.json")):
        assert run.poll() is None, "the run ended before the first chunk was there"
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not list((fresh.results / "minilm").glob("shards/*.json"))
    saved = sum(piece.manifest.papers for piece in pieces_in(store))
    fresh.run("--unlock", **settings)
    again = fresh.run("--rerun-incomplete", **settings)
    assert again.jobs == embedding(1)
    lookup = json.loads((fresh.results / "minilm/lookup.json").read_text())
    assert 0 < saved <= 1_200 - lookup["missing"] < 1_200
    killed = fresh.embeddings()
    shutil.rmtree(store)
    (fresh.results / "minilm/embeddings.npy").unlink()
    assert fresh.run(**settings).jobs == embedding(1)
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
    for words in (
        "resources/snapshot.json",
        "25 papers",
        "at most 3 shard(s)",
        "minilm",
        "results/test",
    ):
        assert words in output
