"""Time whole embedding jobs with different numbers of processes, threads and shards, and the parts of a job.

    python bench/scaling.py PAPERS MODEL --table TABLE

All runs embed the same papers on the CPU, in jobs as the workflow starts them. A run lasts from the start of the first
process to the end of the last. The parts of a job are timed one after another in a separate process; in a job, reading
and tokenizing run in parallel to the forward pass.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import job
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from result import about, save
from texts import read_texts

PARTS = Path(__file__).with_name("parts.py")
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def seconds_of_run(
    inputs: job.Inputs, papers: int, processes: int, threads: int, shards: int
) -> float:
    """Return the seconds for ``papers`` papers in ``shards`` shards with ``processes`` jobs at a time."""
    bounds = [papers * number // shards for number in range(shards + 1)]
    todo = iter(enumerate(itertools.pairwise(bounds)))
    began = time.perf_counter()
    while together := list(itertools.islice(todo, processes)):
        started = time.perf_counter()
        jobs = {
            f"{number:05d}": job.start(inputs, f"{number:05d}", first, last, threads)
            for number, (first, last) in together
        }
        for shard, process in jobs.items():
            job.finish(inputs, shard, process, started)
    return time.perf_counter() - began


def parts_of_job(inputs: job.Inputs, papers: int, threads: int) -> dict[str, float]:
    """Return the seconds of each part of a job, timed one after another in a separate process."""
    done = subprocess.run(
        [
            *(sys.executable, str(PARTS), str(time.time()), str(inputs.papers), str(papers)),
            *(str(inputs.model), inputs.settings.to_json(), str(threads)),
            str(inputs.folder / "parts.npy"),
        ],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    parts: dict[str, float] = json.loads(done.stdout)
    return parts


def measure(inputs: job.Inputs, options: argparse.Namespace) -> dict[str, Any]:
    """Time the runs and the parts of a job in turns; return the medians."""
    cores = options.cores
    setups = [(1, threads, 1) for threads in dict.fromkeys((1, cores))]
    setups += [
        (processes, cores // processes, processes)
        for processes in (2, cores)
        if 1 < processes <= cores
    ]
    setups = list(dict.fromkeys([*setups, (1, cores, options.shards)]))
    seconds: dict[tuple[int, int, int], list[float]] = {setup: [] for setup in setups}
    parts: list[dict[str, float]] = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        for setup, times in seconds.items():
            times.append(seconds_of_run(inputs, options.count, *setup))
        parts.append(parts_of_job(inputs, options.count, cores))
    runs = []
    for (processes, threads, shards), times in seconds.items():
        median = statistics.median(times)
        shape = {"processes": processes, "threads": threads, "shards": shards}
        runs.append({**shape, "seconds": median, "papers_per_second": options.count / median})
    medians = {name: statistics.median(one[name] for one in parts) for name in parts[0]}
    return {"runs": runs, "parts": medians}


def markdown(result: dict[str, Any]) -> str:
    """Return both tables and the notes for them as Markdown."""
    lines = [
        "| processes at a time | threads each | shards | seconds | papers/s |",
        "|---|---|---|---|---|",
    ]
    for run in result["runs"]:
        shape = f"| {run['processes']} | {run['threads']} | {run['shards']}"
        lines.append(f"{shape} | {run['seconds']:.1f} | {run['papers_per_second']:.1f} |")
    total = sum(result["parts"].values())
    lines += ["", "| part of a job | seconds | share |", "|---|---|---|"]
    lines += [
        f"| {part} | {seconds:.2f} | {seconds / total:.0%} |"
        for part, seconds in result["parts"].items()
    ]
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    processor = result["processor"]["name"]
    return "\n".join(
        [
            *lines,
            "",
            f"- {result['papers']:,} papers of {result['papers_file']}, at most {result['max_length']} tokens, {result['model']}; "
            f"medians of {result['rounds']} round(s).",
            f"- {processor}, {result['cores']} cores; {packages}.",
            f"- {result['date']}, commit {result['commit']}: `{result['command']}`",
            "",
            "Seconds are from the start of the first process to the end of the last. The parts are timed one after "
            "another; in a job, reading and tokenizing run in parallel to the forward pass.",
        ]
    )


def main(options: argparse.Namespace) -> None:
    texts = read_texts(options.papers, options.count)
    settings = EncoderSettings(max_length=options.max_length)
    with tempfile.TemporaryDirectory() as folder:
        inputs = job.prepare(Path(folder), texts, options.model, settings, "cpu")
        measured = measure(inputs, options)
    result = {
        **about(options, len(texts), PACKAGES),
        "cores": options.cores,
        **measured,
    }
    save(options.table, markdown(result), result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Time embedding jobs with different numbers of processes and shards."
    )
    parser.add_argument("papers", type=Path, help="Parquet with a topic column, or a snapshot")
    parser.add_argument("model", type=Path, help="folder of a checkpoint")
    parser.add_argument(
        "--table", type=Path, required=True, help="file to write, without its ending"
    )
    parser.add_argument("--count", type=int, default=800, help="number of papers to embed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--shards", type=int, default=4, help="number of shards that run one after another"
    )
    parser.add_argument("--max-length", type=int, default=512)
    try:
        main(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))
