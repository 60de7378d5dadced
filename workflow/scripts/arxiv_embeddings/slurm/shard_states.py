"""The progress of each shard of a model, read from the files of its results."""

import contextlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..config.currency import read_record
from ..config.rule_values import shard_bounds, shard_names
from ..embedding.manifest import PieceManifest
from .jobs import QueuedJob
from .limits import parse_minutes
from .run_record import RunRecord

# The recent rate is that of the last so many finished shards.
SHARDS_FOR_A_RATE = 20

# A running shard that makes no progress for so long has stalled.
STALLED_SECONDS = 600.0

# A partial file of vectors: .<shard>-<8 digits>.npy.<writer>.partial
_PARTIAL = re.compile(r"\.(\w+-\d+)-\w+\.npy\..+")


@dataclass(frozen=True)
class DoneShard:
    """A shard whose job has finished.

    Attributes:
        name: such as ``3f2a9c1b-00012``.
        papers: of the shard.
        ended: when its job finished, in seconds since the epoch.
        manifest: what the job reported, and the manifest of the vectors that it wrote last; empty where one of the
            two is there but cannot be read.
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
        """Return a rate of the manifest; None where it is unknown, as where the job computed nothing."""
        return self.number(key) or None


@dataclass(frozen=True)
class OpenShard:
    """A shard that is not done.

    Attributes:
        name: such as ``3f2a9c1b-00012``.
        papers: of the shard.
        chunk_papers: papers in its finished chunks.
        last_chunk: when the newest of them was written, in seconds since the epoch; None without any.
        jobs: its jobs that squeue lists.
        running: whether a job computes it now.
        fresh_papers: papers in the chunks that were finished in this run.
        idle: seconds since its job was started, finished a chunk or wrote to its log; None if it is not running, or
            there is no sign of it.
    """

    name: str
    papers: int
    chunk_papers: int
    last_chunk: float | None
    jobs: list[QueuedJob]
    running: bool
    fresh_papers: int
    idle: float | None

    @property
    def stalled(self) -> bool:
        """Whether its job makes no progress."""
        return self.idle is not None and self.idle >= STALLED_SECONDS

    @property
    def job(self) -> QueuedJob | None:
        """Its running job, if there is one."""
        return next((job for job in self.jobs if job.state == "RUNNING"), None)


@dataclass(frozen=True)
class ModelState:
    """The progress of a model.

    Attributes:
        model: its label.
        total: number of shards; None before the vector store was searched.
        papers: in the sample; None before its size is known.
        found: papers whose vectors were in the store when the shards were planned.
        repeated: papers that have the text of another paper in a shard, so no shard embeds them.
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
    found: int
    repeated: int
    done: list[DoneShard]
    running: list[OpenShard]
    waiting: list[OpenShard]
    merged: bool
    run_rate: float | None = None
    recent_rate: float | None = None

    @property
    def papers_done(self) -> int:
        """Papers that need no job, those of the finished shards, and those in the finished chunks of the others."""
        chunks = sum(shard.chunk_papers for shard in (*self.running, *self.waiting))
        return self.found + self.repeated + sum(shard.papers for shard in self.done) + chunks

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
    are not SLURM jobs, it is running if it has vectors or a partial file of them, and is not done.
    A look-up of another sample size is that of an earlier run, so its shards do not count.

    Args:
        record: of the run.
        model: one of the labels in the record.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch; None for the current time.
    """
    now = time.time() if now is None else now
    started = record.started.timestamp()
    folder = record.folder / model
    lookup = _read_lookup(folder / "lookup.json", record)
    bounds = {name: shard_bounds(lookup, name) for name in shard_names(lookup)} if lookup else {}
    finished = _names(folder / "shards")
    pieces = _pieces(folder / "vectors", lookup["lookup"]) if lookup else {}
    partial = (_PARTIAL.fullmatch(name) for name in _names(folder / "vectors"))
    begun = {*pieces, *(match[1] for match in partial if match)}
    own_jobs = _by_shard(job for job in jobs or () if job.model == model)
    done: list[DoneShard] = []
    unfinished: list[OpenShard] = []
    for name, (start, stop) in bounds.items():
        papers = stop - start
        own = pieces.get(name, [])
        if f"{name}.json" in finished and (
            shard := _done_shard(folder / "shards", name, papers, own)
        ):
            done.append(shard)
            continue
        shard_jobs = own_jobs.get(name, [])
        listed = any(job.state == "RUNNING" for job in shard_jobs)
        running = name in begun if jobs is None else listed
        unfinished.append(
            _open_shard(
                name,
                papers=papers,
                pieces=own,
                jobs=shard_jobs,
                running=running,
                started=started,
                idle=_idle(own, shard_jobs, record.log_of(model, name), now) if running else None,
            )
        )
    return ModelState(
        model=model,
        total=len(bounds) if lookup else None,
        papers=record.papers,
        found=lookup["found"] if lookup else 0,
        repeated=lookup["papers"] - lookup["found"] - lookup["missing"] if lookup else 0,
        done=done,
        running=[shard for shard in unfinished if shard.running],
        waiting=[shard for shard in unfinished if not shard.running],
        merged=_is_newer(folder / "manifest.json", folder / "lookup.json"),
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


def _read_lookup(path: Path, record: RunRecord) -> dict[str, Any] | None:
    """Return the look-up of this run; None before the vector store was searched, or where it cannot be read."""
    lookup = read_record(path) or {}
    numbers = ("papers", "found", "missing", "shards", "shard_size")
    if not all(isinstance(lookup.get(name), int) for name in numbers):
        return None
    return lookup if lookup["papers"] == record.papers and "lookup" in lookup else None


@dataclass(frozen=True)
class _Piece:
    """Vectors of a shard: their manifest, None where it cannot be read, and the seconds since the epoch when written."""

    manifest: PieceManifest | None
    written: float

    @property
    def papers(self) -> int:
        return 0 if self.manifest is None else self.manifest.papers


def _pieces(folder: Path, lookup: str) -> dict[str, list[_Piece]]:
    """Return the vectors that the shards of one look-up have in the store, by shard."""
    pieces: dict[str, list[_Piece]] = {}
    for path in folder.glob(f"{lookup}-*.json"):
        manifest = None
        # Another job may remove it, or a network file system may not show all of it yet.
        with contextlib.suppress(OSError):
            written = path.stat().st_mtime
            with contextlib.suppress(InputError):
                manifest = PieceManifest.read(path)
            pieces.setdefault(path.stem.rpartition("-")[0], []).append(_Piece(manifest, written))
    return pieces


def _done_shard(folder: Path, name: str, papers: int, pieces: list[_Piece]) -> DoneShard | None:
    """Return a shard whose job has finished; None where its file vanished."""
    path = folder / f"{name}.json"
    try:
        ended = path.stat().st_mtime
    except OSError:
        return None
    manifest = read_record(path) or {}
    if manifest and pieces:
        # The job wrote the last one; chunks of a job that was killed may lie beside it.
        last = max(pieces, key=lambda piece: piece.written).manifest
        manifest = {} if last is None else manifest | last.to_dict()
    return DoneShard(name, papers, ended, manifest)


def _open_shard(
    name: str,
    *,
    papers: int,
    pieces: list[_Piece],
    jobs: list[QueuedJob],
    running: bool,
    started: float,
    idle: float | None,
) -> OpenShard:
    chunks = [piece for piece in pieces if piece.papers]
    fresh = sum(chunk.papers for chunk in chunks if chunk.written >= started)
    return OpenShard(
        name=name,
        papers=papers,
        # While a job joins its chunks, they lie beside the whole.
        chunk_papers=min(sum(chunk.papers for chunk in chunks), papers),
        last_chunk=max((chunk.written for chunk in chunks), default=None),
        jobs=jobs,
        running=running,
        fresh_papers=min(fresh, papers),
        idle=idle,
    )


def _idle(pieces: list[_Piece], jobs: list[QueuedJob], log: Path, now: float) -> float | None:
    """Return the seconds since the last sign of progress of a running shard; None where there is no sign.

    The job writes a line to its log every few seconds, but only while batches are finished.
    """
    signs = [piece.written for piece in pieces]
    with contextlib.suppress(OSError):
        signs.append(log.stat().st_mtime)
    for job in jobs:
        if job.state == "RUNNING":
            with contextlib.suppress(ValueError):
                signs.append(now - parse_minutes(job.elapsed) * 60)
    return now - max(signs) if signs else None


def _is_newer(path: Path, than: Path) -> bool:
    """Return whether ``path`` exists and is not older than ``than``, if that exists."""
    try:
        written = path.stat().st_mtime
        return not than.exists() or written >= than.stat().st_mtime
    except OSError:
        return False


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
