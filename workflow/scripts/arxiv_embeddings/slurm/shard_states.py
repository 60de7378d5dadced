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
from .run_record import RunRecord

# The recent rate is that of the last so many finished shards.
SHARDS_FOR_A_RATE = 20

# A partial file of vectors: .<shard>-<8 digits>.npy.<writer>.partial
_PARTIAL = re.compile(r"\.(\w+-\d+)-\w+\.npy\..+")


@dataclass(frozen=True)
class DoneShard:
    """A shard with vectors and manifest.

    Attributes:
        name: such as ``3f2a9c1b-00012``.
        papers: of the shard.
        ended: when its job finished, in seconds since the epoch.
        manifest: what the job reported, and the manifest of its vectors; empty where neither can be read.
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
    """

    name: str
    papers: int
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
        total: number of shards; None before the vector store was searched.
        papers: in the sample; None before its size is known.
        found: papers whose vectors were in the store when the shards were planned.
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
    done: list[DoneShard]
    running: list[OpenShard]
    waiting: list[OpenShard]
    merged: bool
    run_rate: float | None = None
    recent_rate: float | None = None

    @property
    def papers_done(self) -> int:
        """Papers found in the store, of the finished shards, and in the finished chunks of the others."""
        chunks = sum(shard.chunk_papers for shard in (*self.running, *self.waiting))
        return self.found + sum(shard.papers for shard in self.done) + chunks

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

    Args:
        record: of the run.
        model: one of the labels in the record.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch; None for the current time.
    """
    now = time.time() if now is None else now
    folder = record.folder / model
    lookup = read_record(folder / "lookup.json") or {}
    shards = _planned_shards(lookup)
    finished = _names(folder / "shards")
    pieces = _pieces(folder / "vectors", str(lookup.get("lookup")))
    partial = (_PARTIAL.fullmatch(name) for name in _names(folder / "vectors"))
    begun = {*pieces, *(match[1] for match in partial if match)}
    own_jobs = _by_shard(job for job in jobs or () if job.model == model)
    done: list[DoneShard] = []
    unfinished: list[OpenShard] = []
    for name, papers in shards.items():
        own = pieces.get(name, [])
        if f"{name}.json" in finished and (
            shard := _done_shard(folder / "shards", name, papers, own)
        ):
            done.append(shard)
            continue
        shard_jobs = own_jobs.get(name, [])
        running = any(job.state == "RUNNING" for job in shard_jobs)
        unfinished.append(
            _open_shard(
                name,
                papers=papers,
                pieces=own,
                jobs=shard_jobs,
                running=name in begun if jobs is None else running,
                started=record.started.timestamp(),
            )
        )
    started = record.started.timestamp()
    return ModelState(
        model=model,
        total=len(shards) if lookup else None,
        papers=record.papers,
        found=lookup["papers"] - lookup["missing"] if lookup else 0,
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


def _planned_shards(lookup: dict[str, Any]) -> dict[str, int]:
    """Return the names of the shards and the papers of each; none before the vector store was searched."""
    if not lookup:
        return {}
    bounds = {name: shard_bounds(lookup, name) for name in shard_names(lookup)}
    return {name: stop - start for name, (start, stop) in bounds.items()}


Pieces = list[tuple[PieceManifest, float]]  # with the time of writing, in seconds since the epoch


def _pieces(folder: Path, lookup: str) -> dict[str, Pieces]:
    """Return the vectors that the shards of one look-up have in the store, by shard."""
    pieces: dict[str, Pieces] = {}
    for path in folder.glob(f"{lookup}-*.json"):
        # Another job may remove it, or a network file system may not show all of it yet.
        with contextlib.suppress(OSError, InputError):
            manifest = PieceManifest.read(path)
            pieces.setdefault(manifest.shard, []).append((manifest, path.stat().st_mtime))
    return pieces


def _done_shard(folder: Path, name: str, papers: int, pieces: Pieces) -> DoneShard | None:
    """Return a shard whose job has finished; None where its file vanished."""
    path = folder / f"{name}.json"
    try:
        ended = path.stat().st_mtime
    except OSError:
        return None
    manifest = read_record(path) or {}
    if pieces:
        largest = max((piece for piece, _ in pieces), key=lambda piece: piece.papers)
        manifest |= largest.to_dict()
    return DoneShard(name, papers, ended, manifest)


def _open_shard(
    name: str,
    *,
    papers: int,
    pieces: Pieces,
    jobs: list[QueuedJob],
    running: bool,
    started: float,
) -> OpenShard:
    fresh = sum(piece.papers for piece, written in pieces if written >= started)
    return OpenShard(
        name=name,
        papers=papers,
        chunk_papers=min(sum(piece.papers for piece, _ in pieces), papers),
        last_chunk=max((written for _, written in pieces), default=None),
        jobs=jobs,
        running=running,
        fresh_papers=min(fresh, papers),
    )


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
