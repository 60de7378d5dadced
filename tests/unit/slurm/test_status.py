"""What show_status and show_summary tell, from files made by hand and from what a real SLURM 22.05 printed."""

import datetime
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.progress import duration
from arxiv_embeddings.slurm import jobs
from arxiv_embeddings.slurm.jobs import (
    Attempt,
    QueuedJob,
    command_output,
    job_history,
    parse_sacct,
    parse_squeue,
    queued_jobs,
)
from arxiv_embeddings.slurm.run_record import Plan, read_plan
from arxiv_embeddings.slurm.shard_states import read_state, whole_rows
from arxiv_embeddings.slurm.status import efficiency, status_lines, summary_lines

SCRIPTS = Path(jobs.__file__).parents[2]
MODEL = "qwen3-embedding-0.6b"
STARTED = datetime.datetime(2026, 11, 23, 9, 36)
START = STARTED.timestamp()

# JobID|JobName|State|Comment|Submit|Start|ElapsedRaw|AllocTRES|NodeList|ExitCode|WorkDir|SubmitLine, recorded.
# Without AccountingStoreFlags=job_comment the comment is empty. WorkDir and the submit line are cut down.
NAME = "arxiv-embeddings_0c7e6b5e-28a4-4f0e-9d5e-1f6a3bb6f3a1"
TRES = "billing=1,cpu=1,gres/gpu=1,mem=500M,node=1"
SBATCH = f"sbatch --parsable --job-name {NAME} --comment rule_embed_shard_wildcards_"
SACCT = f"""\
1743600|{NAME}|COMPLETED||2026-11-23T09:36:14|2026-11-23T09:36:16|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}{MODEL}_00000 --partition gpu --wrap sleep 3
1743601|{NAME}|FAILED||2026-11-23T09:36:14|2026-11-23T09:36:16|0|{TRES}|node1|3:0|WORKDIR|{SBATCH}{MODEL}_00001 --partition gpu --wrap exit 3
1743602|{NAME}|OUT_OF_MEMORY||2026-11-23T09:36:14|2026-11-23T09:36:16|1|{TRES}|node2|0:125|WORKDIR|{SBATCH}{MODEL}_00002 --mem 50 --wrap python3 -c "x=bytearray(300<<20)"
1743603|{NAME}|TIMEOUT||2026-11-23T09:36:14|2026-11-23T09:36:16|87|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_00003 --time 1 --wrap sleep 200 | tee a|b
1743604|{NAME}|CANCELLED by 0||2026-11-23T09:36:14|2026-11-23T09:36:17|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}{MODEL}_00004 --wrap sleep 200
1743605|{NAME}|REQUEUED||2026-11-23T09:36:20|2026-11-23T09:36:20|3|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_00005 --requeue --wrap sleep 25
1743605|{NAME}|COMPLETED||2026-11-23T09:36:23|2026-11-23T09:36:38|25|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_00005 --requeue --wrap sleep 25
1743610|{NAME}|PREEMPTED||2026-11-23T09:38:26|2026-11-23T09:38:27|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}bge-m3_00010 --requeue --wrap sleep 40
1743611|{NAME}|NODE_FAIL||2026-11-23T09:38:26|2026-11-23T09:38:27|40|{TRES}|node1|0:0|WORKDIR|{SBATCH}bge-m3_00011 --requeue --wrap sleep 40
1743614|wrap|COMPLETED||2026-11-23T09:38:29|2026-11-23T09:38:30|3|{TRES}|node1|0:0|WORKDIR|sbatch --parsable --partition urgent --wrap sleep 3
"""
# As squeue --format "%i|%T|%M|%N|%V|%Z|%k" printed it.
SQUEUE = """\
1743606|PENDING|0:00||2026-11-23T09:36:24|WORKDIR|rule_embed_shard_wildcards_my_model.v1_00006
1743603|RUNNING|1:18|node2|2026-11-23T09:36:14|WORKDIR|rule_embed_shard_wildcards_qwen3-embedding-0.6b_00003
1743614|RUNNING|0:01|node1|2026-11-23T09:38:29|WORKDIR|(null)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results/arxiv"
    path.mkdir(parents=True)
    return path


def plan_in(folder: Path, **changes: Any) -> Plan:
    content = {
        "papers": 2100,
        "shard_size": 300,
        "models": [MODEL],
        "started": STARTED.isoformat(timespec="seconds"),
        "executor": "slurm",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(content | changes))
    return read_plan(folder)


def finish(plan: Plan, shard: str, ended: float, model: str = MODEL, **manifest: Any) -> Path:
    """Make the files of a shard that is done."""
    shards = plan.folder / model / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    start = int(shard) * plan.shard_size
    (shards / f"{shard}.npy").touch()
    path = shards / f"{shard}.json"
    content = {
        "start": start,
        "stop": start + plan.shard_size,
        "papers_resumed": 0,
        "seconds": 2.0,
        "papers_per_second": 150.0,
        "tokens_per_second": 30_000.0,
    }
    path.write_text(json.dumps(content | manifest))
    os.utime(path, (ended, ended))
    return path


def chunk(plan: Plan, shard: str, key: str, rows: int, at: float, model: str = MODEL) -> Path:
    """Make a finished chunk of a shard."""
    chunks = plan.folder / model / "shards" / f"{shard}.chunks"
    chunks.mkdir(parents=True, exist_ok=True)
    path = chunks / f"{key}-sum.npy"
    np.save(path, np.zeros((rows, 4), np.float32))
    os.utime(path, (at, at))
    return path


def queued(shard: str, state: str, model: str = MODEL, job: str = "7") -> QueuedJob:
    return QueuedJob(job, state, "1:18", "node2", "2026-11-23T09:36:14", "", model, shard)


def attempt(shard: str, state: str, elapsed: float = 10, gpus: int = 1) -> Attempt:
    return Attempt(
        "7", state, "2026-11-23T09:36:14", elapsed, gpus, "node1", "0:0", "", MODEL, shard
    )


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins of SLURM's commands, which are not found elsewhere."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    program(path, "squeue", "exit 1")
    program(path, "sacct", "exit 1")
    return path


# --- SLURM's output ----------------------------------------------------------------------------------


def test_sacct_tells_how_each_attempt_ended() -> None:
    attempts = [(one.model, one.shard, one.ended) for one in parse_sacct(SACCT)]
    assert attempts == [
        (MODEL, "00000", "COMPLETED"),
        (MODEL, "00001", "FAILED with exit code 3"),
        (MODEL, "00002", "OUT_OF_MEMORY"),
        (MODEL, "00003", "TIMEOUT after 1 min 27 s"),
        (MODEL, "00004", "CANCELLED"),
        (MODEL, "00005", "REQUEUED"),
        (MODEL, "00005", "COMPLETED"),
        ("bge-m3", "00010", "PREEMPTED"),
        ("bge-m3", "00011", "NODE_FAIL on node1"),
    ]


def test_comment_of_the_accounting_is_taken_where_a_site_stores_it() -> None:
    line = f"7|{NAME}|COMPLETED|rule_embed_shard_wildcards_a_b_00001|t|t|3|{TRES}|node1|0:0|/w"
    found = parse_sacct(line)
    assert [(one.model, one.shard) for one in found] == [("a_b", "00001")]


@pytest.mark.parametrize("label", ["my_model.v1", "a_00001", "_-.", "a-b_c.d_2", "7"])
def test_labels_with_dots_dashes_and_underscores(label: str) -> None:
    comment = f"rule_embed_shard_wildcards_{label}_00012"
    in_queue = parse_squeue(f"1|RUNNING|0:04|node1|t|/w|{comment}")
    by_submit_line = parse_sacct(
        f"1|n|RUNNING||t|t|3|{TRES}|n|0:0|/w|sbatch --comment {comment} -p x"
    )
    quoted = parse_sacct(f"1|n|RUNNING||t|t|3|{TRES}|n|0:0|/w|sbatch --comment='{comment}'")
    for found in (in_queue, by_submit_line, quoted):
        assert [(job.model, job.shard) for job in found] == [(label, "00012")]


def test_jobs_of_other_rules_and_broken_lines_are_left_out() -> None:
    others = ["rule_merge_shards_wildcards_m", "rule_embed_shard_wildcards_m_", "", "(null)", "x"]
    assert not parse_squeue("\n".join(f"1|RUNNING|0:04|n|t|/w|{other}" for other in others))
    assert not parse_sacct(
        "\n".join(f"1|n|FAILED|{other}|t|t|3|{TRES}|n|0:0|/w|" for other in others)
    )
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
    comment = "rule_embed_shard_wildcards_m_00000"
    (one,) = parse_sacct(f"1|n|COMPLETED|{comment}|t|t|1800|{tres}|n|0:0|/w|")
    assert one.gpu_hours == gpus / 2


def test_squeue_line_with_bars_in_the_folder() -> None:
    jobs = parse_squeue("1|RUNNING|1-02:03:04|node1|t|/a|b|rule_embed_shard_wildcards_m_00000")
    assert jobs == [QueuedJob("1", "RUNNING", "1-02:03:04", "node1", "t", "/a|b", "m", "00000")]


def test_commands_that_are_absent_or_fail_or_hang(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SECONDS_FOR_A_COMMAND", 0.2)
    program(commands, "hang", "exec sleep 30")
    program(commands, "fail", "echo half; exit 1")
    program(commands, "works", "printf 'a\\377b'")
    assert command_output(["nowhere-to-be-found"]) is None
    assert command_output(["hang"]) is None
    assert command_output(["fail"]) is None
    assert command_output(["works"]) == "a\ufffdb"


def test_history_is_of_this_working_directory(commands: Path, folder: Path, tmp_path: Path) -> None:
    plan = plan_in(folder, models=[MODEL, "bge-m3"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for workdir, found in ((tmp_path, 9), (tmp_path / "link", 9), (elsewhere, 0), ("/not/here", 9)):
        (commands / "text").write_text(SACCT.replace("WORKDIR", str(workdir)))
        program(commands, "sacct", f'echo "$@" > {commands}/asked; cat {commands}/text')
        history = job_history(plan)
        assert history is not None and len(history) == found
    asked = (commands / "asked").read_text()
    assert "--starttime 2026-11-23T09:36:00" in asked
    assert "--duplicates" in asked
    assert f"--user {os.getuid()}" in asked
    job_history(plan, since="2026-01-31")
    assert "--starttime 2026-01-31" in (commands / "asked").read_text()


def test_history_without_submit_lines(commands: Path, folder: Path) -> None:
    plan = plan_in(folder, models=["m"])
    line = f"7|{NAME}|COMPLETED|rule_embed_shard_wildcards_m_00001|t|t|3|{TRES}|n|0:0|"
    program(commands, "sacct", f"case \"$*\" in *SubmitLine*) exit 1;; esac; echo '{line}'")
    history = job_history(plan)
    assert history is not None and [one.shard for one in history] == ["00001"]


def test_no_answer_is_not_no_job(commands: Path, folder: Path) -> None:
    plan = plan_in(folder)
    assert queued_jobs(plan) is None
    assert job_history(plan) is None
    program(commands, "squeue", "true")
    program(commands, "sacct", "true")
    assert queued_jobs(plan) == []
    assert job_history(plan) == []
    local = plan_in(folder, executor="local")
    assert queued_jobs(local) is None
    assert job_history(local) is None


def test_corpora_that_share_a_model(commands: Path, tmp_path: Path) -> None:
    earlier = plan_in(tmp_path / "results/demo", started="2026-11-23T09:00:00")
    later = plan_in(tmp_path / "results/arxiv")  # 09:36:00; the job is of 09:36:14
    latest = plan_in(tmp_path / "results/third", started="2026-11-23T09:50:00")
    (commands / "text").write_text(SQUEUE.replace("WORKDIR", str(tmp_path)))
    program(commands, "squeue", f"cat {commands}/text")
    assert [len(queued_jobs(plan) or []) for plan in (earlier, later, latest)] == [0, 1, 0]
    # Its run was started again while the job went on.
    (tmp_path / "results/demo/plan.json").unlink()
    later = plan_in(tmp_path / "results/arxiv", started="2026-11-23T09:40:00")
    assert len(queued_jobs(later) or []) == 1


# --- The results folder ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"papers": 1}']
    + [
        json.dumps(
            {
                "papers": 1,
                "shard_size": 1,
                "models": [],
                "started": "2026-11-23",
                "executor": "slurm",
            }
            | wrong
        )
        for wrong in ({"papers": "x"}, {"shard_size": 0}, {"started": "now"}, {"models": None})
    ],
)
def test_damaged_plan_is_one_line(text: str, folder: Path) -> None:
    (folder / "plan.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_plan(folder)
    assert "plan.json" in str(caught.value) and "\n" not in str(caught.value)


def test_all_papers_are_known_after_the_filter(folder: Path) -> None:
    assert plan_in(folder, papers=None).papers is None
    (folder / "filter.json").write_text("{")
    assert plan_in(folder, papers=None).papers is None
    (folder / "filter.json").write_text('{"snapshot": {"bytes": 1}, "records": {"kept": 450}}')
    plan = plan_in(folder, papers=None)
    assert plan.papers == 450
    assert read_state(plan, MODEL, None).planned == 2


def test_done_needs_both_files_of_the_planned_papers(folder: Path) -> None:
    plan = plan_in(folder)
    finish(plan, "00000", START + 10)
    finish(plan, "00001", START + 10).unlink()  # vectors alone
    finish(plan, "00002", START + 10).with_suffix(".npy").unlink()
    finish(plan, "00003", START + 10, start=0, stop=100)  # of another shard size
    finish(plan, "00007", START + 10)  # of a larger sample
    state = read_state(plan, MODEL, [])
    assert [shard.name for shard in state.done] == ["00000"]
    assert state.papers_done == 300
    assert (state.planned, len(state.running), len(state.waiting)) == (7, 0, 6)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '{"start": "a", "seconds": []}', "\xff"])
def test_manifest_that_cannot_be_read(text: str, folder: Path) -> None:
    plan = plan_in(folder)
    finish(plan, "00000", START + 10).write_text(text, encoding="latin-1")
    state = read_state(plan, MODEL, [])
    assert state.papers_done == 300
    if not text.startswith('{"'):
        told = "manifest not readable"
        assert told in "\n".join(status_lines(plan, []))
        assert told in "\n".join(summary_lines(plan, []))


def test_chunks_are_counted_by_their_headers(folder: Path) -> None:
    plan = plan_in(folder)
    chunk(plan, "00000", "a", 100, START + 5)
    chunk(plan, "00000", "b", 60, START + 6)
    again = chunk(plan, "00000", "b", 60, START + 6)
    again.rename(again.with_name("b-othersum.npy"))
    chunk(plan, "00000", "b", 60, START + 6)
    cut = chunk(plan, "00000", "c", 50, START + 7)
    cut.write_bytes(cut.read_bytes()[:-1])
    partial = chunk(plan, "00000", "d", 50, START + 7)
    partial.rename(partial.with_name(".d-sum.npy.host-1.partial"))
    (cut.parent / "e-sum.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff")
    (cut.parent / "f-sum.npy").mkdir()
    (shard,) = read_state(plan, MODEL, None).running
    assert shard.chunk_papers == 160
    assert shard.last_chunk == START + 6


def test_chunks_are_no_more_than_the_shard(folder: Path) -> None:
    plan = plan_in(folder, papers=350)
    for key in "abc":  # of other settings
        chunk(plan, "00001", key, 30, START + 5)
    assert read_state(plan, MODEL, None).papers_done == 50


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUM", b"\x93NUMPY\x03\x00", b"\x93NUMPY\x01\x00\x06\x00{1:2}\n", b"x" * 99],
)
def test_rows_of_damaged_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.npy"
    path.write_bytes(content)
    assert whole_rows(path) == 0
    assert whole_rows(tmp_path / "missing.npy") == 0
    np.save(path, np.zeros((5, 2), np.float32))
    assert whole_rows(path) == 5


def test_what_runs_is_told_by_squeue(folder: Path) -> None:
    plan = plan_in(folder)
    chunk(plan, "00001", "a", 100, START + 5)  # left by a job that died
    jobs = [
        queued("00002", "RUNNING"),
        queued("00003", "PENDING"),
        queued("00004", "RUNNING", model="other"),
    ]
    state = read_state(plan, MODEL, jobs)
    assert [shard.name for shard in state.running] == ["00002"]
    assert state.papers_done == 100
    lines = "\n".join(status_lines(plan, jobs))
    assert "0 of 7 done, 1 running, 6 waiting (1 queued, 1 begun)" in lines
    assert "00002  job 7 on node2, 1:18, 0 of 300 papers" in lines


def test_what_runs_is_told_by_files_where_squeue_is_silent(folder: Path) -> None:
    plan = plan_in(folder)
    chunk(plan, "00001", "a", 100, START + 5)
    shards = folder / MODEL / "shards"
    (shards / ".00002.npy.node1-17.partial").touch()
    (shards / ".00003.json.node1-17.partial").touch()
    finish(plan, "00000", START + 1)
    (shards / "00000.chunks").mkdir()  # about to be removed
    state = read_state(plan, MODEL, None)
    assert [shard.name for shard in state.running] == ["00001", "00002"]
    assert "squeue does not answer" in "\n".join(status_lines(plan, None))
    assert "squeue" not in "\n".join(status_lines(plan_in(folder, executor="local"), None))


def test_rates_and_eta(folder: Path) -> None:
    plan = plan_in(folder)
    finish(plan, "00000", START - 1000)  # by an earlier run
    finish(plan, "00001", START + 110, seconds=10)  # 100 s in the queue
    finish(plan, "00002", START + 120, seconds=8)
    chunk(plan, "00003", "a", 90, START + 130)
    chunk(plan, "00004", "a", 40, START - 900)
    state = read_state(plan, MODEL, None, now=START + 150)
    assert state.papers_done == 1030
    assert state.run_rate == pytest.approx(690 / 150)
    assert state.recent_rate == pytest.approx(690 / 30)
    assert state.eta == pytest.approx((2100 - 1030) / 23)
    assert "ETA      47 s (Mon 09:39)" in "\n".join(status_lines(plan, None, START + 150))
    stalled = read_state(plan, MODEL, None, now=START + 130 + 690)
    assert stalled.recent_rate == pytest.approx(1)


def test_rate_of_the_last_shards_of_many(folder: Path) -> None:
    plan = plan_in(folder, papers=300 * 50)
    for number in range(30):  # the first ten were slow
        ended = START + 100 * (number + 1) if number < 10 else START + 1000 + 10 * (number - 9)
        finish(plan, f"{number:05d}", ended)
    chunk(plan, "00040", "a", 250, START + 1200)
    state = read_state(plan, MODEL, None, now=START + 1200)
    assert state.recent_rate == pytest.approx(30)
    assert state.eta == pytest.approx((20 * 300 - 250) / 30)
    assert read_state(plan, MODEL, None, now=START + 7200).recent_rate == pytest.approx(1)


def test_nothing_finished_yet(folder: Path) -> None:
    plan = plan_in(folder)
    text = "\n".join(status_lines(plan, [], START + 5))
    assert "0 of 7 done, 0 running, 7 waiting" in text
    assert "nothing finished in this run yet" in text
    assert "ETA      not known yet" in text
    assert "no shard's job runs or waits" in text
    text = "\n".join(status_lines(plan_in(folder, papers=None), [], START - 5))
    assert "known when the papers are filtered" in text


def test_everything_done(folder: Path) -> None:
    plan = plan_in(folder, papers=300)
    finish(plan, "00000", START + 5)
    assert "all shards are done, not merged yet" in "\n".join(status_lines(plan, []))
    (folder / MODEL / "manifest.json").touch()
    lines = status_lines(plan, [])
    assert "all shards are done, merged" in lines[-1]
    assert not any("ETA" in line for line in lines)


# --- The summary -------------------------------------------------------------------------------------


def test_summary_of_a_run_with_every_fault(folder: Path) -> None:
    plan = plan_in(folder)
    finish(
        plan, "00000", START + 20, seconds=2, papers_per_second=150.0, tokens_per_second=31_000.0
    )
    finish(plan, "00005", START + 70, seconds=20, papers_per_second=15.0, tokens_per_second=3_000.0)
    log = plan.log_of(MODEL, "00001")
    log.parent.mkdir(parents=True)
    log.write_text("t INFO begun\nt ERROR first\nt ERROR The vectors are NaN.\nt INFO end\n")
    history = [one for one in parse_sacct(SACCT) if one.model == MODEL]
    lines = summary_lines(plan, history)
    text = "\n".join(line.strip() for line in lines)
    assert "shards      2 of 7 done, not merged" in text
    assert (
        "attempts    7 at 6 shard(s): 1 CANCELLED, 2 COMPLETED, 1 FAILED, 1 OUT_OF_MEMORY, "
        "1 REQUEUED, 1 TIMEOUT" in text
    )
    assert "GPU-hours   0.03, of them 0.03 in attempts that did not complete" in text
    assert "efficiency  18%" in text  # 22 s of 122 s
    assert "papers/s    15 min, 82.5 median, 150 max a shard" in text
    assert "tokens/s    3,000 min, 17,000 median, 31,000 max a shard" in text
    assert "00005  REQUEUED (job 1743605 on node2), then COMPLETED (job 1743605 on node2)" in text
    assert (
        f"00001  FAILED with exit code 3 (job 1743601 on node1)\nThe vectors are NaN.\n{log}"
        in text
    )
    assert "00002  OUT_OF_MEMORY (job 1743602 on node2)" in text
    assert "00003  TIMEOUT after 1 min 27 s (job 1743603 on node2)" in text
    assert (
        f"00004  CANCELLED (job 1743604 on node1)\n{plan.log_of(MODEL, '00004')} (was not" in text
    )
    assert "Never tried: 00006" in text


def test_summary_from_the_manifests_alone(folder: Path) -> None:
    plan = plan_in(folder, papers=300)
    finish(plan, "00000", START + 20)
    silent = "\n".join(summary_lines(plan, None))
    assert "sacct does not answer" in silent
    assert "manifests alone" in silent
    assert "1 of 1 done" in silent
    assert "150 median" in silent
    assert "GPU-hours   " not in silent
    local = "\n".join(summary_lines(plan_in(folder, executor="local"), None))
    assert "No SLURM jobs" in local
    assert "sacct" not in local
    assert "lists no shard's job" in "\n".join(summary_lines(plan, []))


def test_efficiency_counts_lost_attempts_and_only_shards_of_the_history(folder: Path) -> None:
    plan = plan_in(folder)
    finish(plan, "00000", START + 20, seconds=6)
    finish(plan, "00001", START - 900, seconds=500)  # by an earlier run
    done = read_state(plan, MODEL, None).done
    history = [
        attempt("00000", "TIMEOUT", 10),
        attempt("00000", "COMPLETED", 10),
        attempt("00002", "RUNNING", 1000),
    ]
    assert efficiency(history, done) == pytest.approx(0.3)
    assert efficiency([], done) is None
    assert efficiency([attempt("00000", "COMPLETED", 0)], done) is None


def test_running_jobs_are_not_lost_and_retried_shards_not_done_are_told_once(folder: Path) -> None:
    history = [
        attempt("00000", "FAILED", 3600),
        attempt("00000", "TIMEOUT", 3600),
        attempt("00001", "RUNNING", 3600),
    ]
    text = "\n".join(summary_lines(plan_in(folder), history))
    assert "GPU-hours   3.00, of them 2.00 in attempts" in text
    assert "Done after" not in text
    assert text.count("00000  FAILED") == 1


def test_shard_that_was_tried_is_known_by_its_log(folder: Path) -> None:
    plan = plan_in(folder, papers=600)
    log = plan.log_of(MODEL, "00001")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"t ERROR No GPU on node1. \xff\n")
    text = "\n".join(summary_lines(plan, None))
    assert "00001  tried" in text
    assert "No GPU on node1." in text
    assert "Never tried: 00000" in text


def test_waiting_jobs_are_no_attempts(folder: Path) -> None:
    text = "\n".join(
        summary_lines(
            plan_in(folder), [attempt("00000", "PENDING", 0, 0), attempt("00001", "FAILED")]
        )
    )
    assert "attempts    1 at 1 shard(s): 1 FAILED" in text
    assert "00000  PENDING (job 7)" in text


def test_shards_taken_from_chunks_do_not_count_as_slow(folder: Path) -> None:
    plan = plan_in(folder, papers=600)
    finish(plan, "00000", START + 20, papers_per_second=150.0)
    finish(plan, "00001", START + 20, papers_per_second=0.0, papers_resumed=300)
    assert "150 min, 150 median, 150 max" in "\n".join(summary_lines(plan, None))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (12000, "3 h 20 min"),
        (190000, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# --- The commands ------------------------------------------------------------------------------------


def run(cwd: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in folder.rglob("*")}


def test_status_of_all_corpora_from_the_working_directory(commands: Path, tmp_path: Path) -> None:
    program(commands, "squeue", f"cat {commands}/text")
    (commands / "text").write_text(SQUEUE.replace("WORKDIR", str(tmp_path)))
    plan_in(tmp_path / "results/arxiv", models=[MODEL, "my_model.v1"])
    plan_in(tmp_path / "results/demo", executor="local", models=["minilm"])
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    before = contents(tmp_path)
    done = run(tmp_path, "show_status.py")
    assert contents(tmp_path) == before  # it only reads
    assert (done.returncode, done.stderr) == (0, "")
    blocks = done.stdout.split("\n\n")
    assert blocks[0].startswith("results/arxiv: SLURM jobs, started 2026-11-23 09:36:00")
    assert "00003  job 1743603 on node2, 1:18, 0 of 300 papers" in blocks[1]
    assert "7 waiting (1 queued)" in blocks[2]
    assert "results/demo: local jobs" in done.stdout
    one = run(tmp_path, "show_status.py", "--results", "results/demo")
    assert "arxiv" not in one.stdout


def test_status_before_the_first_run(tmp_path: Path) -> None:
    for arguments in ([], ["--results", "results/none"]):
        done = run(tmp_path, "show_status.py", *arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and "plan.json" in done.stderr


def test_status_shows_the_others_beside_a_damaged_plan(commands: Path, tmp_path: Path) -> None:
    plan_in(tmp_path / "results/a")
    plan_in(tmp_path / "results/b")
    (tmp_path / "results/a/plan.json").write_text("{")
    done = run(tmp_path, "show_status.py")
    assert done.returncode == 1
    assert "results/a/plan.json" in done.stderr
    assert "results/b" in done.stdout


def test_summary_command(commands: Path, tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "results/arxiv")
    finish(plan, "00000", START + 20)
    program(commands, "sacct", f"cat {commands}/text")
    (commands / "text").write_text(SACCT.replace("WORKDIR", str(tmp_path)))
    done = run(tmp_path, "show_summary.py", "--results", "results/arxiv")
    assert (done.returncode, done.stderr) == (0, "")
    expected = f"""\
        00002  OUT_OF_MEMORY (job 1743602 on node2)
               logs/arxiv/{MODEL}/embed_shard/00002.log (was not written)
    """
    assert textwrap.dedent(expected).strip() in textwrap.dedent(
        done.stdout.replace("\n      ", "\n")
    )
    missing = run(tmp_path, "show_summary.py", "--results", "results/none")
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1
