# The checks before the first job of a run and the summary at its end. This file contains no rules.

import logging
import time

from snakemake.jobs import Job

from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.slurm import clock, jobs, limits, preflight, run_record, status

NOW = "%Y-%m-%dT%H:%M:%S"
STARTED = time.strftime(NOW)


def write_run_record(**end):
    """Record what this run will compute, and how it ended, for `make status` and the summary."""
    record = {
        "papers": SAMPLE_SIZE,
        "shard_size": SHARD_SIZE,
        "models": list(MODELS),
        "started": STARTED,
        "executor": "slurm" if workflow.non_local_exec else "local",
        "process": run_record.Process.current(),
        **end,
    }
    write_json(RESULTS / run_record.NAME, record)


def submitted_jobs():
    """Return one job of each rule that will be submitted, including shards that are not known yet."""
    needed = list(workflow.dag.needrun_jobs())
    found = {job.rule.name: job for job in needed if not job.is_local}
    embed_shard = rules.embed_shard.rule
    for job in needed:
        plans_shards = job.rule is rules.find_vectors.rule
        if plans_shards and embed_shard.name not in found:
            wildcards = {"model": job.wildcards.model, "shard": "00000000-00000"}
            found[embed_shard.name] = Job(
                embed_shard, workflow.dag, wildcards_dict=wildcards
            )
    return found


def resource_requests():
    """Return what the jobs of each rule request from SLURM."""
    # Another executor has no such setting.
    no_mem = getattr(workflow.executor_settings, "no_mem", False)
    return [
        limits.Request(
            name,
            partition=job.resources.get("slurm_partition"),
            account=job.resources.get("slurm_account"),
            cpus=job.threads,
            mem_mb=None if no_mem else job.resources.get("mem_mb"),
            minutes=job.resources.get("runtime"),
            gpus=job.resources.get("gpu")
            or limits.parse_gpus(job.resources.get("gres", "")),
        )
        for name, job in sorted(submitted_jobs().items())
    ]


def refusals():
    """Ask sbatch about one job of each rule; sbatch checks GPU types, features and limits."""
    return [
        f"{name}: sbatch would refuse its jobs ({words}). Change what is requested in {preflight.PROFILE}."
        for name, job in submitted_jobs().items()
        if hasattr(executor := workflow.scheduler.get_executor(job), "refusal")
        and (words := executor.refusal(job))
    ]


def check_before_submission():
    """Stop before the first job is submitted if the checks find a problem."""
    # The library logs which checks could not be made.
    checks = logging.getLogger("arxiv_embeddings")
    checks.addHandler(logging.StreamHandler())
    checks.setLevel(logging.INFO)
    papers = SAMPLE_SIZE
    if papers is None and (filtered := currency.read_record(FILTER_REPORT)):
        papers = filtered["records"]["kept"]
    snapshot_files = derived.snapshot_files(SNAPSHOT, FORMAT)
    problems = preflight.find_problems(
        resource_requests(),
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
        raise WorkflowError("\n".join(["No job was submitted:", *problems]))


def end_run(succeeded):
    """Record that the run ended; print which config files were edited, and a summary of its SLURM jobs."""
    write_run_record(ended=time.strftime(NOW), succeeded=succeeded)
    report_edits()
    if workflow.non_local_exec:
        print_run_summary()
    if not succeeded:
        print(
            "The run did not finish. What is finished is kept: repeat the command to go on.",
            file=sys.stderr,
        )


def print_run_summary():
    """Print a summary of the shards from their manifests and SLURM's accounting."""
    record = run_record.read_run_record(RESULTS)
    history = jobs.job_history(record)
    print("\n".join(status.summary_lines(record, history)), file=sys.stderr)
