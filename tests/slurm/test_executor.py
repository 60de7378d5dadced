"""How the executor handles failures of a real cluster, checked with sacct.

The workflows are minimal, so that only SLURM and the executor are tested. The scenarios run in parallel on one
cluster. A scenario that changes a partition or an account has its own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from slurm.cluster import ACCOUNT, NODES, Cluster, obstacle, wait_for
from slurm.conftest import fill, heed_the_terminal, mounted
from support.running import ROOT

from slurm import cluster as definition

# The type of the GPUs of node2.
TYPE = "a100-sxm4-80gb"
AT_A_TIME = 4

# It runs for ten minutes, but only the first time.
STUCK_ONCE = "[ -e {output}.again ] || {{ touch {output}.again; sleep 600; }}; touch {output}"


class Attempt(NamedTuple):
    """A SLURM job as sacct reports it."""

    job: str
    state: str
    limit: str
    memory: str
    nodes: str
    tres: str


class Run:
    """A run of a small workflow with the shipped profile."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        (folder / "bin").mkdir(parents=True)
        self.env = {**os.environ, **cluster.env, "EMBED_ACCOUNT": ACCOUNT}
        self.env["PATH"] = f"{folder}/bin:{cluster.env['PATH']}"
        self.log = folder / "run.log"

    def write(self, shell: str, jobs: int = 1, **resources: object) -> None:
        """Write a Snakefile whose jobs run a shell command."""
        resources = {"runtime": "10m", **resources}
        lines = "".join(f"        {name}={value!r},\n" for name, value in resources.items())
        (self.folder / "Snakefile").write_text(
            f'rule all:\n    input:\n        expand("{{i}}.out", i=range({jobs}))\n'
            "    localrule: True\n"
            'rule work:\n    output:\n        "{i}.out"\n    resources:\n'
            f'        mem="500MB",\n{lines}    shell:\n        {shell!r}\n'
        )

    def replace(self, program: str, script: str) -> None:
        """Replace a command of SLURM by a script; the script can call the command as $real."""
        file = self.folder / "bin" / program
        file.write_text(f"#!/bin/sh\nreal={shutil.which(program)}\ncd {self.folder}\n{script}\n")
        file.chmod(0o755)

    def start(self, *options: str) -> None:
        """Start the run in its own process session; its output goes to ``run.log``."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "snakemake", "--nocolor", "--latency-wait", "10"),
                    *("--profile", str(ROOT / "slurm"), "--directory", str(self.folder)),
                    *("--snakefile", str(self.folder / "Snakefile")),
                    *("--slurm-patient-init-seconds-before-status-checks", "3", *options),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
                preexec_fn=heed_the_terminal,
            )

    def says(self, text: str) -> None:
        """Wait until the run prints a text."""
        wait_for(lambda: text in self.log.read_text(), 180, f"the run prints: {text}")

    def name(self) -> str:
        """Wait for the common name of all jobs of the run, and return it."""
        self.says("SLURM run ID: ")
        found = re.search(r"SLURM run ID: (\S+)", self.log.read_text())
        assert found
        return found[1]

    def queued(self, states: str = "PENDING,RUNNING") -> list[str]:
        """Return the ids of the jobs that wait or run."""
        query = ("squeue", "--noheader", f"--states={states}", "--format=%i")
        return self.cluster.run(*query, f"--name={self.name()}").split()

    def running(self, count: int = 1) -> list[str]:
        """Wait until at least ``count`` jobs run, and return their ids."""
        wait_for(lambda: len(self.queued("RUNNING")) >= count, 180, f"{count} jobs run")
        return self.queued("RUNNING")

    def stuck(self) -> str:
        """Wait until the job hangs in its first attempt, and return its id."""
        wait_for(lambda: list(self.folder.glob("*.again")), 180, "the job hangs")
        return self.running()[0]

    def interrupt(self) -> float:
        """Send SIGINT like Ctrl-C, wait for the end, and return the seconds until no job was left."""
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        wait_for(lambda: not self.queued(), 60, "no job is left")
        seconds = time.monotonic() - began
        self.process.wait(timeout=60)
        assert not list((self.folder / ".snakemake/locks").glob("*"))
        return seconds

    def finish(self, code: int = 0) -> str:
        """Wait for the end of the run, and return its output."""
        self.process.wait(timeout=600)
        output = self.log.read_text()
        assert self.process.returncode == code, output
        return output

    def attempts(self) -> list[Attempt]:
        """Return all jobs of the run as sacct reports them, oldest first."""
        columns = "JobID,State,Timelimit,ReqMem,NodeList,AllocTRES"
        text = self.cluster.run(
            *("sacct", "--allocations", "--duplicates", "--noheader", "--parsable2"),
            *(f"--name={self.name()}", f"--format={columns}"),
        )
        rows = [line.split("|") for line in text.splitlines()]
        return [Attempt(row[0], row[1].split()[0], *row[2:]) for row in rows]

    def states(self) -> list[str]:
        """Wait until all jobs have ended, and return their final states, oldest first."""
        submitted = self.log.read_text().count("has been submitted with SLURM jobid")
        alive = {"PENDING", "RUNNING", "COMPLETING"}

        def ended() -> bool:
            attempts = self.attempts()
            return len(attempts) >= submitted and not alive & {one.state for one in attempts}

        wait_for(ended, 60, "all jobs have ended")
        return [one.state for one in self.attempts()]


Scenario = Callable[[Run], None]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@scenario
def squeue_does_not_answer_while_a_job_is_cancelled(run: Run) -> None:
    run.write(STUCK_ONCE)
    error = "slurm_load_jobs error: Socket timed out on send/recv operation"
    run.replace("squeue", f'[ -e away ] && {{ echo "{error}" >&2; exit 1; }}; exec $real "$@"')
    run.start()
    job = run.stuck()
    (run.folder / "away").touch()
    run.says(f"squeue does not answer: {error}. The run asks again")
    run.cluster.run("scancel", job)
    time.sleep(5)
    (run.folder / "away").unlink()
    run.finish()
    assert run.states() == ["CANCELLED", "COMPLETED"]


@scenario
def a_job_leaves_squeue_and_sacct_knows_it(run: Run) -> None:
    run.write(STUCK_ONCE)
    # Jobs that ended are not listed, as after MinJobAge.
    run.replace("squeue", 'exec $real $(echo "$@" | sed s/--states=all//)')
    run.start()
    run.cluster.run("scancel", run.stuck())
    assert "its state is CANCELLED" in run.finish()
    assert run.states() == ["CANCELLED", "COMPLETED"]


@scenario
def a_job_leaves_squeue_and_sacct_is_missing(run: Run) -> None:
    """There is no efficiency report then, but the run does not fail."""
    run.write(STUCK_ONCE)
    run.replace("squeue", 'exec $real $(echo "$@" | sed s/--states=all//)')
    run.replace("sacct", "exit 127")
    run.start()
    run.cluster.run("scancel", run.stuck())
    output = run.finish()
    assert "neither squeue nor sacct lists it" in output
    assert "Traceback" not in output
    assert run.states() == ["CANCELLED", "COMPLETED"]


@scenario
def the_account_may_submit_one_job_at_a_time(run: Run) -> None:
    run.cluster.run("sacctmgr", "--immediate", "add", "account", "one")
    run.cluster.run(
        "sacctmgr", "--immediate", "add", "user", "root", "account=one", "MaxSubmitJobs=1"
    )
    run.env["EMBED_ACCOUNT"] = "one"
    run.write("touch {output}", jobs=2)
    run.start()
    output = run.finish()
    assert "sbatch does not accept jobs at present: sbatch: error: AssocMaxSubmitJobLimit" in output
    assert "Error in rule" not in output
    assert run.states() == ["COMPLETED"] * 2


@scenario
def the_partition_is_temporarily_inactive(run: Run) -> None:
    run.cluster.run("scontrol", "create", "PartitionName=sleepy", "Nodes=ALL", "State=INACTIVE")
    run.write("touch {output}", slurm_partition="sleepy")
    run.start()
    run.says("Required partition not available (inactive or drain)")
    run.cluster.run("scontrol", "update", "PartitionName=sleepy", "State=UP")
    assert "Error in rule" not in run.finish()
    assert run.states() == ["COMPLETED"]


@scenario
def slurmctld_is_temporarily_unreachable(run: Run) -> None:
    conf = Path(run.cluster.env["SLURM_CONF"]).read_text()
    elsewhere = run.folder / "elsewhere.conf"
    elsewhere.write_text(
        re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", conf) + "\nMessageTimeout=2\n"
    )
    run.replace("sbatch", f'[ -e back ] || export SLURM_CONF={elsewhere}; exec $real "$@"')
    run.write("touch {output}")
    run.start()
    run.says("Unable to contact slurm controller")
    (run.folder / "back").touch()
    assert "Error in rule" not in run.finish()
    assert run.states() == ["COMPLETED"]


@scenario
def sbatch_submits_a_job_and_times_out(run: Run) -> None:
    error = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    run.replace(
        "sbatch",
        f'[ -e once ] && exec $real "$@"; touch once; $real "$@"; '
        f'until [ -e 0.out.again ]; do sleep 0.2; done; echo "{error}" >&2; exit 1',
    )
    run.write(STUCK_ONCE)
    run.start()
    assert "Error in rule" not in run.finish()
    assert run.states() == ["CANCELLED", "COMPLETED"]


@scenario
def an_unknown_account_is_refused_at_once(run: Run) -> None:
    run.env["EMBED_ACCOUNT"] = "unheard-of"
    run.write("touch {output}")
    run.start()
    output = run.finish(code=1)
    assert "Invalid account" in output
    assert output.count("Error in rule") == 1
    assert run.attempts() == []


@scenario
def a_job_is_preempted_by_cancellation(run: Run) -> None:
    run.cluster.run(
        *("scontrol", "create", "PartitionName=spare", "Nodes=node2", "PreemptMode=CANCEL"),
        "PriorityTier=1",
    )
    run.write(STUCK_ONCE, slurm_partition="spare", slurm_extra="--gpus-per-node=2", nodes=1)
    run.start()
    run.stuck()
    urgent = ("--partition=urgent", "--nodelist=node2", "--gpus-per-node=2", "--mem=100")
    run.cluster.run("sbatch", "--output=/dev/null", *urgent, "--wrap=sleep 1")
    run.finish()
    assert run.states() == ["PREEMPTED", "COMPLETED"]


@scenario
def ctrl_c_while_squeue_hangs(run: Run) -> None:
    run.replace("squeue", '[ -e hang ] && touch hung && exec sleep 600; exec $real "$@"')
    run.write("sleep 600", jobs=3)
    run.start()
    run.running(3)
    (run.folder / "hang").touch()
    wait_for(lambda: (run.folder / "hung").exists(), 200, "squeue is called")
    assert run.interrupt() < 5
    assert run.states() == ["CANCELLED"] * 3


@scenario
def ctrl_c_during_submission(run: Run) -> None:
    # sbatch has submitted the job when it is killed.
    run.replace("sbatch", '$real "$@"; sleep 1')
    # Submitting them takes a minute, so that it goes on when the first jobs are seen to run, however busy the cluster is.
    run.write("sleep 600", jobs=60)
    run.start()
    run.running(2)
    assert run.interrupt() < 5
    time.sleep(3)
    assert run.queued() == []
    assert set(run.states()) == {"CANCELLED"}
    assert len(run.states()) < 60


@scenario
def sigterm_cancels_the_jobs(run: Run) -> None:
    run.write("sleep 600", jobs=2)
    run.start()
    run.running(2)
    run.process.terminate()
    run.process.wait(timeout=30)
    assert run.states() == ["CANCELLED"] * 2
    assert not list((run.folder / ".snakemake/locks").glob("*"))


def submit_snakemake(run: Run, *options: str) -> str:
    """Submit the shipped script that runs Snakemake as a job, and return its id."""
    run.write("sleep 600", jobs=2)
    arguments = ("--directory", run.folder, "--snakefile", run.folder / "Snakefile", "--nocolor")
    command = ("sbatch", "--parsable", f"--chdir={ROOT}", f"--output={run.log}", *options)
    script = ROOT / "slurm/run.sbatch"
    done = subprocess.run(
        [*command, script, *arguments], env=run.env, capture_output=True, text=True, check=True
    )
    wait_for(run.log.exists, 60, "Snakemake starts")
    return done.stdout.strip()


def check_that_all_is_cancelled(run: Run, job: str) -> None:
    query = ("squeue", "--noheader", f"--jobs={job}", "--states=PENDING,RUNNING,COMPLETING")
    wait_for(lambda: not run.cluster.run(*query), 240, "Snakemake has ended")
    assert run.queued() == []
    assert run.states() == ["CANCELLED"] * 2
    assert not list((run.folder / ".snakemake/locks").glob("*"))


@scenario
def snakemake_as_a_job_that_is_cancelled(run: Run) -> None:
    job = submit_snakemake(run)
    run.running(2)
    run.cluster.run("scancel", job)
    check_that_all_is_cancelled(run, job)


@scenario
def snakemake_as_a_job_that_reaches_its_time_limit(run: Run) -> None:
    job = submit_snakemake(run, "--time=2", "--signal=B:TERM@30")
    run.running(2)
    check_that_all_is_cancelled(run, job)


@scenario
def a_job_over_its_time_limit_gets_twice_as_much_if_the_partition_allows_it(run: Run) -> None:
    run.cluster.run("scontrol", "create", "PartitionName=brief", "Nodes=ALL", "MaxTime=1")
    run.write(STUCK_ONCE, jobs=2, runtime="1m")
    snakefile = run.folder / "Snakefile"
    partition = 'slurm_partition=lambda wildcards: ["brief", "cpu"][int(wildcards.i)],'
    snakefile.write_text(
        snakefile.read_text().replace("runtime=", f"{partition}\n        runtime=")
    )
    run.start()
    run.finish()
    assert sorted(run.states()) == ["COMPLETED"] * 2 + ["TIMEOUT"] * 2
    limits = sorted((one.state, one.limit) for one in run.attempts())
    assert limits == [
        ("COMPLETED", "00:01:00"),
        ("COMPLETED", "00:02:00"),
        ("TIMEOUT", "00:01:00"),
        ("TIMEOUT", "00:01:00"),
    ]
    assert {one.memory for one in run.attempts()} == {"500M"}


@scenario
def a_job_over_its_memory_limit_gets_twice_as_much(run: Run) -> None:
    if not run.cluster.cgroup:
        pytest.skip("memory limits are not enforced here: SLURM cannot use cgroups")
    run.write(f"{sys.executable} -c 'b\"x\" * (600 << 20)' && touch {{output}}")
    run.start()
    # SLURM itself may report the job as FAILED.
    assert "its state is OUT_OF_MEMORY" in run.finish()
    assert run.states()[1:] == ["COMPLETED"]
    assert [one.memory for one in run.attempts()] == ["500M", "1000M"]
    assert {one.limit for one in run.attempts()} == {"00:10:00"}


@scenario
def a_type_of_gpu_with_a_hyphen(run: Run) -> None:
    extra = f"--gpus-per-node={TYPE}:1"
    run.write("printenv CUDA_VISIBLE_DEVICES > {output}", gpu=0, slurm_extra=extra)
    run.start()
    run.finish()
    assert (run.folder / "0.out").read_text().strip() in {"0", "1"}
    assert [(one.nodes, "gres/gpu=1" in one.tres) for one in run.attempts()] == [("node2", True)]


@scenario
def gpus_of_two_nodes_are_refused(run: Run) -> None:
    """Such a job would fail at its first step without a log."""
    run.write("touch {output}", gpu=4)
    run.start()
    assert "Requested node configuration is not available" in run.finish(code=1)
    # sacct may list what sbatch refused.
    assert {one.nodes for one in run.attempts()} <= {"None assigned"}


@scenario
def two_gpus_of_one_node(run: Run) -> None:
    run.write("printenv CUDA_VISIBLE_DEVICES > {output}", gpu=2)
    run.start()
    run.finish()
    assert (run.folder / "0.out").read_text() == "0,1\n"
    assert [one.nodes in NODES and "gres/gpu=2" in one.tres for one in run.attempts()] == [True]


@scenario
def a_full_disk_costs_only_the_efficiency_report(run: Run) -> None:
    report = run.folder / "logs/slurm/efficiency"
    report.mkdir(parents=True)
    run.write("touch {output}")
    with mounted(report, "size=16k"):
        fill(report)
        run.start()
        output = run.finish()
    assert "The efficiency report could not be written: " in output
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert run.states() == ["COMPLETED"]


@scenario
def a_cluster_with_a_default_account_and_partition_needs_no_settings(run: Run) -> None:
    del run.env["EMBED_ACCOUNT"]
    run.write("touch {output}")
    run.start()
    output = run.finish()
    assert run.states() == ["COMPLETED"]
    assert "guess" not in output


@scenario
def another_major_version_of_the_plugin_is_refused(run: Run) -> None:
    metadata = run.folder / "path/snakemake_executor_plugin_slurm-3.0.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Name: snakemake-executor-plugin-slurm\nVersion: 3.0.0\n")
    run.env["PYTHONPATH"] = str(run.folder / "path")
    run.write("touch {output}")
    run.start()
    assert "slurm-patient was tested with 2.8.0" in run.finish(code=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reasons := obstacle():
        pytest.skip(reasons)
    with pytest.MonkeyPatch.context() as patch:
        node2 = f"NodeName=node2 Gres=gpu:{TYPE}:2 NodeHostname"
        conf = definition.SLURM_CONF.replace("NodeName=node2 NodeHostname", node2)
        gres = definition.GRES_CONF.replace(
            "node2 Name=gpu Type=a100", f"node2 Name=gpu Type={TYPE}"
        )
        patch.setattr(definition, "SLURM_CONF", conf)
        patch.setattr(definition, "GRES_CONF", gres)
        with Cluster() as running:
            yield running


@pytest.fixture(scope="module")
def outcomes(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[None]]]:
    """Start the selected scenarios, several at a time."""
    chosen = {item.name for item in request.session.items}
    folder = tmp_path_factory.mktemp("runs")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            function.__name__: pool.submit(function, Run(cluster, folder / function.__name__))
            for function in SCENARIOS
            if f"test_executor[{function.__name__}]" in chosen
        }


@pytest.mark.parametrize("name", [function.__name__ for function in SCENARIOS])
def test_executor(name: str, outcomes: dict[str, Future[None]]) -> None:
    outcomes[name].result()
