"""The jobs of a dry run are printed one line each, in order."""

import logging
from typing import Any

from arxiv_embeddings.common.dry_run import JobList

STATS = "Job stats:\njob      count"


def record(msg: str = "", **extra: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": msg, **extra})


def job(rule: str, message: str | None, reason: str, **wildcards: str) -> logging.LogRecord:
    details = {"rule_name": rule, "rule_msg": message, "reason": reason, "wildcards": wildcards}
    return record(f" Rule: {rule}", event="job_info", jobid=1, **details)


def test_jobs_are_printed_in_the_order_of_the_rules_and_of_their_wildcards() -> None:
    jobs = JobList(["all", "embed", "merge"], "The snapshot is missing.")
    first = record(STATS, event="run_info")
    assert jobs.filter(first)
    assert first.msg == STATS
    code = "Missing output files: a, b; Code has changed since last execution"
    for kept_back in (
        job("merge", "Merging m", "Forced execution", model="m"),
        job("embed", None, code, model="m", shard="3f-00010"),
        record("Shell command: python3", event="shellcmd"),
        job("embed", None, "Missing output files: c", model="m", shard="3f-00009"),
        job("other", "Others", "Forced execution"),
        record("DAG of jobs will be updated after completion."),
        job("all", None, "Rules with neither input nor output files are always executed."),
    ):
        assert not jobs.filter(kept_back)
    last = record(STATS, event="run_info")
    assert jobs.filter(last)
    assert last.msg.splitlines() == [
        "all (rules with neither input nor output files are always executed.)",
        "embed: m, 3f-00009 (missing output files)",
        "embed: m, 3f-00010 (missing output files, code has changed since last execution)",
        "merge: Merging m (forced execution)",
        "other: Others (forced execution)",
        "",
        "The snapshot is missing.",
        "",
        *STATS.splitlines(),
    ]
    assert jobs.filter(record("This was a dry-run."))


def test_a_dry_run_without_jobs_is_left_alone() -> None:
    jobs = JobList([], "The snapshot is missing.")
    stats = record(STATS, event="run_info")
    assert jobs.filter(stats)
    assert stats.msg == STATS
