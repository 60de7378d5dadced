"""How far each shard of a model is, by the files in the results folder; nothing is written."""

import contextlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.derived import shard_ranges
from .jobs import QueuedJob
from .run_record import Plan

SHARDS_FOR_A_RATE = 20  # the last shards done that tell how fast it goes now


@dataclass(frozen=True)
class DoneShard:
    """A shard with vectors and manifest. ``manifest`` is empty where it cannot be read."""

    name: str
    papers: int
    ended: float
    manifest: dict[str, Any]

    def number(self, key: str) -> float:
        """Return a number of the manifest, 0 where there is none."""
        value = self.manifest.get(key)
        return float(value) if isinstance(value, int | float) else 0.0

    def rate(self, key: str) -> float | None:
        """Return a rate of the manifest; None where it tells nothing, as all was taken from chunks."""
        return self.number(key) or None


@dataclass(frozen=True)
class OpenShard:
    """A shard that is not done: its finished chunks, and its jobs that squeue lists."""

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
    """How far a model is. ``planned`` and ``papers`` are None before the size of the sample is known."""

    model: str
    planned: int | None
    papers: int | None
    done: list[DoneShard]
    running: list[OpenShard]
    waiting: list[OpenShard]
    merged: bool
    run_rate: float | None = None
    recent_rate: float | None = None

    @property
    def papers_done(self) -> int:
        """Papers of the shards done and of the finished chunks of the others."""
        chunks = sum(shard.chunk_papers for shard in (*self.running, *self.waiting))
        return sum(shard.papers for shard in self.done) + chunks

    @property
    def eta(self) -> float | None:
        """Seconds until all papers are done, at the rate of the last shards, else of the run."""
        rate = self.recent_rate or self.run_rate
        if self.papers is None or not rate:
            return None
        return max(self.papers - self.papers_done, 0) / rate


def read_state(
    plan: Plan, model: str, jobs: Sequence[QueuedJob] | None, now: float | None = None
) -> ModelState:
    """Return how far ``model`` is.

    A shard runs when squeue lists a running job for it. Where squeue does not answer, or jobs are no
    SLURM jobs, one with finished chunks or a partial file counts as running.

    Args:
        plan: of the run.
        model: a label of the plan.
        jobs: as ``queued_jobs`` returns them.
        now: seconds since the epoch, if not the present.
    """
    now = time.time() if now is None else now
    folder = plan.folder / model / "shards"
    names = _names(folder)
    ranges: dict[str, tuple[int, int] | None]
    if plan.papers is None:
        found = (re.fullmatch(r"\.?(\d+)\.(npy|json|chunks)(\..+)?", name) for name in names)
        ranges = dict.fromkeys(sorted({name[1] for name in found if name}))
    else:
        ranges = dict(shard_ranges(plan.papers, plan.shard_size))
    mine = [job for job in jobs or () if job.model == model]
    done: list[DoneShard] = []
    running: list[OpenShard] = []
    waiting: list[OpenShard] = []
    for name, rows in ranges.items():
        if {f"{name}.npy", f"{name}.json"} <= names:
            shard = _done_shard(folder, name, rows)
            if shard is not None:
                done.append(shard)
                continue
        begun = any(
            other == f"{name}.chunks" or other.startswith(f".{name}.npy.") for other in names
        )
        own = [job for job in mine if job.shard == name]
        is_running = begun if jobs is None else any(job.state == "RUNNING" for job in own)
        chunks = _chunks(folder / f"{name}.chunks") if f"{name}.chunks" in names else {}
        papers = None if rows is None else rows[1] - rows[0]
        cap = plan.shard_size if papers is None else papers
        since = plan.started.timestamp()
        open_shard = OpenShard(
            name=name,
            papers=papers,
            chunk_papers=min(sum(rows for rows, _ in chunks.values()), cap),
            last_chunk=max((at for _, at in chunks.values()), default=None),
            jobs=own,
            running=is_running,
            fresh_papers=min(sum(rows for rows, at in chunks.values() if at >= since), cap),
        )
        (running if is_running else waiting).append(open_shard)
    return ModelState(
        model=model,
        planned=None if plan.papers is None else len(ranges),
        papers=plan.papers,
        done=done,
        running=running,
        waiting=waiting,
        merged=(plan.folder / model / "manifest.json").exists(),
        **_rates(plan.started.timestamp(), now, done, [*running, *waiting]),
    )


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _done_shard(folder: Path, name: str, rows: tuple[int, int] | None) -> DoneShard | None:
    """Return a shard with both its files; None where one vanished or is of other papers."""
    path = folder / f"{name}.json"
    content, ended = None, 0.0
    try:
        ended = path.stat().st_mtime
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass  # half visible on a network file system, or damaged: counted, and told
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    own = manifest.get("start"), manifest.get("stop")
    if not all(isinstance(number, int) for number in own):
        papers = 0 if rows is None else rows[1] - rows[0]
        return DoneShard(name, papers, ended, manifest)
    if rows is not None and own != rows:
        return None  # of another sample or shard size: it is made again
    return DoneShard(name, own[1] - own[0], ended, manifest)  # type: ignore[operator]


def _chunks(folder: Path) -> dict[str, tuple[int, float]]:
    """Return papers and time of the finished chunks, by key; cut files are left out."""
    chunks = {}
    for name in sorted(_names(folder)):
        if not name.startswith(".") and name.endswith(".npy"):
            with contextlib.suppress(OSError):
                at = (folder / name).stat().st_mtime
                if rows := whole_rows(folder / name):
                    chunks[name.split("-")[0]] = rows, at
    return chunks


def whole_rows(path: Path) -> int:
    """Return the rows of the matrix in a ``.npy`` file by its header; 0 where the file is not whole."""
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return 0
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            numbers = int(np.prod(shape, dtype=np.int64))
            whole = path.stat().st_size == file.tell() + numbers * dtype.itemsize
    except Exception:  # numpy raises whatever a damaged header makes it stumble over
        return 0
    return int(shape[0]) if whole and len(shape) == 2 else 0


def _rates(
    started: float, now: float, done: Sequence[DoneShard], unfinished: Sequence[OpenShard]
) -> dict[str, float | None]:
    """Return the papers a second since the run was started, and of its last shards."""
    fresh = sorted(
        (shard for shard in done if shard.ended >= started), key=lambda shard: shard.ended
    )
    in_chunks = sum(shard.fresh_papers for shard in unfinished)

    def rate(papers: int, seconds: float) -> float | None:
        return papers / seconds if papers and seconds > 0 else None

    papers = sum(shard.papers for shard in fresh)
    rates = {"run_rate": rate(papers + in_chunks, now - started), "recent_rate": None}
    if not fresh:
        return rates
    last_sign = max(
        [shard.ended for shard in fresh]
        + [shard.last_chunk for shard in unfinished if shard.last_chunk is not None]
    )
    if len(fresh) > SHARDS_FOR_A_RATE:
        # Chunks are left out: of the shards that were under way when the span began, they are not known.
        papers = sum(shard.papers for shard in fresh[-SHARDS_FOR_A_RATE:])
        begun, ended = fresh[-SHARDS_FOR_A_RATE - 1].ended, fresh[-1].ended
    else:
        # Without the time that the first job waited in the queue.
        papers += in_chunks
        begun = max(started, min(shard.ended - shard.number("seconds") for shard in fresh))
        ended = last_sign
    # A silence that is longer than the span says that it has become slower.
    rates["recent_rate"] = rate(papers, max(ended - begun, now - last_sign))
    return rates
