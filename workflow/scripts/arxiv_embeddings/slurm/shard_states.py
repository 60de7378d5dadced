"""The progress of each shard of a model, read from the files of its results."""

import contextlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.derived import shard_ranges
from .jobs import QueuedJob
from .run_record import RunRecord

# The recent rate is that of the last so many finished shards.
SHARDS_FOR_A_RATE = 20

_SHARD_FILE = re.compile(r"\.?(\d+)\.(npy|json|chunks)(\..+)?")
# The folder of a shard's chunks, or the partial file of its vectors.
_BEGUN = re.compile(r"(\d+)\.chunks|\.(\d+)\.npy\..*")


@dataclass(frozen=True)
class DoneShard:
    """A shard with vectors and manifest.

    Attributes:
        name: such as ``00012``.
        papers: of the shard.
        ended: when the manifest was written, in seconds since the epoch.
        manifest: empty where it cannot be read.
    """

    name: str
    papers: int
    ended: float
    manifest: dict[str, Any]

    def number(self, key: str) -> float:
        """Return a number of the manifest; 0 where it is missing."""
        value = self.manifest.get(key)
        return float(value) if isinstance(value, int | float) else 0.0

    def rate(self, key: str) -> float | None:
        """Return a rate of the manifest; None where it is unknown: 0 means that all chunks were resumed."""
        return self.number(key) or None


@dataclass(frozen=True)
class OpenShard:
    """A shard that is not done.

    Attributes:
        name: such as ``00012``.
        papers: of the shard; None before the size of the sample is known.
        chunk_papers: papers in its finished chunks.
        last_chunk: when the newest of them was written, in seconds since the epoch; None without any.
        jobs: its jobs that squeue lists.
        running: whether a job computes it now.
        fresh_papers: papers in the chunks that were finished in this run.
    """

    name: str
    papers: int | None
    chunk_papers: int
    last_chunk: float | None
    jobs: list[QueuedJob]
    running: bool
    fresh_papers: int

    @property
    def job(self) -> QueuedJob | None:
        """Its running job, if there is one."""
        return next((job for job in self.jobs if job.state == "RUNNING"), None)


@dataclass(frozen=True)
class ModelState:
    """The progress of a model.

    Attributes:
        model: its label.
        total: number of shards; None before the size of the sample is known.
        papers: in the sample; None before its size is known.
        done: shards that are finished.
        running: shards that are being computed.
        waiting: all other shards.
        merged: whether the merged matrix exists.
        run_rate: papers per second since the run was started.
        recent_rate: papers per second of the last shards.
    """

    model: str
    total: int | None
    papers: int | None
    done: list[DoneShard]
    running: list[OpenShard]
    waiting: list[OpenShard]
    merged: bool
    run_rate: float | None = None
    recent_rate: float | None = None

    @property
    def papers_done(self) -> int:
        """Papers of the finished shards and in the finished chunks of the others."""
        chunks = sum(shard.chunk_papers for shard in (*self.running, *self.waiting))
        return sum(shard.papers for shard in self.done) + chunks

    @property
    def eta(self) -> float | None:
        """Seconds until all papers are done, at the recent rate, or else at that of the run."""
        rate = self.recent_rate or self.run_rate
        if self.papers is None or not rate:
            return None
        return (self.papers - self.papers_done) / rate


def read_state(
    record: RunRecord, model: str, jobs: Sequence[QueuedJob] | None, now: float | None = None
) -> ModelState:
    """Return the progress of ``model``; the time grows linearly with the number of shards.

    A shard is running if squeue lists a running job for it. Where squeue does not answer, or the jobs
    are not SLURM jobs, it is running if it has chunks or a partial file of its vectors.

    Args:
        record: of the run.
        model: one of the labels in the record.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch; None for the current time.
    """
    now = time.time() if now is None else now
    folder = record.folder / model / "shards"
    names = _names(folder)
    begun = {found[1] or found[2] for name in names if (found := _BEGUN.fullmatch(name))}
    own_jobs = _by_shard(job for job in jobs or () if job.model == model)
    ranges = _expected_shards(record, names)
    done: list[DoneShard] = []
    unfinished: list[OpenShard] = []
    for name, rows in ranges.items():
        complete = {f"{name}.npy", f"{name}.json"} <= names
        if complete and (shard := _done_shard(folder, name, rows)):
            done.append(shard)
            continue
        shard_jobs = own_jobs.get(name, [])
        running = any(job.state == "RUNNING" for job in shard_jobs)
        unfinished.append(
            _open_shard(
                name,
                rows=rows,
                chunks=_chunks(folder / f"{name}.chunks") if name in begun else {},
                jobs=shard_jobs,
                running=name in begun if jobs is None else running,
                record=record,
            )
        )
    started = record.started.timestamp()
    return ModelState(
        model=model,
        total=None if record.papers is None else len(ranges),
        papers=record.papers,
        done=done,
        running=[shard for shard in unfinished if shard.running],
        waiting=[shard for shard in unfinished if not shard.running],
        merged=(record.folder / model / "manifest.json").exists(),
        run_rate=_run_rate(started, now, done, unfinished),
        recent_rate=_recent_rate(started, now, done, unfinished),
    )


def _names(folder: Path) -> set[str]:
    """Return the names in a folder; none where it cannot be read."""
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _by_shard(jobs: Iterable[QueuedJob]) -> dict[str, list[QueuedJob]]:
    by_shard: dict[str, list[QueuedJob]] = {}
    for job in jobs:
        by_shard.setdefault(job.shard, []).append(job)
    return by_shard


def _expected_shards(record: RunRecord, names: Iterable[str]) -> dict[str, tuple[int, int] | None]:
    """Return the rows of each shard; of an unknown sample, the shards that have files, without rows."""
    if record.papers is not None:
        return dict(shard_ranges(record.papers, record.shard_size))
    found = (_SHARD_FILE.fullmatch(name) for name in names)
    return dict.fromkeys(sorted({match[1] for match in found if match}))


def _done_shard(folder: Path, name: str, rows: tuple[int, int] | None) -> DoneShard | None:
    """Return a shard with both its files; None where one vanished or belongs to other papers."""
    path = folder / f"{name}.json"
    content, ended = None, 0.0
    try:
        ended = path.stat().st_mtime
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        # Damaged, or not yet visible as a whole on a network file system. The shard counts, with a warning.
        pass
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    start, stop = manifest.get("start"), manifest.get("stop")
    if not isinstance(start, int) or not isinstance(stop, int):
        papers = 0 if rows is None else rows[1] - rows[0]
        return DoneShard(name, papers, ended, manifest)
    # A shard of another sample or shard size will be recomputed.
    if rows is not None and (start, stop) != rows:
        return None
    return DoneShard(name, stop - start, ended, manifest)


def _open_shard(
    name: str,
    *,
    rows: tuple[int, int] | None,
    chunks: dict[str, tuple[int, float]],
    jobs: list[QueuedJob],
    running: bool,
    record: RunRecord,
) -> OpenShard:
    papers = None if rows is None else rows[1] - rows[0]
    # Chunks of earlier settings may lie beside those of this run.
    limit = record.shard_size if papers is None else papers
    started = record.started.timestamp()
    fresh = sum(count for count, written in chunks.values() if written >= started)
    return OpenShard(
        name=name,
        papers=papers,
        chunk_papers=min(sum(count for count, _ in chunks.values()), limit),
        last_chunk=max((written for _, written in chunks.values()), default=None),
        jobs=jobs,
        running=running,
        fresh_papers=min(fresh, limit),
    )


def _chunks(folder: Path) -> dict[str, tuple[int, float]]:
    """Return papers and modification time of each finished chunk, by key; truncated files are skipped."""
    chunks = {}
    for name in sorted(_names(folder)):
        if not name.startswith(".") and name.endswith(".npy"):
            with contextlib.suppress(OSError):
                written = (folder / name).stat().st_mtime
                if rows := whole_rows(folder / name):
                    chunks[name.split("-")[0]] = rows, written
    return chunks


def whole_rows(path: Path) -> int:
    """Return the number of rows in the header of a ``.npy`` file; 0 where the file is not complete."""
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return 0
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            numbers = int(np.prod(shape, dtype=np.int64))
            whole = path.stat().st_size == file.tell() + numbers * dtype.itemsize
    # A damaged header may raise almost any exception in numpy.
    except Exception:
        return 0
    return int(shape[0]) if whole and len(shape) == 2 else 0


def _run_rate(
    started: float, now: float, done: Sequence[DoneShard], unfinished: Sequence[OpenShard]
) -> float | None:
    """Return the papers per second since the run was started."""
    papers = sum(shard.papers for shard in done if shard.ended >= started)
    return _rate(papers + sum(shard.fresh_papers for shard in unfinished), now - started)


def _recent_rate(
    started: float, now: float, done: Sequence[DoneShard], unfinished: Sequence[OpenShard]
) -> float | None:
    """Return the papers per second of the last shards of this run; None while none is done."""
    fresh = sorted(
        (shard for shard in done if shard.ended >= started), key=lambda shard: shard.ended
    )
    if not fresh:
        return None
    chunks = [shard.last_chunk for shard in unfinished if shard.last_chunk is not None]
    last_progress = max([fresh[-1].ended, *chunks])
    if len(fresh) > SHARDS_FOR_A_RATE:
        # Chunks are left out: how many of the first shards' chunks are older than the span is unknown.
        papers = sum(shard.papers for shard in fresh[-SHARDS_FOR_A_RATE:])
        span = fresh[-1].ended - fresh[-SHARDS_FOR_A_RATE - 1].ended
    else:
        papers = sum(shard.papers for shard in fresh)
        papers += sum(shard.fresh_papers for shard in unfinished)
        # The span begins with the first job, not with the time that it waited in the queue.
        begun = max(started, min(shard.ended - shard.number("seconds") for shard in fresh))
        span = last_progress - begun
    # If there has been no progress for longer than the span, the rate has dropped.
    return _rate(papers, max(span, now - last_progress))


def _rate(papers: int, seconds: float) -> float | None:
    return papers / seconds if papers and seconds > 0 else None
