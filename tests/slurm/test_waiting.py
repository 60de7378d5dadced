"""`make status` says why the jobs of a real cluster wait, and the commands that it prints help."""

import re
import subprocess

import pytest
from slurm.cluster import ACCOUNT, wait_for
from slurm.conftest import SHORT, TWO, Prepared, SlurmWorkflow, check

# What an administrator changes, how it is changed back, and what `make status` says in between.
USER = ("sacctmgr", "--immediate", "modify", "user", "root", "where", f"account={ACCOUNT}", "set")
QOS = ("sacctmgr", "--immediate", "modify", "qos", "normal", "set")
GPU = ("scontrol", "update", "PartitionName=gpu")
LIMITS = {
    "a limit of the user": (
        (*USER, "MaxJobs=1"),
        (*USER, "MaxJobs=-1"),
        "at a limit of the account or QOS, until other jobs end (AssocMaxJobsLimit)",
    ),
    "a limit of the QOS": (
        (*QOS, "MaxJobsPerUser=1"),
        (*QOS, "MaxJobsPerUser=-1"),
        "at a limit of the account or QOS, until other jobs end (QOSMaxJobsPerUserLimit)",
    ),
    "too many GPUs for one job": (
        (*QOS, "MaxTRESPerJob=gres/gpu=0"),
        (*QOS, "MaxTRESPerJob=gres/gpu=-1"),
        "for ever, as they request more than the account or QOS allows a job (QOSMaxGRESPerJob): "
        "interrupt the run, request less, and repeat the command",
    ),
    "a partition that is down": (
        (*GPU, "State=DOWN"),
        (*GPU, "State=UP"),
        "until administrators open the partition (PartitionDown)",
    ),
    # SLURM also ends the running jobs of the account.
    "no hours left": (
        (*USER, "GrpTRESMins=cpu=0"),
        (*USER, "GrpTRESMins=cpu=-1"),
        "as the hours of the account or QOS are used up (AssocGrpCPUMinutesLimit): "
        "ask the administrators for more, or use another account",
    ),
}


@pytest.fixture
def waiting(shards: SlurmWorkflow) -> tuple[SlurmWorkflow, "subprocess.Popen[str]", str]:
    """Start a run whose shards wait because another job has all GPUs; return the id of that job, too."""
    all_gpus = (
        f"--account={ACCOUNT}",
        "--partition=gpu",
        "--nodes=2",
        "--gpus-per-node=2",
        "--mem=100",
        "--time=60",
    )
    blocker = shards.cluster.run(
        "sbatch", "--parsable", "--output=/dev/null", *all_gpus, "--wrap=sleep 3000"
    ).strip()
    # A job that counts where an account may run one.
    shards.cluster.run(
        "sbatch", f"--account={ACCOUNT}", "--output=/dev/null", "--mem=100", "--wrap=sleep 3000"
    )
    run = shards.start(**SHORT)
    wait_for(lambda: len(pending(shards)) == 8, 180, "all shards wait")
    return shards, run, blocker


def pending(workflow: SlurmWorkflow) -> list[str]:
    """Return the ids of the shards that wait, oldest first."""
    text = workflow.cluster.run("squeue", "--noheader", "--states=PENDING", "--format=%A|%k")
    return sorted(line.split("|")[0] for line in text.splitlines() if "embed_shard" in line)


def reasons(workflow: SlurmWorkflow) -> list[str]:
    """Return what `make status` says of the jobs that wait."""
    return re.findall(r"^ +waiting  (.*)$", workflow.status(), re.MULTILINE)


def test_why_jobs_wait(
    waiting: tuple[SlurmWorkflow, "subprocess.Popen[str]", str], short: Prepared
) -> None:
    shards, run, blocker = waiting
    cluster = shards.cluster

    def says(line: str) -> None:
        wait_for(lambda: line in reasons(shards), 60, f"status says: {line}")

    def some(text: str) -> None:
        found = re.compile(rf"\d {re.escape(text)}")
        wait_for(lambda: any(map(found.fullmatch, reasons(shards))), 60, f"status says: {text}")

    some("for free resources (Resources)")
    some("behind jobs with a higher priority (Priority)")
    for change, back, text in LIMITS.values():
        cluster.run(*change)
        try:
            some(text)
        finally:
            cluster.run(*back)

    too_long = re.compile(
        r"\d for ever, as their time limit is above that of the partition \(PartitionTimeLimit\): "
        r"run (scontrol update JobId=[\d,]+ TimeLimit=)<limit of the partition>"
    )
    cluster.run(*GPU, "MaxTime=60")
    (command,) = wait_for(
        lambda: [found[1] for found in map(too_long.fullmatch, reasons(shards)) if found],
        60,
        "status says how to lower the time limit",
    )
    cluster.run(*f"{command}60".split())
    cluster.run(*GPU, "MaxTime=1-0")
    some("for free resources (Resources)")

    failed = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=false").strip()
    wait_for(
        lambda: failed not in cluster.run("squeue", "--noheader", "--format=%A"), 60, "it failed"
    )
    jobs = pending(shards)
    for job in jobs[1:3]:
        cluster.run("scontrol", "uhold", job)
    cluster.run("scontrol", "hold", jobs[3])
    cluster.run("scontrol", "update", f"JobId={jobs[4]}", "StartTime=now+1hour")
    cluster.run("scontrol", "update", f"JobId={jobs[5]}", f"Dependency=afterok:{failed}")
    says(f"2 held by you (JobHeldUser): run scontrol release {jobs[1]},{jobs[2]}")
    says(f"1 held by an administrator (JobHeldAdmin): ask the administrators to release {jobs[3]}")
    says("1 for their start time, as after a requeue (BeginTime)")
    says(
        "1 for ever, as a job that they depend on failed (DependencyNeverSatisfied): "
        f"run scontrol update JobId={jobs[5]} Dependency="
    )

    cluster.run("scancel", blocker)
    # The other three jobs need no help.
    wait_for(lambda: len(pending(shards)) == 5, 120, "the others ran")
    cluster.run("scontrol", "update", f"JobId={jobs[4]}", "StartTime=now")
    for line in reasons(shards):
        if helps := re.search(r"(?:run scontrol|ask the administrators to) (.*)", line):
            cluster.run("scontrol", *helps[1].split())
    shards.finish(run)
    check(shards, short)
    assert [attempt.state for attempt in shards.attempts()] == ["COMPLETED"] * 8


def test_a_job_that_no_node_could_start(shards: SlurmWorkflow, short: Prepared) -> None:
    """The prolog of a site fails, as on a node with a broken disk: SLURM drains the node and holds the job."""
    cluster = shards.cluster
    configuration = cluster.folder / "slurm.conf"
    before = configuration.read_text()
    configuration.write_text(f"{before}Prolog=/bin/false\n")
    cluster.run("scontrol", "reconfigure")
    try:
        run = shards.start(**TWO)
        held = re.compile(
            r"2 held because they could not be started on a node \(launch failed requeued held\): "
            r"report the node to the administrators, then run scontrol (release [\d,]+)"
        )
        (command,) = wait_for(
            lambda: [found[1] for found in map(held.fullmatch, reasons(shards)) if found],
            120,
            "status says that the jobs are held",
        )
    finally:
        configuration.write_text(before)
        cluster.run("scontrol", "reconfigure")
        for node, state in cluster.node_states().items():
            if state.startswith("drain"):
                cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
    cluster.run("scontrol", *command.split())
    shards.finish(run)
    check(shards, short)
    assert [attempt.state for attempt in shards.attempts()].count("COMPLETED") == 2
