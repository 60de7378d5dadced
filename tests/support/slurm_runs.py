"""Files of a run, written without running it, and what a real SLURM 22.05 printed about one."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from arxiv_embeddings.embedding.store import Piece, text_keys, write_piece
from arxiv_embeddings.slurm.jobs import Attempt, QueuedJob
from arxiv_embeddings.slurm.run_record import RunRecord, read_run_record

MODEL = "qwen3-embedding-0.6b"
STARTED = datetime.datetime(2026, 11, 23, 9, 36)
START = STARTED.timestamp()
SHARD_SIZE = 300
LOOKUP = "3f2a9c1b"

# Recorded: JobID|JobName|State|Comment|Submit|Start|ElapsedRaw|AllocTRES|NodeList|ExitCode|WorkDir|SubmitLine.
# Without AccountingStoreFlags=job_comment the comment is empty. WorkDir and the submit line are shortened.
NAME = "arxiv-embeddings_0c7e6b5e-28a4-4f0e-9d5e-1f6a3bb6f3a1"
TRES = "billing=1,cpu=1,gres/gpu=1,mem=500M,node=1"
SBATCH = f"sbatch --parsable --job-name {NAME} --comment rule_embed_shard_wildcards_"
SACCT = f"""\
1743600|{NAME}|COMPLETED||2026-11-23T09:36:14|2026-11-23T09:36:16|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00000 --partition gpu --wrap sleep 3
1743601|{NAME}|FAILED||2026-11-23T09:36:14|2026-11-23T09:36:16|0|{TRES}|node1|3:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00001 --partition gpu --wrap exit 3
1743602|{NAME}|OUT_OF_MEMORY||2026-11-23T09:36:14|2026-11-23T09:36:16|1|{TRES}|node2|0:125|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00002 --mem 50 --wrap python3 -c "x=bytearray(300<<20)"
1743603|{NAME}|TIMEOUT||2026-11-23T09:36:14|2026-11-23T09:36:16|87|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00003 --time 1 --wrap sleep 200 | tee a|b
1743604|{NAME}|CANCELLED by 0||2026-11-23T09:36:14|2026-11-23T09:36:17|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00004 --wrap sleep 200
1743605|{NAME}|REQUEUED||2026-11-23T09:36:20|2026-11-23T09:36:20|3|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00005 --requeue --wrap sleep 25
1743605|{NAME}|COMPLETED||2026-11-23T09:36:23|2026-11-23T09:36:38|25|{TRES}|node2|0:0|WORKDIR|{SBATCH}{MODEL}_{LOOKUP}-00005 --requeue --wrap sleep 25
1743610|{NAME}|PREEMPTED||2026-11-23T09:38:26|2026-11-23T09:38:27|3|{TRES}|node1|0:0|WORKDIR|{SBATCH}bge-m3_{LOOKUP}-00010 --requeue --wrap sleep 40
1743611|{NAME}|NODE_FAIL||2026-11-23T09:38:26|2026-11-23T09:38:27|40|{TRES}|node1|0:0|WORKDIR|{SBATCH}bge-m3_{LOOKUP}-00011 --requeue --wrap sleep 40
1743614|wrap|COMPLETED||2026-11-23T09:38:29|2026-11-23T09:38:30|3|{TRES}|node1|0:0|WORKDIR|sbatch --parsable --partition urgent --wrap sleep 3
"""
# As squeue --format "%i|%T|%M|%N|%r|%V|%Z|%k" printed it.
SQUEUE = f"""\
1743606|PENDING|0:00||Priority|2026-11-23T09:36:24|WORKDIR|rule_embed_shard_wildcards_my_model.v1_{LOOKUP}-00006
1743603|RUNNING|1:18|node2|None|2026-11-23T09:36:14|WORKDIR|rule_embed_shard_wildcards_qwen3-embedding-0.6b_{LOOKUP}-00003
1743614|RUNNING|0:01|node1|None|2026-11-23T09:38:29|WORKDIR|(null)
"""
# As sinfo prints the partitions of a cluster with several kinds of nodes.
# As sinfo prints a cluster of several kinds of nodes; fat nodes have more memory, and no GPU.
SINFO = """\
cpu*|1-00:00:00|192000|48|(null)|up
cpu*|1-00:00:00|1031000|128|(null)|up
gpu|12:00:00|515000|64|gpu:a100:4(S:0-1)|up
gpu|12:00:00|1031000|128|gpu:h100:2(S:0,2),shard:8|up
hidden|infinite|64000|16|gpu:8|up
old|infinite|64000|16|gpu:k80:8|drain
short|30:00|64000|16|(null)|up
empty|1-00:00:00|0|0||up
"""


def record_in(folder: Path, **changes: Any) -> RunRecord:
    """Write and read the run record of a run of 2,100 papers; ``changes`` replace its values."""
    content = {
        "papers": 2100,
        "shard_size": SHARD_SIZE,
        "models": [MODEL],
        "started": STARTED.isoformat(timespec="seconds"),
        "executor": "slurm",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(content | changes))
    return read_run_record(folder)


def shard_name(number: int) -> str:
    """Return the name of a shard of the look-up."""
    return f"{LOOKUP}-{number:05d}"


def look_up(record: RunRecord, model: str = MODEL, **changes: Any) -> Path:
    """Write what the look-up in an empty store leaves, and return it; ``changes`` replace its values."""
    content: dict[str, Any] = {
        "lookup": LOOKUP,
        "papers": record.papers,
        "found": 0,
        "missing": record.papers,
    }
    content |= {"shard_size": record.shard_size, **changes}
    content.setdefault("shards", -(-content["missing"] // content["shard_size"]))
    path = record.folder / model / "lookup.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    os.utime(path, (START, START))
    return path


def planned_in(folder: Path, **changes: Any) -> RunRecord:
    """Write the run record of a run of 2,100 papers, and a look-up that planned 7 shards for each model."""
    record = record_in(folder, **changes)
    for model in record.models:
        look_up(record, model=model)
    return record


def papers_of(record: RunRecord, shard: int) -> int:
    """Return the papers of a shard, as the look-up plans them."""
    lookup = json.loads((record.folder / MODEL / "lookup.json").read_text())
    missing = int(lookup["missing"])
    return min(record.shard_size, missing - shard * record.shard_size)


def finish(record: RunRecord, shard: int, ended: float, **manifest: Any) -> Path:
    """Write the files of a finished shard and return the one that its job writes at the end.

    ``manifest`` replaces values of the manifest of its vectors.
    """
    papers = papers_of(record, shard)
    manifest = {"tokens": 200 * papers, "seconds": 2.0, **manifest}
    embedded = piece(record, shard, rows=papers, written=ended, **manifest)
    return report(record, shard, ended, papers=papers, embedded=embedded.manifest.papers)


def report(record: RunRecord, shard: int, ended: float, *, papers: int, embedded: int) -> Path:
    """Write what the job of a shard writes at its end, and return it."""
    path = record.folder / MODEL / "shards" / f"{shard_name(shard)}.json"
    path.parent.mkdir(exist_ok=True)
    counts = {"papers": papers, "found": papers - embedded, "embedded": embedded}
    path.write_text(json.dumps({"shard": shard_name(shard), **counts}))
    os.utime(path, (ended, ended))
    return path


def chunk(record: RunRecord, shard: int, key: str, *, rows: int, written: float) -> Path:
    """Write a finished chunk of a shard to the store; return its manifest."""
    return piece(record, shard, key, rows=rows, written=written).manifest_path


def piece(
    record: RunRecord, shard: int, key: str = "", *, rows: int, written: float, **manifest: Any
) -> Piece:
    """Write vectors of a shard to the store; ``manifest`` replaces values of their manifest."""
    tokens = manifest.pop("tokens", rows)
    made_by: dict[str, Any] = {"checkpoint": {}, "encoder": {}, "attention": "", "seconds": 1.0}
    made = write_piece(
        record.folder / MODEL / "vectors",
        shard_name(shard),
        text_keys(f"{key}{row}" for row in range(rows)),
        np.full(rows, tokens // rows),
        lambda: [np.zeros((rows, 4), np.float32)],
        **{**made_by, "device": {"name": "GPU"}, "versions": {}, **manifest},
    )
    os.utime(made.manifest_path, (written, written))
    return made


def queued(
    shard: int,
    state: str,
    model: str = MODEL,
    *,
    reason: str = "None",
    job_id: str = "7",
    elapsed: str = "1:18",
) -> QueuedJob:
    """Return a job in the queue."""
    return QueuedJob(
        job_id=job_id,
        state=state,
        elapsed=elapsed,
        node="node2",
        reason=reason,
        submitted="2026-11-23T09:36:14",
        workdir="",
        model=model,
        shard=shard_name(shard),
    )


def attempt(shard: int, state: str, elapsed: float = 10, gpus: int = 1) -> Attempt:
    """Return an attempt at a shard; ``elapsed`` is in seconds."""
    return Attempt(
        job_id="7",
        state=state,
        submitted="2026-11-23T09:36:14",
        elapsed=elapsed,
        gpus=gpus,
        node="node1",
        exit_code="0:0",
        workdir="",
        model=MODEL,
        shard=shard_name(shard),
    )


def prints(text: str, asked: Path | None = None) -> str:
    """Return a shell script that prints ``text``, and writes its arguments to ``asked``."""
    log = f'echo "$@" > {asked}\n' if asked else ""
    return f"{log}/bin/cat <<'END'\n{text.rstrip()}\nEND"
