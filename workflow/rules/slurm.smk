# What a run on a cluster checks before its first job, and tells at its end; no rule stands here.

import logging
import time

from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.slurm import clock, jobs, limits, preflight, run_record, status


def write_plan():
    """Write what this run sets out to make, for `make status` and the summary."""
    plan = {
        "papers": SAMPLE_SIZE,
        "shard_size": SHARD_SIZE,
        "models": list(MODELS),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "executor": "slurm" if workflow.non_local_exec else "local",
    }
    write_json(RESULTS / "plan.json", plan)


def job_requests():
    """What each rule asks of SLURM, once for jobs that ask the same."""
    requests = set()
    for job in workflow.dag.needrun_jobs():
        if not job.is_local:
            asked = job.resources
            requests.add(
                limits.Request(
                    job.rule.name,
                    partition=asked.get("slurm_partition"),
                    account=asked.get("slurm_account"),
                    cpus=job.threads,
                    mem_mb=asked.get("mem_mb"),
                    minutes=asked.get("runtime"),
                    gpus=asked.get("gpu") or limits.parse_gpus(asked.get("gres", "")),
                )
            )
    return sorted(requests, key=str)


def refusals():
    """Ask sbatch about a job of each rule; it knows types of GPUs, features and limits."""
    one_of_each = {
        job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local
    }
    return [
        f"{rule}: sbatch would refuse its jobs ({words}). Change what is asked for in {preflight.PROFILE}."
        for rule, job in one_of_each.items()
        if hasattr(executor := workflow.scheduler.get_executor(job), "refusal")
        and (words := executor.refusal(job))
    ]


def check_cluster():
    """Stop before the first job is submitted if something is known to be in its way."""
    checks = logging.getLogger("arxiv_embeddings")  # says what could not be checked
    checks.addHandler(logging.StreamHandler())
    checks.setLevel(logging.INFO)
    papers = SAMPLE_SIZE
    if papers is None and FILTER_REPORT.is_file():
        papers = sample_size()
    snapshot_files = derived.snapshot_files(SNAPSHOT, FORMAT)
    problems = preflight.problems(
        job_requests(),
        snapshot_files=snapshot_files,
        results=RESULTS,
        model_sources={label: model_source(model) for label, model in MODELS.items()},
        models_folder=Path("resources/models"),
        bytes_needed=preflight.bytes_needed(
            sum(map(preflight.unpacked_bytes, snapshot_files)),
            papers,
            [model["dimensions"] for model in MODELS.values()],
        ),
        environment=Path(sys.prefix),
    )
    inputs = {Path(file) for job in workflow.dag.needrun_jobs() for file in job.input}
    problems += clock.clock_problems(inputs, Path())
    if not problems:
        problems = refusals()
    if problems:
        raise WorkflowError("\n".join(["Nothing was submitted, because:", *problems]))


def print_summary():
    """Print how the shards went, from their manifests and from what SLURM accounts."""
    plan = run_record.read_plan(RESULTS)
    history = jobs.job_history(plan)
    print("\n".join(status.summary_lines(plan, history)), file=sys.stderr)
