"""What show_status.py and show_summary.py print of a run."""

import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from arxiv_embeddings.slurm import status
from arxiv_embeddings.slurm.jobs import parse_sacct
from arxiv_embeddings.slurm.reasons import waiting_lines
from arxiv_embeddings.slurm.run_record import Process
from arxiv_embeddings.slurm.shard_states import read_state
from arxiv_embeddings.slurm.status import efficiency, status_lines, summary_lines
from support.slurm_runs import (
    LOOKUP,
    MODEL,
    SACCT,
    SQUEUE,
    START,
    STARTED,
    attempt,
    chunk,
    finish,
    look_up,
    planned_in,
    prints,
    queued,
    record_in,
    report,
    shard_name,
)

SCRIPTS = Path(status.__file__).parents[2]
Commands = Callable[..., None]


# --- The progress ------------------------------------------------------------------------------------


def test_status_of_a_run_with_jobs(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 10)
    chunk(record, 1, "a", rows=1, written=START + 5)
    chunk(record, 2, "a", rows=60, written=START + 15)
    jobs = [queued(2, "RUNNING"), queued(2, "PENDING"), queued(3, "PENDING", reason="Priority")]
    assert status_lines(record, jobs, START + 20) == [
        f"{folder}: SLURM jobs, started 2026-11-23 09:36:00, 20 s ago",
        "",
        f"  {MODEL}",
        "    shards   1 of 7 done, 1 running, 5 waiting (1 queued, 1 begun)",
        "    papers   361 of 2,100 (17%)",
        f"    running  {LOOKUP}-00002  job 7 on node2, 1:18, also job 7, 60 of 300 papers, last chunk 5 s ago",
        "    waiting  1 behind jobs with a higher priority (Priority)",
        "    papers/s 51.6 recently, 18.1 over the run",
        "    ETA      34 s (Mon 09:36)",
    ]


def test_status_of_a_run_that_is_over(folder: Path) -> None:
    def lines(**changes: object) -> list[str]:
        record = planned_in(folder, **changes)
        finish(record, 0, START + 10)
        return status_lines(record, [], START + 20)

    ended = (STARTED + datetime.timedelta(seconds=15)).isoformat()
    over = lines(ended=ended)
    assert over[1] == (
        "  it failed or was stopped 5 s ago: repeat the command. What is finished is kept"
    )
    assert over[-1] == "    ETA      none: the run is over"
    assert lines(ended=ended, succeeded=True)[1] == "  it succeeded 5 s ago"
    here = Process.current()
    assert lines(process=here)[1] == ""
    gone = lines(process=here._replace(began=0.0))
    assert gone[1] == (
        "  its process is gone: it was killed, or this machine was restarted; its jobs continue. "
        "Run snakemake --unlock, then repeat the command. What is finished is kept"
    )
    assert gone[-1] == "    ETA      none: the run is over"
    assert "jobs continue" not in lines(process=here._replace(began=0.0), executor="local")[1]
    assert lines(process=here._replace(host="login2"))[1] == (
        "  its process is on login2: only there can be seen whether it still runs"
    )


def test_status_says_which_shards_make_no_progress(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 10)
    now = START + 3600
    chunk(record, 1, "a", rows=60, written=now - 720)
    # An earlier attempt left a chunk; this one was started just now.
    chunk(record, 2, "a", rows=60, written=now - 3000)
    log = record.log_of(MODEL, shard_name(4))
    log.parent.mkdir(parents=True)
    log.touch()
    os.utime(log, (now - 9, now - 9))
    hangs = [queued(1, "RUNNING", elapsed="59:00"), queued(3, "RUNNING", elapsed="11:05")]
    works = [queued(2, "RUNNING", elapsed="1:00"), queued(4, "RUNNING", elapsed="2-00:30:00")]
    lines = status_lines(record, [*hangs, *works], now)
    assert [line.split("on node2, ")[1] for line in lines if "running  " in line] == [
        "59:00, 60 of 300 papers, no progress for 12 min 0 s",
        "1:00, 60 of 300 papers, last chunk 50 min 0 s ago",
        "11:05, 0 of 300 papers, no progress for 11 min 5 s",
        "2-00:30:00, 0 of 300 papers",
    ]
    assert "not known" not in lines[-1]
    lines = status_lines(record, hangs, now)
    assert lines[-1] == "    ETA      not known: no running shard makes progress"


def test_status_says_why_jobs_wait(folder: Path) -> None:
    jobs = [queued(0, "PENDING", reason="JobHeldUser", job_id="11")]
    jobs += [queued(n, "PENDING", reason="Resources", job_id=str(11 + n)) for n in (1, 2, 3)]
    jobs += [queued(n, "PENDING", reason="JobHeldUser", job_id=str(20 - n)) for n in (4, 5)]
    jobs += [queued(6, "COMPLETING"), queued(6, "PENDING", reason="Licenses")]
    lines = status_lines(planned_in(folder), jobs, START + 5)
    assert lines[5:8] == [
        "    waiting  3 held by you (JobHeldUser): run scontrol release 11,15,16",
        "    waiting  3 for free resources (Resources)",
        "    waiting  1 for another reason (Licenses)",
    ]


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("None", "1 not yet looked at by SLURM (None)"),
        ("BeginTime", "1 for their start time, as after a requeue (BeginTime)"),
        ("JobHeldAdmin", "1 held by an administrator (JobHeldAdmin): ask the administrators to"),
        ("launch failed requeued held", "1 held because they could not be started on a node ("),
        ("launch_failed_requeued_held", "1 held because they could not be started on a node ("),
        ("PartitionTimeLimit", "1 for ever, as their time limit is above that of the partition ("),
        ("PartitionDown", "1 until administrators open the partition (PartitionDown)"),
        ("PartitionInactive", "1 until administrators open the partition (PartitionInactive)"),
        ("AssocMaxJobsLimit", "1 at a limit of the account or QOS, until other jobs end (Assoc"),
        ("QOSMaxJobsPerUserLimit", "1 at a limit of the account or QOS, until other jobs end ("),
        ("QOSMaxGRESPerUser", "1 at a limit of the account or QOS, until other jobs end ("),
        ("QOSMaxMemoryPerJob", "1 for ever, as they request more than the account or QOS allows"),
        ("QOSMaxWallDurationPerJobLimit", "1 for ever, as they request more than the account or"),
        (
            "QOSGrpCPURunMinutesLimit",
            "1 at a limit of the account or QOS, until other jobs end (QOSGrp",
        ),
        ("AssocGrpBillingMinutes", "1 as the hours of the account or QOS are used up (AssocGrp"),
        ("ReqNodeNotAvail, UnavailableNodes:node1", "1 for nodes that are down or reserved (Req"),
        ("DependencyNeverSatisfied", "1 for ever, as a job that they depend on failed (Dep"),
    ],
)
def test_every_usual_reason_has_a_note(reason: str, line: str) -> None:
    (shown,) = waiting_lines([queued(0, "PENDING", reason=reason)])
    assert shown.startswith(line)


def test_status_says_where_squeue_does_not_answer(folder: Path) -> None:
    record = planned_in(folder)
    store = folder / MODEL / "vectors"
    store.mkdir()
    (store / f".{LOOKUP}-00002-abcdef01.npy.node1-17.partial").touch()
    lines = status_lines(record, None, START + 20)
    assert (
        lines[1] == "  squeue does not answer: running shards are detected from their files alone"
    )
    assert f"    running  {LOOKUP}-00002  0 of 300 papers" in lines
    local = status_lines(planned_in(folder, executor="local"), None)
    assert ": local jobs, started " in local[0]
    assert not any("squeue does not answer" in line for line in local)


def test_status_before_anything_is_finished(folder: Path) -> None:
    lines = status_lines(planned_in(folder), [], START + 5)
    assert lines[3:] == [
        "    shards   0 of 7 done, 0 running, 7 waiting",
        "    papers   0 of 2,100 (0%)",
        "    note     no job of this run is running or queued",
        "    papers/s nothing finished in this run yet",
        "    ETA      not known yet",
    ]


def test_status_before_the_filter_has_finished(folder: Path) -> None:
    lines = status_lines(record_in(folder, papers=None), [], START - 5)
    assert lines[3:5] == [
        "    shards   not known yet: which papers need a job is known once find_vectors has finished",
        "    papers   0",
    ]


def test_status_tells_what_the_vector_store_had(folder: Path) -> None:
    record = record_in(folder)
    look_up(record, found=1500, missing=600)
    assert status_lines(record, [], START + 5)[3:6] == [
        "    shards   0 of 2 done, 0 running, 2 waiting",
        "    papers   1,500 of 2,100 (71%)",
        "    found    1,500 of 2,100 had their vectors in the vector store",
    ]
    summary = "    found       1,500 papers had their vectors in the vector store"
    assert summary in summary_lines(record, None)


def test_status_where_all_vectors_were_found(folder: Path) -> None:
    record = record_in(folder)
    look_up(record, found=2100, missing=0)
    lines = [
        "    shards   none needed",
        "    papers   2,100 of 2,100 (100%)",
        "    all vectors were in the vector store, only merging is left",
    ]
    assert status_lines(record, [], START + 5)[3:] == lines
    (folder / MODEL / "manifest.json").touch()
    assert status_lines(record, [])[-1] == "    all vectors were in the vector store, merged"


def test_status_of_a_finished_run(folder: Path) -> None:
    record = planned_in(folder, papers=300)
    finish(record, 0, START + 5)
    assert status_lines(record, [])[-1] == "    all shards are done, only merging is left"
    (folder / MODEL / "manifest.json").touch()
    lines = status_lines(record, [])
    assert lines[-1] == "    all shards are done, merged"
    assert not any("ETA" in line for line in lines)


def test_a_manifest_that_cannot_be_read_is_a_warning(folder: Path) -> None:
    record = planned_in(folder, papers=300 * 12)
    for number in range(12):
        finish(record, number, START + 10).write_text("{")
    named = ", ".join(shard_name(number) for number in range(10))
    for lines in (status_lines(record, []), summary_lines(record, [])):
        (line,) = (line for line in lines if "warning" in line)
        assert line.split(maxsplit=1)[1].startswith("manifest not readable")
        assert line.endswith(f": {named} and 2 more")


# --- The summary -------------------------------------------------------------------------------------


def test_summary_of_a_run_with_every_fault(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 20, seconds=2.0, tokens=62_100)
    finish(record, 5, START + 70, seconds=20.0, tokens=60_000)
    log = record.log_of(MODEL, shard_name(1))
    log.parent.mkdir(parents=True)
    log.write_text("t INFO begun\nt ERROR first\nt ERROR The vectors are NaN.\nt INFO end\n")
    history = [one for one in parse_sacct(SACCT) if one.model == MODEL]
    assert summary_lines(record, history) == [
        f"{folder}: slurm run started 2026-11-23 09:36:00",
        "",
        f"  {MODEL}",
        "    shards      2 of 7 done, not merged",
        "    attempts    7 for 6 shard(s): 1 CANCELLED, 2 COMPLETED, 1 FAILED, 1 OUT_OF_MEMORY, "
        "1 REQUEUED, 1 TIMEOUT",
        "    GPU-hours   0.03, of which 0.03 in attempts that did not complete",
        # 22 s of 122 s
        "    efficiency  18% of the jobs' time was spent on embedding",
        "    papers/s    minimum 15, median 82.5, maximum 150 per shard",
        "    tokens/s    minimum 3,000, median 17,025, maximum 31,050 per shard",
        "    Done after more than one attempt",
        f"      {LOOKUP}-00005  REQUEUED (job 1743605 on node2), then COMPLETED (job 1743605 on node2)",
        "    Not done",
        f"      {LOOKUP}-00001  FAILED with exit code 3 (job 1743601 on node1)",
        "             The vectors are NaN.",
        f"             {log}",
        f"      {LOOKUP}-00002  OUT_OF_MEMORY (job 1743602 on node2)",
        f"             {record.log_of(MODEL, shard_name(2))} (was not written)",
        f"      {LOOKUP}-00003  TIMEOUT after 1 min 27 s (job 1743603 on node2)",
        f"             {record.log_of(MODEL, shard_name(3))} (was not written)",
        f"      {LOOKUP}-00004  CANCELLED (job 1743604 on node1)",
        f"             {record.log_of(MODEL, shard_name(4))} (was not written)",
        f"    Never attempted: {LOOKUP}-00006",
    ]


def test_summary_from_the_manifests_alone(folder: Path) -> None:
    record = planned_in(folder, papers=300)
    finish(record, 0, START + 20)
    own = [
        "",
        f"  {MODEL}",
        "    shards      1 of 1 done, not merged",
        "    papers/s    minimum 150, median 150, maximum 150 per shard",
        "    tokens/s    minimum 30,000, median 30,000, maximum 30,000 per shard",
    ]
    silent = summary_lines(record, None)
    assert "sacct does not answer" in silent[1] and "manifests alone" in silent[1]
    assert silent[2:] == own
    empty = summary_lines(record, [])
    assert "sacct lists no job of this run" in empty[1] and "manifests alone" in empty[1]
    assert empty[2:] == own
    local = summary_lines(planned_in(folder, papers=300, executor="local"), None)
    assert "Not a SLURM run" in local[1] and "sacct" not in local[1]
    assert local[2:] == own
    (folder / MODEL / "manifest.json").touch()
    assert "    shards      1 of 1 done, merged" in summary_lines(record, None)


def test_summary_of_a_run_that_failed_before_the_filter_had_finished(folder: Path) -> None:
    lines = summary_lines(record_in(folder, papers=None), None)
    assert lines[4:] == ["    shards      0 of an unknown number done, not merged"]


def test_efficiency_counts_lost_attempts_but_only_shards_in_the_history(folder: Path) -> None:
    record = planned_in(folder)
    finish(record, 0, START + 20, seconds=6)
    # Of an earlier run.
    finish(record, 1, START - 900, seconds=500)
    done = read_state(record, MODEL, None).done
    history = [
        attempt(0, "TIMEOUT", 10),
        attempt(0, "COMPLETED", 10),
        attempt(2, "RUNNING", 1000),
    ]
    assert efficiency(history, done) == pytest.approx(0.3)
    assert efficiency([], done) is None
    assert efficiency([attempt(0, "COMPLETED", 0)], done) is None
    assert efficiency([attempt(0, "FAILED", 10)], done) is None


def test_running_jobs_are_not_lost_and_a_retried_shard_is_listed_once(folder: Path) -> None:
    history = [
        attempt(0, "FAILED", 3600),
        attempt(0, "TIMEOUT", 3600),
        attempt(1, "RUNNING", 3600),
        attempt(2, "COMPLETED", 3600),
    ]
    text = "\n".join(summary_lines(planned_in(folder), history))
    assert "GPU-hours   4.00, of which 2.00 in attempts that did not complete" in text
    assert "Done after" not in text
    assert text.count(f"{LOOKUP}-00000  FAILED") == 1


def test_attempts_of_another_model_do_not_count(folder: Path) -> None:
    record = planned_in(folder, models=[MODEL, "other"])
    lines = summary_lines(record, [attempt(0, "FAILED")])
    assert "attempts" not in "\n".join(lines[lines.index("  other") :])


def test_a_log_shows_that_a_shard_was_attempted(folder: Path) -> None:
    record = planned_in(folder, papers=600)
    log = record.log_of(MODEL, shard_name(1))
    log.parent.mkdir(parents=True)
    log.write_bytes(b"t ERROR No GPU on node1. \xff\n")
    assert summary_lines(record, None)[-5:] == [
        "    Not done",
        f"      {LOOKUP}-00001  attempted",
        "             No GPU on node1. \ufffd",
        f"             {log}",
        f"    Never attempted: {LOOKUP}-00000",
    ]


def test_the_last_error_of_a_long_log(folder: Path) -> None:
    record = planned_in(folder, papers=300)
    log = record.log_of(MODEL, shard_name(0))
    log.parent.mkdir(parents=True)
    log.write_text("t ERROR old\n" + "t INFO line\n" * 100_000 + f"t ERROR {'x' * 1000}\n")
    assert f"             {'x' * 300}" in summary_lines(record, None)
    log.write_text("t ERROR old\n" + "t INFO line\n" * 100_000)
    assert "old" not in "\n".join(summary_lines(record, None))


def test_waiting_jobs_are_not_attempts(folder: Path) -> None:
    history = [attempt(0, "PENDING", 0, 0), attempt(1, "FAILED")]
    text = "\n".join(summary_lines(planned_in(folder), history))
    assert "attempts    1 for 1 shard(s): 1 FAILED" in text
    assert f"{LOOKUP}-00000  PENDING (job 7)" in text


def test_shards_without_a_rate_do_not_count_as_slow(folder: Path) -> None:
    """Their job found all vectors in the store, or vectors of version 0.1.0 were adopted without their time."""
    record = planned_in(folder, papers=900)
    finish(record, 0, START + 20)
    report(record, 1, START + 20, papers=300, embedded=0)
    finish(record, 2, START + 20, seconds=0.0)
    text = "\n".join(summary_lines(record, None))
    assert "papers/s    minimum 150, median 150, maximum 150 per shard" in text


# --- The commands ------------------------------------------------------------------------------------


def run(cwd: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in folder.rglob("*")}


def test_status_of_all_corpora_from_the_working_directory(
    commands: Commands, tmp_path: Path
) -> None:
    commands(squeue=prints(SQUEUE.replace("WORKDIR", str(tmp_path))))
    planned_in(tmp_path / "results/arxiv", models=[MODEL, "my_model.v1"])
    planned_in(tmp_path / "results/demo", executor="local", models=["minilm"])
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    before = contents(tmp_path)
    done = run(tmp_path, "show_status.py")
    assert contents(tmp_path) == before
    assert (done.returncode, done.stderr) == (0, "")
    blocks = done.stdout.split("\n\n")
    assert blocks[0].startswith("results/arxiv: SLURM jobs, started 2026-11-23 09:36:00")
    assert f"{LOOKUP}-00003  job 1743603 on node2, 1:18, 0 of 300 papers" in blocks[1]
    assert "7 waiting (1 queued)" in blocks[2]
    assert "\n\nresults/demo: local jobs" in done.stdout
    one = run(tmp_path, "show_status.py", "--results", "results/demo")
    assert one.stdout.startswith("results/demo: local jobs")
    assert "arxiv" not in one.stdout


@pytest.mark.parametrize(
    "command", [["show_status.py"], ["show_summary.py", "--results", "results/arxiv"]]
)
def test_the_reader_may_end_first(command: list[str], commands: Commands, tmp_path: Path) -> None:
    """As in ``make status | head -1``."""
    commands(squeue="exit 0", sacct="exit 0")
    planned_in(tmp_path / "results/arxiv")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            [sys.executable, str(SCRIPTS / command[0]), *command[1:]],
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_status_before_the_first_run(tmp_path: Path) -> None:
    for arguments in ([], ["--results", "results/none"]):
        done = run(tmp_path, "show_status.py", *arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and "run.json" in done.stderr


def test_status_shows_the_others_beside_a_damaged_run_record(tmp_path: Path) -> None:
    planned_in(tmp_path / "results/a")
    planned_in(tmp_path / "results/b")
    (tmp_path / "results/a/run.json").write_text("{")
    done = run(tmp_path, "show_status.py")
    assert done.returncode == 1
    assert "results/a/run.json" in done.stderr
    assert "results/b" in done.stdout


def test_summary_command(commands: Commands, tmp_path: Path) -> None:
    record = planned_in(tmp_path / "results/arxiv")
    finish(record, 0, START + 20)
    asked = tmp_path / "asked"
    commands(sacct=prints(SACCT.replace("WORKDIR", str(tmp_path)), asked))
    done = run(tmp_path, "show_summary.py", "--results", "results/arxiv")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"      {LOOKUP}-00002  OUT_OF_MEMORY (job 1743602 on node2)\n" in done.stdout
    log = f"logs/arxiv/{MODEL}/embed_shard/{LOOKUP}-00002.log"
    assert f"             {log} (was not written)\n" in done.stdout
    assert "--starttime 2026-11-23T09:36:00" in asked.read_text()
    run(tmp_path, "show_summary.py", "--results", "results/arxiv", "--since", "2026-01-31")
    assert "--starttime 2026-01-31" in asked.read_text()
    missing = run(tmp_path, "show_summary.py", "--results", "results/none")
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1
