"""What show_status.py and show_summary.py print of a run."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from arxiv_embeddings.slurm import status
from arxiv_embeddings.slurm.jobs import parse_sacct
from arxiv_embeddings.slurm.shard_states import read_state
from arxiv_embeddings.slurm.status import efficiency, status_lines, summary_lines
from support.slurm_runs import (
    MODEL,
    SACCT,
    SQUEUE,
    START,
    attempt,
    chunk,
    finish,
    prints,
    queued,
    record_in,
)

SCRIPTS = Path(status.__file__).parents[2]
Commands = Callable[..., None]


# --- The progress ------------------------------------------------------------------------------------


def test_status_of_a_run_with_jobs(folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START + 10)
    chunk(record, "00001", "a", rows=1, written=START + 5)
    chunk(record, "00002", "a", rows=60, written=START + 15)
    jobs = [queued("00002", "RUNNING"), queued("00002", "PENDING"), queued("00003", "PENDING")]
    assert status_lines(record, jobs, START + 20) == [
        f"{folder}: SLURM jobs, started 2026-11-23 09:36:00, 20 s ago",
        "",
        f"  {MODEL}",
        "    shards   1 of 7 done, 1 running, 5 waiting (1 queued, 1 begun)",
        "    papers   361 of 2,100 (17%)",
        "    running  00002  job 7 on node2, 1:18, also job 7, 60 of 300 papers, last chunk 5 s ago",
        "    papers/s 51.6 recently, 18.1 over the run",
        "    ETA      34 s (Mon 09:36)",
    ]


def test_status_says_where_squeue_does_not_answer(folder: Path) -> None:
    record = record_in(folder)
    (folder / MODEL / "shards").mkdir(parents=True)
    (folder / MODEL / "shards/.00002.npy.node1-17.partial").touch()
    lines = status_lines(record, None, START + 20)
    assert (
        lines[1] == "  squeue does not answer: running shards are detected from their files alone"
    )
    assert "    running  00002  0 of 300 papers" in lines
    local = status_lines(record_in(folder, executor="local"), None)
    assert ": local jobs, started " in local[0]
    assert not any("squeue does not answer" in line for line in local)


def test_status_before_anything_is_finished(folder: Path) -> None:
    lines = status_lines(record_in(folder), [], START + 5)
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
        "    shards   0 done, 0 running; the total is known once filtering has finished",
        "    papers   0",
    ]


def test_status_of_a_finished_run(folder: Path) -> None:
    record = record_in(folder, papers=300)
    finish(record, "00000", START + 5)
    assert status_lines(record, [])[-1] == "    all shards are done, not merged yet"
    (folder / MODEL / "manifest.json").touch()
    lines = status_lines(record, [])
    assert lines[-1] == "    all shards are done, merged"
    assert not any("ETA" in line for line in lines)


def test_a_manifest_that_cannot_be_read_is_a_warning(folder: Path) -> None:
    record = record_in(folder, papers=300 * 12)
    for number in range(12):
        finish(record, f"{number:05d}", START + 10).write_text("{")
    named = ", ".join(f"{number:05d}" for number in range(10))
    for lines in (status_lines(record, []), summary_lines(record, [])):
        (line,) = (line for line in lines if "warning" in line)
        assert line.split(maxsplit=1)[1].startswith("manifest not readable")
        assert line.endswith(f": {named} and 2 more")


# --- The summary -------------------------------------------------------------------------------------


def test_summary_of_a_run_with_every_fault(folder: Path) -> None:
    record = record_in(folder)
    rates = {"papers_per_second": 150.0, "tokens_per_second": 31_000.0}
    finish(record, "00000", START + 20, seconds=2, **rates)
    rates = {"papers_per_second": 15.0, "tokens_per_second": 3_000.0}
    finish(record, "00005", START + 70, seconds=20, **rates)
    log = record.log_of(MODEL, "00001")
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
        "    tokens/s    minimum 3,000, median 17,000, maximum 31,000 per shard",
        "    Done after more than one attempt",
        "      00005  REQUEUED (job 1743605 on node2), then COMPLETED (job 1743605 on node2)",
        "    Not done",
        "      00001  FAILED with exit code 3 (job 1743601 on node1)",
        "             The vectors are NaN.",
        f"             {log}",
        "      00002  OUT_OF_MEMORY (job 1743602 on node2)",
        f"             {record.log_of(MODEL, '00002')} (was not written)",
        "      00003  TIMEOUT after 1 min 27 s (job 1743603 on node2)",
        f"             {record.log_of(MODEL, '00003')} (was not written)",
        "      00004  CANCELLED (job 1743604 on node1)",
        f"             {record.log_of(MODEL, '00004')} (was not written)",
        "    Never attempted: 00006",
    ]


def test_summary_from_the_manifests_alone(folder: Path) -> None:
    record = record_in(folder, papers=300)
    finish(record, "00000", START + 20)
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
    local = summary_lines(record_in(folder, papers=300, executor="local"), None)
    assert "Not a SLURM run" in local[1] and "sacct" not in local[1]
    assert local[2:] == own
    (folder / MODEL / "manifest.json").touch()
    assert "    shards      1 of 1 done, merged" in summary_lines(record, None)


def test_summary_of_a_run_that_failed_before_the_filter_had_finished(folder: Path) -> None:
    lines = summary_lines(record_in(folder, papers=None), None)
    assert lines[4:] == ["    shards      0 of an unknown number done, not merged"]


def test_efficiency_counts_lost_attempts_but_only_shards_in_the_history(folder: Path) -> None:
    record = record_in(folder)
    finish(record, "00000", START + 20, seconds=6)
    # Of an earlier run.
    finish(record, "00001", START - 900, seconds=500)
    done = read_state(record, MODEL, None).done
    history = [
        attempt("00000", "TIMEOUT", 10),
        attempt("00000", "COMPLETED", 10),
        attempt("00002", "RUNNING", 1000),
    ]
    assert efficiency(history, done) == pytest.approx(0.3)
    assert efficiency([], done) is None
    assert efficiency([attempt("00000", "COMPLETED", 0)], done) is None
    assert efficiency([attempt("00000", "FAILED", 10)], done) is None


def test_running_jobs_are_not_lost_and_a_retried_shard_is_listed_once(folder: Path) -> None:
    history = [
        attempt("00000", "FAILED", 3600),
        attempt("00000", "TIMEOUT", 3600),
        attempt("00001", "RUNNING", 3600),
        attempt("00002", "COMPLETED", 3600),
    ]
    text = "\n".join(summary_lines(record_in(folder), history))
    assert "GPU-hours   4.00, of which 2.00 in attempts that did not complete" in text
    assert "Done after" not in text
    assert text.count("00000  FAILED") == 1


def test_attempts_of_another_model_do_not_count(folder: Path) -> None:
    record = record_in(folder, models=[MODEL, "other"])
    lines = summary_lines(record, [attempt("00000", "FAILED")])
    assert "attempts" not in "\n".join(lines[lines.index("  other") :])


def test_a_log_shows_that_a_shard_was_attempted(folder: Path) -> None:
    record = record_in(folder, papers=600)
    log = record.log_of(MODEL, "00001")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"t ERROR No GPU on node1. \xff\n")
    assert summary_lines(record, None)[-5:] == [
        "    Not done",
        "      00001  attempted",
        "             No GPU on node1. \ufffd",
        f"             {log}",
        "    Never attempted: 00000",
    ]


def test_the_last_error_of_a_long_log(folder: Path) -> None:
    record = record_in(folder, papers=300)
    log = record.log_of(MODEL, "00000")
    log.parent.mkdir(parents=True)
    log.write_text("t ERROR old\n" + "t INFO line\n" * 100_000 + f"t ERROR {'x' * 1000}\n")
    assert f"             {'x' * 300}" in summary_lines(record, None)
    log.write_text("t ERROR old\n" + "t INFO line\n" * 100_000)
    assert "old" not in "\n".join(summary_lines(record, None))


def test_waiting_jobs_are_not_attempts(folder: Path) -> None:
    history = [attempt("00000", "PENDING", 0, 0), attempt("00001", "FAILED")]
    text = "\n".join(summary_lines(record_in(folder), history))
    assert "attempts    1 for 1 shard(s): 1 FAILED" in text
    assert "00000  PENDING (job 7)" in text


def test_shards_resumed_from_their_chunks_do_not_count_as_slow(folder: Path) -> None:
    record = record_in(folder, papers=600)
    finish(record, "00000", START + 20, papers_per_second=150.0)
    finish(record, "00001", START + 20, papers_per_second=0.0, papers_resumed=300)
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
    record_in(tmp_path / "results/arxiv", models=[MODEL, "my_model.v1"])
    record_in(tmp_path / "results/demo", executor="local", models=["minilm"])
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    before = contents(tmp_path)
    done = run(tmp_path, "show_status.py")
    assert contents(tmp_path) == before
    assert (done.returncode, done.stderr) == (0, "")
    blocks = done.stdout.split("\n\n")
    assert blocks[0].startswith("results/arxiv: SLURM jobs, started 2026-11-23 09:36:00")
    assert "00003  job 1743603 on node2, 1:18, 0 of 300 papers" in blocks[1]
    assert "7 waiting (1 queued)" in blocks[2]
    assert "\n\nresults/demo: local jobs" in done.stdout
    one = run(tmp_path, "show_status.py", "--results", "results/demo")
    assert one.stdout.startswith("results/demo: local jobs")
    assert "arxiv" not in one.stdout


def test_status_before_the_first_run(tmp_path: Path) -> None:
    for arguments in ([], ["--results", "results/none"]):
        done = run(tmp_path, "show_status.py", *arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and "run.json" in done.stderr


def test_status_shows_the_others_beside_a_damaged_run_record(tmp_path: Path) -> None:
    record_in(tmp_path / "results/a")
    record_in(tmp_path / "results/b")
    (tmp_path / "results/a/run.json").write_text("{")
    done = run(tmp_path, "show_status.py")
    assert done.returncode == 1
    assert "results/a/run.json" in done.stderr
    assert "results/b" in done.stdout


def test_summary_command(commands: Commands, tmp_path: Path) -> None:
    record = record_in(tmp_path / "results/arxiv")
    finish(record, "00000", START + 20)
    asked = tmp_path / "asked"
    commands(sacct=prints(SACCT.replace("WORKDIR", str(tmp_path)), asked))
    done = run(tmp_path, "show_summary.py", "--results", "results/arxiv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "      00002  OUT_OF_MEMORY (job 1743602 on node2)\n" in done.stdout
    log = f"logs/arxiv/{MODEL}/embed_shard/00002.log"
    assert f"             {log} (was not written)\n" in done.stdout
    assert "--starttime 2026-11-23T09:36:00" in asked.read_text()
    run(tmp_path, "show_summary.py", "--results", "results/arxiv", "--since", "2026-01-31")
    assert "--starttime 2026-01-31" in asked.read_text()
    missing = run(tmp_path, "show_summary.py", "--results", "results/none")
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1
