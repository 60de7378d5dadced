"""The estimate of what a run costs."""

from support.running import Workflow


def test_plan_estimates_without_embedding_anything(fresh: Workflow) -> None:
    done = fresh.run("plan", shards={"size": 10})
    assert done.jobs == {"filter_papers": 1, "sample_papers": 1, "fetch_model": 1, "plan": 1}
    assert "Papers   25 in 3 shard(s) of up to 10" in done.output
    assert "not measured: " in done.output
    assert not (fresh.results / "minilm").exists()


def test_plan_uses_the_rate_of_finished_shards_and_a_given_one(done: Workflow) -> None:
    options = "--set-resources", "plan:tokens_per_second=5000"
    plan = done.run("plan", *options, sample={"size": "all"})
    assert plan.jobs == {"plan": 1}
    assert "measured: 3 shard(s), float32" in plan.output
    assert "yours" in plan.output
    assert done.run().jobs == {}
