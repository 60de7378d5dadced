"""The run record: what the last run of a corpus was started to compute, in ``<results>/run.json``."""

import contextlib
import dataclasses
import datetime
import json
import os
import socket
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from ..common.errors import InputError
from ..config.derived import read_filter_report

NAME = "run.json"
# The clock may be set while a process runs, which moves the time when it began.
CLOCK_SECONDS = 5.0


class Process(NamedTuple):
    """A process of a machine, recognised by the time when it began (seconds since the epoch), as ids are reused."""

    host: str
    pid: int
    began: float

    @classmethod
    def current(cls) -> Self:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, so that ``exists`` can tell."""
        return self.host == socket.gethostname()

    @property
    def exists(self) -> bool:
        """Whether this machine has the process."""
        try:
            began: float = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        return abs(began - self.began) < CLOCK_SECONDS


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What the last run of a corpus was started to compute.

    Attributes:
        folder: the results of the corpus.
        papers: in the sample; None before the filter has finished where the sample is all papers.
        shard_size: papers per shard.
        models: their labels.
        started: local time, in whole seconds.
        executor: "slurm", or "local" for jobs on this machine.
        process: the main process of the run; None where it is unknown.
        ended: local time; None if the run has not ended, or was killed.
        succeeded: whether the run ended with success.
    """

    folder: Path
    papers: int | None
    shard_size: int
    models: list[str]
    started: datetime.datetime
    executor: str
    process: Process | None = None
    ended: datetime.datetime | None = None
    succeeded: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the run is known not to continue: it ended, or its process is gone."""
        return self.ended is not None or self.is_gone

    @property
    def is_gone(self) -> bool:
        """Whether the main process is gone although the run has not ended, as after ``kill -9``."""
        if self.ended is not None or self.process is None or not self.process.is_here:
            return False
        return not self.process.exists

    @property
    def corpus(self) -> str:
        """The name of the corpus."""
        return self.folder.resolve().name

    @property
    def workdir(self) -> Path:
        """The folder that the workflow runs in."""
        return self.folder.resolve().parent.parent

    @property
    def user(self) -> str | None:
        """The numeric id of the user who started the run; None where the record is gone."""
        try:
            return str((self.folder / NAME).stat().st_uid)
        except OSError:
            return None

    def log_of(self, model: str, shard: str) -> Path:
        """Return the path of a shard's log; the file may not exist."""
        return self.workdir / f"logs/{self.corpus}/{model}/embed_shard/{shard}.log"


def read_run_record(folder: Path) -> RunRecord:
    """Return the run record of the results in ``folder``.

    Raises:
        InputError: it does not exist, or cannot be read.
    """
    path = folder / NAME
    try:
        record = _parse(folder, json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: no run has been started there. Start a run, or name another folder "
            "of results with --results."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}). Try again, or start the run again to rewrite it."
        ) from error
    if record.papers is None:
        with contextlib.suppress(FileNotFoundError, InputError):
            kept = int(read_filter_report(folder / "filter.json")["records"]["kept"])
            return dataclasses.replace(record, papers=kept)
    return record


def _parse(folder: Path, content: dict[str, object]) -> RunRecord:
    """Return the record that ``content`` holds, the JSON of the file.

    Raises:
        ValueError, KeyError, TypeError: a value is missing or impossible.
    """
    papers, size, models = content["papers"], content["shard_size"], content["models"]
    # Earlier versions did not write the last three.
    process, ended = content.get("process"), content.get("ended")
    if papers is not None and (not isinstance(papers, int) or papers < 1):
        raise ValueError(f"papers is {papers!r}")
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"shard_size is {size!r}")
    if not isinstance(models, list):
        raise TypeError(f"models is {models!r}")
    return RunRecord(
        folder,
        papers,
        size,
        [str(model) for model in models],
        _local_time(content["started"]),
        str(content["executor"]),
        Process(*process) if isinstance(process, list) else None,
        None if ended is None else _local_time(ended),
        content.get("succeeded") is True,
    )


def _local_time(text: object) -> datetime.datetime:
    time = datetime.datetime.fromisoformat(str(text))
    return time if time.tzinfo is None else time.astimezone().replace(tzinfo=None)


def other_run_records(record: RunRecord) -> list[RunRecord]:
    """Return the run records of the other corpora in the same working directory."""
    folder = record.folder.resolve()
    records = []
    for path in sorted(folder.parent.glob(f"*/{NAME}")):
        if path.parent != folder:
            with contextlib.suppress(InputError):
                records.append(read_run_record(path.parent))
    return records
