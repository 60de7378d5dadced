"""The jobs of shards, from what a real SLURM 22.05 printed."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from arxiv_embeddings.slurm.jobs import (
    QueuedJob,
    job_history,
    parse_sacct,
    parse_squeue,
    queued_jobs,
)
from support.slurm_runs import LOOKUP, MODEL, NAME, SACCT, SQUEUE, TRES, prints, record_in

Commands = Callable[..., None]


def test_how_each_attempt_ended() -> None:
    attempts = [(one.model, one.shard, one.ended) for one in parse_sacct(SACCT)]
    assert attempts == [
        (MODEL, f"{LOOKUP}-00000", "COMPLETED"),
        (MODEL, f"{LOOKUP}-00001", "FAILED with exit code 3"),
        (MODEL, f"{LOOKUP}-00002", "OUT_OF_MEMORY"),
        (MODEL, f"{LOOKUP}-00003", "TIMEOUT after 1 min 27 s"),
        (MODEL, f"{LOOKUP}-00004", "CANCELLED"),
        (MODEL, f"{LOOKUP}-00005", "REQUEUED"),
        (MODEL, f"{LOOKUP}-00005", "COMPLETED"),
        ("bge-m3", f"{LOOKUP}-00010", "PREEMPTED"),
        ("bge-m3", f"{LOOKUP}-00011", "NODE_FAIL on node1"),
    ]


def sacct_line(
    *,
    state: str = "COMPLETED",
    comment: str = f"rule_embed_shard_wildcards_m_{LOOKUP}-00001",
    elapsed: str = "3",
    tres: str = TRES,
    exit_code: str = "0:0",
    submit_line: str | None = None,
) -> str:
    end = "" if submit_line is None else f"|{submit_line}"
    return f"7|{NAME}|{state}|{comment}|t|t|{elapsed}|{tres}|node1|{exit_code}|/w{end}"


@pytest.mark.parametrize(
    ("state", "exit_code", "words"),
    [
        ("FAILED", "3:0", "FAILED with exit code 3"),
        ("FAILED", "0:9", "FAILED by signal 9"),
        ("FAILED", "1", "FAILED with exit code 1"),
        ("CANCELLED by 1000", "0:15", "CANCELLED"),
        ("", "0:0", "UNKNOWN"),
    ],
)
def test_how_an_attempt_ended_by_state_and_exit_code(
    state: str, exit_code: str, words: str
) -> None:
    (one,) = parse_sacct(sacct_line(state=state, exit_code=exit_code))
    assert one.ended == words


def test_the_comment_in_the_accounting_is_used_where_a_site_stores_it() -> None:
    comment = f"rule_embed_shard_wildcards_a_b_{LOOKUP}-00001"
    for submit_line in (None, "sbatch -p x"):
        found = parse_sacct(sacct_line(comment=comment, submit_line=submit_line))
        assert [(one.model, one.shard) for one in found] == [("a_b", f"{LOOKUP}-00001")]


@pytest.mark.parametrize("label", ["my_model.v1", "a_00001", "_-.", "a-b_c.d_2", "7"])
def test_labels_with_dots_dashes_and_underscores(label: str) -> None:
    comment = f"rule_embed_shard_wildcards_{label}_{LOOKUP}-00012"
    in_queue = parse_squeue(f"1|RUNNING|0:04|node1|None|t|/w|{comment}")
    by_submit_line = parse_sacct(
        sacct_line(comment="", submit_line=f"sbatch --comment {comment} -p x")
    )
    quoted = parse_sacct(sacct_line(comment="", submit_line=f"sbatch --comment='{comment}'"))
    for found in (in_queue, by_submit_line, quoted):
        assert [(job.model, job.shard) for job in found] == [(label, f"{LOOKUP}-00012")]


def test_jobs_of_other_rules_and_damaged_lines_are_skipped() -> None:
    others = ["rule_merge_vectors_wildcards_m", "rule_embed_shard_wildcards_m_", "", "(null)", "x"]
    assert not parse_squeue("\n".join(f"1|RUNNING|0:04|n|None|t|/w|{other}" for other in others))
    assert not parse_sacct("\n".join(sacct_line(comment=other) for other in others))
    assert not parse_sacct("\n".join(sacct_line(comment=other, submit_line="") for other in others))
    assert not parse_squeue("\n|\nslurm_load_jobs error: Unable to contact\n")
    assert not parse_sacct("\n|\nsacct: error: slurm_persist_conn_open_without_init\n")


@pytest.mark.parametrize(
    ("tres", "gpus"),
    [
        ("billing=1,cpu=1,gres/gpu=2,mem=500M,node=1", 2),
        ("cpu=1,gres/gpu:a100=2,gres/gpu=2,node=1", 2),
        ("cpu=1,gres/gpu:a100=1,gres/gpu:v100=2", 3),
        ("cpu=1,gres/gpumem=80000", 0),
        ("", 0),
    ],
)
def test_gpu_hours_count_each_gpu_once(tres: str, gpus: int) -> None:
    (one,) = parse_sacct(sacct_line(elapsed="1800", tres=tres))
    assert one.gpus == gpus
    assert one.gpu_hours == gpus / 2


def test_an_attempt_without_a_time_lasted_0_seconds() -> None:
    (one,) = parse_sacct(sacct_line(elapsed=""))
    assert one.elapsed == 0


def test_a_line_of_squeue_with_bars_in_the_folder() -> None:
    jobs = parse_squeue(
        f"1|RUNNING|1-02:03:04|node1|None|t|/a|b|rule_embed_shard_wildcards_m_{LOOKUP}-00000"
    )
    assert jobs == [
        QueuedJob(
            "1", "RUNNING", "1-02:03:04", "node1", "None", "t", "/a|b", "m", f"{LOOKUP}-00000"
        )
    ]


def test_history_is_of_this_working_directory(
    commands: Commands, folder: Path, tmp_path: Path
) -> None:
    record = record_in(folder, models=[MODEL, "bge-m3"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for workdir, found in ((tmp_path, 9), (tmp_path / "link", 9), (elsewhere, 0), ("/not/here", 9)):
        commands(sacct=prints(SACCT.replace("WORKDIR", str(workdir)), tmp_path / "asked"))
        history = job_history(record)
        assert history is not None and len(history) == found


def test_squeue_and_sacct_are_asked_about_the_jobs_of_this_user_and_run(
    commands: Commands, folder: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    commands(squeue=prints("", asked), sacct=prints("", asked))
    # The folder of another user, as when somebody looks at a colleague's run.
    if os.geteuid() == 0:
        record_in(folder)
        os.chown(folder / "run.json", 4321, -1)
    record = record_in(folder)
    user = str((folder / "run.json").stat().st_uid)

    queued_jobs(record)
    options = ["--noheader", "--user", user, "--format", "%i|%T|%M|%N|%r|%V|%Z|%k"]
    assert asked.read_text().split() == options

    job_history(record)
    words = asked.read_text().split()
    assert words[words.index("--user") + 1] == user
    assert words[words.index("--starttime") + 1] == "2026-11-23T09:36:00"
    assert {"-X", "--noheader", "--parsable2", "--duplicates"} < set(words)
    fields = (
        "JobID,JobName,State,Comment,Submit,Start,ElapsedRaw,AllocTRES,NodeList,ExitCode,WorkDir"
    )
    assert words[-1] == f"--format={fields},SubmitLine"
    job_history(record, since="2026-01-31")
    words = asked.read_text().split()
    assert words[words.index("--starttime") + 1] == "2026-01-31"


def test_jobs_of_all_users_count_where_the_owner_of_the_run_is_unknown(
    commands: Commands, folder: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    commands(squeue=prints("", asked), sacct=prints("", asked))
    record = record_in(folder)
    (folder / "run.json").unlink()
    assert queued_jobs(record) == []
    assert "--user" not in asked.read_text()
    assert job_history(record) == []
    assert "--user" not in asked.read_text()


def test_history_without_submit_lines(commands: Commands, folder: Path) -> None:
    record = record_in(folder, models=["m"])
    commands(sacct=f'case "$*" in *SubmitLine*) exit 1;; esac\n{prints(sacct_line())}')
    history = job_history(record)
    assert history is not None and [one.shard for one in history] == [f"{LOOKUP}-00001"]


def test_no_answer_differs_from_no_job(commands: Commands, folder: Path) -> None:
    record = record_in(folder)
    assert queued_jobs(record) is None
    assert job_history(record) is None
    commands(squeue="exit 0", sacct="exit 0")
    assert queued_jobs(record) == []
    assert job_history(record) == []
    local = record_in(folder, executor="local")
    assert queued_jobs(local) is None
    assert job_history(local) is None


def test_corpora_that_share_a_model(commands: Commands, tmp_path: Path) -> None:
    earlier = record_in(tmp_path / "results/demo", started="2026-11-23T09:00:00")
    # The job was submitted at 09:36:14.
    later = record_in(tmp_path / "results/arxiv", started="2026-11-23T09:36:14")
    latest = record_in(tmp_path / "results/third", started="2026-11-23T09:50:00")
    commands(squeue=prints(SQUEUE.replace("WORKDIR", str(tmp_path))))
    assert [len(queued_jobs(record) or []) for record in (earlier, later, latest)] == [0, 1, 0]
    # The run was started again while the job was running.
    (tmp_path / "results/demo/run.json").unlink()
    later = record_in(tmp_path / "results/arxiv", started="2026-11-23T09:40:00")
    assert len(queued_jobs(later) or []) == 1


def test_a_corpus_with_another_model_does_not_claim_the_job(
    commands: Commands, tmp_path: Path
) -> None:
    mine = record_in(tmp_path / "results/arxiv", started="2026-11-23T09:00:00")
    record_in(tmp_path / "results/demo", models=["other"], started="2026-11-23T09:36:00")
    commands(squeue=prints(SQUEUE.replace("WORKDIR", str(tmp_path))))
    assert [job.shard for job in queued_jobs(mine) or []] == [f"{LOOKUP}-00003"]
    # A damaged run record of another corpus does not hide the job.
    (tmp_path / "results/demo/run.json").write_text("{")
    assert [job.shard for job in queued_jobs(mine) or []] == [f"{LOOKUP}-00003"]


def test_a_job_without_a_time_of_submission_is_counted(commands: Commands, folder: Path) -> None:
    record = record_in(folder, started=datetime.datetime.max.isoformat(timespec="seconds"))
    commands(
        squeue=prints(
            f"7|PENDING|0:00||Priority|N/A||rule_embed_shard_wildcards_{MODEL}_{LOOKUP}-00000"
        )
    )
    assert [job.shard for job in queued_jobs(record) or []] == [f"{LOOKUP}-00000"]
