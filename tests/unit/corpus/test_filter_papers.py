"""The command filter_papers.py writes complete files or none, within a fixed memory."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support.records import PHYSICS, WANTED, record

Script = Callable[..., subprocess.CompletedProcess[str]]


def command(folder: Path, snapshot: Path) -> list[object]:
    """Return the arguments of ``filter_papers.py`` that write into ``folder``."""
    return [
        *("--snapshot", snapshot, "--categories", *WANTED),
        *("--papers", folder / "papers.parquet", "--report", folder / "filter.json"),
    ]


def test_command_writes_papers_report_and_log(
    script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    done = script("filter_papers.py", *command(tmp_path, made_snapshot), "--log", tmp_path / "log")
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "filter.json",
        "log",
        "papers.parquet",
    ]
    report = json.loads((tmp_path / "filter.json").read_text())
    assert report["records"]["kept"] == len(pd.read_parquet(tmp_path / "papers.parquet")) == 667
    assert "Read 2000 records, kept 667 papers, dropped 1333" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<html>", "is an HTML or XML page"),
        (PHYSICS + b"\nhello\n", "cannot be read, which is more than corpus.max_bad_records"),
        (record(), "None of the 1 records"),
        (PHYSICS + b"\n" + PHYSICS[:20], "ends in the middle of a record"),
    ],
    ids=["empty", "html", "bad", "none wanted", "cut"],
)
def test_failing_command_reports_one_line_and_leaves_no_file(
    data: bytes, message: str, script: Script, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_bytes(data)
    done = script("filter_papers.py", *command(tmp_path / "out", snapshot))
    assert done.returncode == 1
    (error,) = [line for line in done.stdout.splitlines() if " ERROR " in line]
    assert message in error
    assert "Traceback" not in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [
        "os.fsync",
        "pyarrow.parquet.ParquetWriter.write_table",
        "pyarrow.parquet.ParquetWriter.close",
    ],
    ids=["before the rename", "at the first row group", "at the footer"],
)
def test_killed_command_leaves_only_partial_files(
    moment: str, script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    kill = f"import pyarrow.parquet; {moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    killed = script("filter_papers.py", *command(tmp_path, made_snapshot), before=kill)
    assert killed.returncode == -signal.SIGKILL
    assert all(path.name.endswith(".partial") for path in tmp_path.iterdir())
    assert script("filter_papers.py", *command(tmp_path, made_snapshot)).returncode == 0
    assert len(pd.read_parquet(tmp_path / "papers.parquet")) == 667
    # The partial file of the killed process is removed at once.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filter.json", "papers.parquet"]


def test_cancelled_command_leaves_no_file(
    script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    cancel = "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)"
    done = script("filter_papers.py", *command(tmp_path, made_snapshot), before=cancel)
    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_one_line_that_names_the_file(
    script: Script, made_snapshot: Path, tmp_path: Path
) -> None:
    full = """import errno, pyarrow.parquet
def write(writer, table):
    raise OSError(errno.ENOSPC, "Error writing bytes to file")
pyarrow.parquet.ParquetWriter.write_table = write"""
    done = script("filter_papers.py", *command(tmp_path, made_snapshot), before=full)
    assert done.returncode == 1
    (error,) = [line for line in done.stdout.splitlines() if " ERROR " in line]
    assert "papers.parquet" in error
    assert "No space left on device. Free space on its disk" in error
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_pipes_and_devices_are_named(script: Script, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for snapshot, kind in ((pipe, "a pipe (FIFO)"), (Path("/dev/null"), "a device")):
        done = script("filter_papers.py", *command(tmp_path / "out", snapshot))
        assert done.returncode == 1
        assert f"The snapshot {snapshot} is {kind}" in done.stdout
        assert "Traceback" not in done.stdout


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux to measure the memory"
)
def test_memory_stays_under_300_mb(script: Script, made_snapshot: Path, tmp_path: Path) -> None:
    block = made_snapshot.read_bytes()
    snapshot = tmp_path / "large.json"
    with snapshot.open("wb") as file:
        for _ in range(300_000_000 // len(block)):
            file.write(block)
    measure = "print(open('/proc/self/status').read())"
    every = [argument for argument in command(tmp_path, snapshot) if argument not in WANTED]
    done = script("filter_papers.py", *every, after=measure)
    snapshot.unlink()
    assert done.returncode == 0, done.stdout
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", done.stdout)
    # The ids of all arXiv papers need 20 MB more.
    assert int(kilobytes) * 1_024 < 275_000_000


def test_help_says_that_wanted_papers_are_selected(script: Script) -> None:
    done = script("filter_papers.py", "--help")
    assert done.returncode == 0
    assert "Select the papers of the wanted categories" in " ".join(done.stdout.split())
