# The checks before the first job of a run and the summary at its end. This file contains no rules.

import logging
import time

from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.slurm import jobs, limits, preflight, run_record, status


def write_run_record():
    """Record what this run was started to compute, for `make status` and the summary."""
    record = {
        "papers": SAMPLE_SIZE,
        "shard_size": SHARD_SIZE,
        "models": list(MODELS),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "executor": "slurm" if workflow.non_local_exec else "local",
    }
    write_json(RESULTS / run_record.NAME, record)


def resource_requests():
    """Return what the jobs of each rule request from SLURM, without duplicates."""
    requests = set()
    for job in workflow.dag.needrun_jobs():
        if not job.is_local:
            resources = job.resources
            requests.add(
                limits.Request(
                    job.rule.name,
                    partition=resources.get("slurm_partition"),
                    account=resources.get("slurm_account"),
                    cpus=job.threads,
                    mem_mb=resources.get("mem_mb"),
                    minutes=resources.get("runtime"),
                    gpus=resources.get("gpu")
                    or limits.parse_gpus(resources.get("gres", "")),
                )
            )
    return sorted(requests, key=str)


def check_before_submission():
    """Stop before the first job is submitted if a problem is found that would stop the run."""
    # The log of the library names the checks that could not be made.
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
    if problems:
        raise WorkflowError("\n".join(["No job was submitted:", *problems]))


def print_run_summary():
    """Print how the shards went, from their manifests and SLURM's accounting."""
    record = run_record.read_run_record(RESULTS)
    history = jobs.job_history(record)
    print("\n".join(status.summary_lines(record, history)), file=sys.stderr)
