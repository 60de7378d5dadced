"""The record of what a run was started to compute."""

import datetime
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.slurm.run_record import Process, other_run_records, read_run_record
from support.slurm_runs import MODEL, STARTED, record_in

CONTENT = {
    "papers": 1,
    "shard_size": 1,
    "models": [],
    "started": "2026-11-23",
    "executor": "slurm",
}


def test_what_the_run_record_says(folder: Path, tmp_path: Path) -> None:
    record = record_in(folder)
    assert (record.papers, record.shard_size, record.models) == (2100, 300, [MODEL])
    assert (record.started, record.executor) == (STARTED, "slurm")
    assert (record.corpus, record.workdir) == ("arxiv", tmp_path)
    assert record.user == str(os.getuid())
    assert record.log_of("m", "00001") == tmp_path / "logs/arxiv/m/embed_shard/00001.log"


def test_a_start_with_a_time_zone_is_read_as_local_time(folder: Path) -> None:
    started = STARTED.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
    assert record_in(folder, started=started.isoformat()).started == STARTED


def test_how_a_run_ended(folder: Path) -> None:
    of_an_earlier_version = record_in(folder)
    assert not of_an_earlier_version.is_over
    process = Process.current()
    running = record_in(folder, process=process)
    assert running.process == process
    assert not running.is_over
    ended = record_in(folder, process=process, ended="2026-11-23T10:00:00", succeeded=True)
    assert (ended.ended, ended.succeeded) == (datetime.datetime(2026, 11, 23, 10), True)
    assert ended.is_over and not ended.is_gone
    assert not record_in(folder, ended="2026-11-23T10:00:00", succeeded=False).succeeded


def test_a_killed_run_is_gone(folder: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as sleep:
        process = Process.current()._replace(
            pid=sleep.pid, began=psutil.Process(sleep.pid).create_time()
        )
        record = record_in(folder, process=process)
        assert not record.is_gone
        sleep.kill()
        sleep.wait()
        assert record.is_gone and record.is_over
    # The id now belongs to another process.
    reused = Process.current()._replace(began=process.began - 3600)
    assert record_in(folder, process=reused).is_gone
    # Another machine cannot be asked.
    elsewhere = process._replace(host="login2")
    assert not record_in(folder, process=elsewhere).is_gone


@pytest.mark.parametrize(
    "changes",
    [
        {"papers": "x"},
        {"papers": 0},
        {"shard_size": 0},
        {"shard_size": None},
        {"started": "now"},
        {"models": None},
        {"process": ["login1"]},
        {"ended": "soon"},
    ],
)
def test_an_impossible_value_is_one_line(changes: dict[str, Any], folder: Path) -> None:
    assert record_in(folder, **CONTENT).papers == 1
    with pytest.raises(InputError) as caught:
        record_in(folder, **CONTENT | changes)
    assert str(caught.value).startswith(f"{folder}/run.json cannot be read (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"papers": 1}'])
def test_a_damaged_run_record_is_one_line(text: str, folder: Path) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_run_record(folder)
    assert str(caught.value).startswith(f"{folder}/run.json cannot be read (")
    assert "\n" not in str(caught.value)


def test_a_missing_run_record_is_one_line(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_run_record(folder)
    assert str(caught.value) == (
        f"{folder}/run.json does not exist: no run has been started there. "
        "Start a run, or name another folder of results with --results."
    )


def test_the_number_of_all_papers_is_known_after_the_filter(folder: Path) -> None:
    assert record_in(folder, papers=None).papers is None
    (folder / "filter.json").write_text("{")
    assert record_in(folder, papers=None).papers is None
    report = {"snapshot": {"bytes": 1}, "records": {"kept": 450}}
    (folder / "filter.json").write_text(json.dumps(report))
    assert record_in(folder, papers=None).papers == 450
    assert record_in(folder, papers=25).papers == 25


def test_the_run_records_of_other_corpora(tmp_path: Path) -> None:
    record = record_in(tmp_path / "results/arxiv")
    other = record_in(tmp_path / "results/demo")
    (tmp_path / "results/damaged").mkdir()
    (tmp_path / "results/damaged/run.json").write_text("{")
    assert other_run_records(record) == [other]
