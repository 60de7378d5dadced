"""The estimate of the cost of a run."""

import re

from support.running import Workflow


def test_the_estimate_embeds_nothing(fresh: Workflow) -> None:
    done = fresh.run("estimate", shards={"size": 10})
    assert done.jobs == {"filter_papers": 1, "sample_papers": 1, "fetch_model": 1, "estimate": 1}
    assert "Papers   25 in 3 shard(s) of up to 10" in done.output
    assert "estimated: " in done.output
    assert not (fresh.results / "minilm").exists()


def test_the_estimate_uses_the_rate_of_computed_vectors_and_a_given_one(done: Workflow) -> None:
    options = "--set-resources", "estimate:tokens_per_second=5000"
    estimate = done.run("estimate", *options, sample={"size": "all"})
    assert estimate.jobs == {"estimate": 1}
    assert "estimated: " in estimate.output
    assert re.search(r" measured: \S+( k)? tokens, float32", estimate.output)
    assert "yours" in estimate.output
    assert done.run().jobs == {}
