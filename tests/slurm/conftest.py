"""A real cluster for the whole session, and working directories whose shards are not embedded yet."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from slurm.cluster import ACCOUNT, Cluster, obstacle, wait_for
from support.once import built_once
from support.running import ROOT, Finished, Workflow, model, with_snapshot

SHARDS = 8
# The number of GPUs of the cluster.
GPUS = 4
SHORT: dict[str, Any] = {"sample": {"size": 80}, "shards": {"size": 10}}
# One shard per GPU.
FEW: dict[str, Any] = {**SHORT, "sample": {"size": 40}}
TWO: dict[str, Any] = {**SHORT, "sample": {"size": 20}}
# One shard of a quarter of a minute or more, in several chunks, so that a test can interrupt it.
LONG: dict[str, Any] = {
    "sample": {"size": 700},
    "shards": {"size": 700},
    "models": [model(max_length=128)],
}


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a disk of its own (a tmpfs) on a folder, or skip the test."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Fill the disk of a folder."""
    with contextlib.suppress(OSError), (place / "full").open("wb") as file:
        while True:
            file.write(b"x" * 1_000)
            file.flush()


def heed_the_terminal() -> None:
    """Let a new process end on Ctrl-C and hang-up: a shell that runs the tests in the background may ignore both."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Attempt(NamedTuple):
    """One execution of a job of the workflow by SLURM."""

    job: str
    state: str
    comment: str
    node: str
    start: str
    end: str
    gpus: int


class SlurmWorkflow(Workflow):
    """A working directory that submits jobs to the test cluster with the shipped profile."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.began = time.strftime("%Y-%m-%dT%H:%M:%S")
        self.env = {
            **os.environ,
            **cluster.env,
            "EMBED_ACCOUNT": ACCOUNT,
            "EMBED_CPU_PARTITION": "cpu",
            "EMBED_GPU_PARTITION": "gpu",
            # The simulated GPUs cannot compute.
            "EMBED_DEVICE": "cpu",
        }

    def command(self, *options: str) -> list[str]:
        """Return the command line of a run with the profile and shorter intervals of status checks.

        Options that begin with ``embed_shard:`` are resources of shards. They replace all resources of shards in
        the profile, so the required ones are added again.
        """
        command = super().command()
        cores = command.index("--cores")
        del command[cores : cores + 2]
        resources = [option for option in options if option.startswith("embed_shard:")]
        if resources:
            block = ("slurm_partition=gpu", "device=cpu", "nodes=1")
            resources = [*(f"embed_shard:{entry}" for entry in block), *resources]
        return [
            *command,
            *("--profile", str(ROOT / "slurm"), "--latency-wait", "10"),
            *("--slurm-patient-init-seconds-before-status-checks", "2"),
            *(["--set-resources", *resources] if resources else []),
            *[option for option in options if not option.startswith("embed_shard:")],
        ]

    def start(self, *options: str, **changes: Any) -> "subprocess.Popen[str]":
        """Start a run in its own process session; its output goes to ``run.log``."""
        self.configure(**changes)
        with (self.folder / "run.log").open("w") as log:
            return subprocess.Popen(
                self.command(*options),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=self.env,
                start_new_session=True,
                preexec_fn=heed_the_terminal,
            )

    def finish(self, run: "subprocess.Popen[str]", code: int = 0) -> Finished:
        """Wait for the end of a started run; fail the test if the exit code is not ``code``."""
        run.wait(timeout=1_800)
        output = (self.folder / "run.log").read_text()
        assert run.returncode == code, output
        return Finished(run.returncode, output)

    def status(self) -> str:
        """Return what `make status` prints."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "workflow/scripts/show_status.py")],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def attempts(self, rule: str = "embed_shard") -> list[Attempt]:
        """Return all executions of jobs of ``rule`` as sacct reports them, oldest first.

        This waits first: a run detects the end of a job before SLURM has cleaned up the job.
        """
        wait_for(lambda: not self.running(), 60, "no shard runs")
        text = self.cluster.run(
            *("sacct", "--allocations", "--duplicates", "--noheader", "--parsable2"),
            *("--starttime", self.began, "--user", "root"),
            "--format=JobID,State,Comment,NodeList,Start,End,AllocTRES",
        )
        attempts = []
        for line in text.splitlines():
            job, state, comment, node, start, end, tres = line.split("|")
            if f"rule_{rule}" in comment:
                gpus = tres.count("gres/gpu=1")
                attempts.append(Attempt(job, state, comment, node, start, end, gpus))
        return attempts

    def running(self) -> dict[str, str]:
        """Return the running shards as a mapping from the comment of a job to its id."""
        text = self.cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%A|%k")
        jobs = (line.split("|") for line in text.splitlines())
        return {comment: job for job, comment in jobs if "embed_shard" in comment}

    def wait_for_running(self, count: int = 1) -> dict[str, str]:
        """Wait until at least ``count`` shards run."""
        wait_for(lambda: len(self.running()) >= count, 120, f"{count} shards run")
        return self.running()

    def wait_for_chunk(self) -> None:
        """Wait until a chunk of a shard is saved."""
        wait_for(self.pieces, 300, "the first chunk is there")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if reason := obstacle():
        pytest.skip(reason)
    with Cluster() as running:
        yield running


class Prepared(NamedTuple):
    """A working directory in which only the shards are missing, and the expected embeddings."""

    workflow: Workflow
    embeddings: np.ndarray


Prepare = Callable[[str, int, dict[str, Any]], Prepared]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Prepare:
    """Run the workflow on this machine without SLURM, keep its embeddings as expected, and remove its shards."""

    def prepare(name: str, records: int, settings: dict[str, Any]) -> Prepared:
        def build(folder: Path) -> None:
            workflow = with_snapshot(folder, records)
            workflow.run(**settings)
            (workflow.results / "minilm/embeddings.npy").rename(folder / "expected.npy")
            shutil.rmtree(workflow.results / "minilm")

        folder = built_once(tmp_path_factory, worker_id, name, build)
        return Prepared(Workflow(folder), np.load(folder / "expected.npy"))

    return prepare


@pytest.fixture(scope="session")
def short(prepared: Prepare) -> Prepared:
    """Eight shards of one or two seconds."""
    return prepared("short", 300, SHORT)


@pytest.fixture(scope="session")
def long(prepared: Prepare) -> Prepared:
    """One shard of a quarter of a minute or more, in three chunks."""
    return prepared("long", 2_200, LONG)


@pytest.fixture
def shards(short: Prepared, cluster: Cluster, tmp_path: Path) -> SlurmWorkflow:
    return SlurmWorkflow(short.workflow.copy(tmp_path).folder, cluster)


@pytest.fixture
def long_shard(long: Prepared, cluster: Cluster, tmp_path: Path) -> SlurmWorkflow:
    return SlurmWorkflow(long.workflow.copy(tmp_path).folder, cluster)


def check(workflow: SlurmWorkflow, expected: Prepared) -> None:
    """Assert that the embeddings equal those of the undisturbed local run, and that every piece is undamaged."""
    embeddings = workflow.embeddings()
    cosines = (embeddings * expected.embeddings[: len(embeddings)]).sum(axis=1)
    assert cosines.min() > 0.99999
    for piece in workflow.pieces():
        piece.verify()


def assert_resumed(workflow: SlurmWorkflow) -> None:
    """Assert that the last job of the only shard found chunks of the previous job and embedded the rest."""
    [name] = workflow.shard_names()
    counts = json.loads((workflow.results / f"minilm/shards/{name}.json").read_text())
    assert counts["found"] > 0
    assert counts["embedded"] > 0
    log = (workflow.folder / f"logs/test/minilm/embed_shard/{name}.log").read_text()
    assert f"{counts['found']} were in the vector store" in log
