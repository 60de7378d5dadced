"""Files of a run, written without running it, and what a real SLURM 22.05 printed about one."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from arxiv_embeddings.slurm.jobs import Attempt, QueuedJob
from arxiv_embeddings.slurm.run_record import RunRecord, read_run_record

MODEL = "qwen3-embedding-0.6b"
STARTED = datetime.datetime(2026, 11, 23, 9, 36)
START = STARTED.timestamp()
SHARD_SIZE = 300

# Recorded: JobID|JobName|State|Comment|Submit|Start|ElapsedRaw|AllocTRES|NodeList|ExitCode|WorkDir|SubmitLine.
# Without AccountingStoreFlags=job_comment the comment is empty. WorkDir and the submit line are shortened.
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
    """Write and read the run record of a run of 2,100 papers in 7 shards; ``changes`` replace its values."""
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


def finish(record: RunRecord, shard: str, ended: float, **manifest: Any) -> Path:
    """Write the files of a finished shard and return the manifest; ``manifest`` replaces its values."""
    shards = record.folder / MODEL / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    start = int(shard) * record.shard_size
    (shards / f"{shard}.npy").touch()
    path = shards / f"{shard}.json"
    content = {
        "start": start,
        "stop": start + record.shard_size,
        "papers_resumed": 0,
        "seconds": 2.0,
        "papers_per_second": 150.0,
        "tokens_per_second": 30_000.0,
    }
    path.write_text(json.dumps(content | manifest))
    os.utime(path, (ended, ended))
    return path


def chunk(record: RunRecord, shard: str, key: str, *, rows: int, written: float) -> Path:
    """Write a finished chunk of a shard and return it."""
    chunks = record.folder / MODEL / "shards" / f"{shard}.chunks"
    chunks.mkdir(parents=True, exist_ok=True)
    path = chunks / f"{key}-sum.npy"
    np.save(path, np.zeros((rows, 4), np.float32))
    os.utime(path, (written, written))
    return path


def queued(shard: str, state: str, model: str = MODEL) -> QueuedJob:
    """Return a job in the queue."""
    return QueuedJob("7", state, "1:18", "node2", "2026-11-23T09:36:14", "", model, shard)


def attempt(shard: str, state: str, elapsed: float = 10, gpus: int = 1) -> Attempt:
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
        shard=shard,
    )


def prints(text: str, asked: Path | None = None) -> str:
    """Return a shell script that prints ``text``, and writes its arguments to ``asked``."""
    log = f'echo "$@" > {asked}\n' if asked else ""
    return f"{log}/bin/cat <<'END'\n{text.rstrip()}\nEND"
