"""Measure the time and the peak memory of every step of the evaluation: reductions, clusterings, and scores.

    python bench/evaluation.py VECTORS.npy PAPERS.parquet --papers 30000 --folder FOLDER --table TABLE

Runs the workflow's scripts, each in its own process, one after another. Steps are called as the workflow calls its files:
``umap-300`` and ``umap-2`` are reductions, ``pca-300/ward`` is a clustering with its scores and intervals, ``neighbours``
finds the nearest papers, ``map/pca-2`` and ``space`` are scores. A step that exceeds the time limit is stopped and
reported. The table is written after each step to TABLE.md and TABLE.json; rows of earlier runs on the same papers are
kept, so the steps can be measured one by one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.common.progress import scaled
from arxiv_embeddings.config import grid
from arxiv_embeddings.evaluation.clusterings import METHODS as CLUSTERINGS
from arxiv_embeddings.evaluation.reductions import METHODS as REDUCTIONS
from job import watched
from result import machine, save

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "umap-learn", "openTSNE", "pacmap", "phate"),
    *("fastcluster", "hdbscan"),
)
SEED = 42
NEIGHBOURS, SPACE = "neighbours", "space"
STOPPED = 124  # the exit code of timeout(1)


def steps_of(dimensions: int) -> list[str]:
    """Return the names of all steps; a reduction comes before the steps that use it."""
    methods = [method for method in REDUCTIONS if grid.is_installed(method)]
    asked = {"dimensions": dimensions, "reductions": [grid.NONE, *methods], "maps": methods}
    maps = grid.map_names(asked)
    reductions = dict.fromkeys([*grid.reduction_names(asked), *maps])
    clustered = f"pca-{dimensions}"
    return [
        *reductions,
        *(f"{clustered}/{name}" for name in CLUSTERINGS),
        NEIGHBOURS,
        f"map/{maps[0]}",
        SPACE,
    ]


def needed(step: str) -> list[str]:
    """Return the steps whose files a step reads."""
    first, _, second = step.partition("/")
    if first == "map":
        return [grid.NONE, NEIGHBOURS, second]
    if step == SPACE:
        return [grid.NONE, NEIGHBOURS]
    if step == NEIGHBOURS:
        return [grid.NONE]
    return [first] if second else []


class Steps:
    """The commands of the steps, and the files they leave in a folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        """Select the papers."""
        self._folder, self._options = folder, options
        (folder / "cells").mkdir(parents=True, exist_ok=True)
        self._selection = folder / "selection.json"
        chosen = {"most": options.papers, "selection": self._selection}
        subprocess.run(self._command("select_papers", **self._model, **chosen), check=True)

    @property
    def _model(self) -> dict[str, Any]:
        return {"embeddings": self._options.vectors, "papers": self._options.labels}

    @property
    def papers(self) -> int:
        """How many papers take part."""
        return int(json.loads(self._selection.read_text())["papers"])

    def file(self, name: str) -> Path:
        """Return the file of a reduction, whose report has the ending ``.json``, or of the neighbours."""
        return self._folder / f"{name}.npy"

    def command(self, step: str) -> list[str]:
        """Return the command of a step."""
        first, _, second = step.partition("/")
        labels, name = {"papers": self._options.labels}, step.replace("/", "-")
        cell = self._folder / "cells" / name
        scores = {"scores": f"{cell}-scores.parquet"}
        method = {"seed": SEED, "threads": self._options.threads}
        near = {"neighbours": self.file(NEIGHBOURS)}
        if step == NEIGHBOURS:
            return self._command("find_neighbours", vectors=self.file(grid.NONE), **near)
        if step == SPACE:
            selected = {"selection": self._selection, **near}
            return self._command("score_space", **self._model, **selected, **scores)
        if first == "map":
            vectors, places = self.file(grid.NONE), self.file(second)
            of_map = {"map": places, "map-report": places.with_suffix(".json"), **near}
            shepard = {"shepard": f"{cell}-shepard.parquet"}
            return self._command(
                "score_map", vectors=vectors, **labels, **of_map, **scores, **shepard
            )
        made = self.file(first)
        report = made.with_suffix(".json")
        if not second:
            inputs = {"embeddings": self._options.vectors, "selection": self._selection}
            outputs = {"reduction": made, "report": report}
            of_step = {"method": grid.method_of(first), "dimensions": grid.dimensions_of(first)}
            return self._command("reduce_embeddings", **inputs, **of_step, **method, **outputs)
        of_cell = {"reduction": made, "reduction-report": report, **labels, "method": second}
        files = {
            "clusters": f"{cell}.parquet",
            "tree": f"{cell}-tree.npy",
            "report": f"{cell}.json",
        }
        return self._command("cluster_papers", **of_cell, **method, **files, **scores)

    def report(self, step: str) -> dict[str, Any]:
        """Return what a finished reduction or clustering tells of itself; nothing for the other steps."""
        cell = self._folder / "cells" / f"{step.replace('/', '-')}.json"
        path = cell if "/" in step else self.file(step).with_suffix(".json")
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    @staticmethod
    def _command(script: str, **options: Any) -> list[str]:
        named = (part for name, value in options.items() for part in (f"--{name}", str(value)))
        return [sys.executable, str(SCRIPTS / f"{script}.py"), *named]


def measured(step: str, steps: Steps, minutes: float, threads: int) -> dict[str, Any]:
    """Run a step; return its seconds, those of the processors, and its peak memory.

    Raises:
        InputError: the step failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        memory, log = Path(folder) / "memory", Path(folder) / "log"
        command = ["timeout", f"{minutes}m", *steps.command(step)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with log.open("wb") as file:
            code = subprocess.call(watched(command, memory), stderr=file, env=environment)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code not in (0, STOPPED):
            raise InputError(f"{step} failed:\n{log.read_text()}")
        peak = int(memory.read_text()) * 1024
    report = steps.report(step) if code == 0 else {}
    if "omitted" in report:
        raise InputError(f"{step} was omitted: {report['omitted']}")
    return {
        "step": step,
        "seconds": seconds,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "own_seconds": report.get("seconds"),
        "memory_bytes": peak,
        "stopped": code == STOPPED,
    }


def with_needed(wanted: list[str], steps: Steps) -> Iterator[str]:
    """Yield the steps in order, each after those that it needs and whose files are not in the folder."""
    for step in wanted:
        yield from (name for name in needed(step) if not steps.file(name).exists())
        yield step


def markdown(result: dict[str, Any]) -> str:
    """Return the table and the notes that are needed to read and reproduce it."""
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join(
        [
            "| step | seconds | of which the method | seconds of the processors | memory |",
            "|---|---|---|---|---|",
            *map(_line, result["rows"]),
            "",
            f"- {result['papers']:,} vectors of {result['components']} components, {result['vectors_file']}; one round, "
            f"{result['threads']} threads; seconds are of the whole process.",
            f"- {result['processor']['name']}; {packages}.",
            f"- {result['date']}, commit {result['commit']}: `{result['command']}`",
        ]
    )


def _line(row: dict[str, Any]) -> str:
    seconds = f"stopped after {row['seconds']:,.0f}" if row["stopped"] else f"{row['seconds']:,.1f}"
    own = "" if row["own_seconds"] is None else f"{row['own_seconds']:,.1f}"
    cells = [row["step"], seconds, own, f"{row['processor_seconds']:,.1f}"]
    return f"| {' | '.join(cells)} | {scaled(row['memory_bytes'])}B |"


def earlier_rows(table: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the rows by step that a run on the same ``inputs`` wrote to the table."""
    path = table.with_suffix(".json")
    if not path.exists():
        return {}
    result = json.loads(path.read_text())
    if other := [name for name, value in inputs.items() if result.get(name) != value]:
        raise InputError(
            f"{path} is of a run with other {', '.join(other)}. Choose another --table."
        )
    return {row["step"]: row for row in result["rows"]}


def main(options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    steps, known = Steps(options.folder, options), steps_of(options.dimensions)
    wanted = options.steps or known
    if unknown := sorted(set(wanted) - set(known)):
        raise InputError(f"unknown steps: {', '.join(unknown)}. There are {', '.join(known)}.")
    inputs = {
        "papers": steps.papers,
        "vectors_file": options.vectors.name,
        "components": open_matrix(options.vectors).shape[1],
        "threads": options.threads,
    }
    rows = earlier_rows(options.table, inputs)
    for step in with_needed(wanted, steps):
        print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)
        rows[step] = measured(step, steps, options.minutes, options.threads)
        in_order = sorted(rows.values(), key=lambda row: known.index(row["step"]))
        result = {**inputs, "rows": in_order, **machine(PACKAGES)}
        save(options.table, markdown(result), result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", type=Path, help=".npy file, float32 (n, d)")
    parser.add_argument("labels", type=Path, help="papers.parquet: a column for each level")
    parser.add_argument(
        "--table", type=Path, required=True, help="file to write, without its ending"
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the files of the steps")
    parser.add_argument("--papers", type=int, default=30_000, help="the first so many take part")
    parser.add_argument("--dimensions", type=int, default=300, help="of the reductions to cluster")
    parser.add_argument("--steps", nargs="+", help="only these, in this order")
    parser.add_argument("--minutes", type=float, default=60, help="limit of each step")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    try:
        main(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))
