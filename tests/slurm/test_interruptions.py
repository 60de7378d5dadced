"""After an interruption of a run, a node or SLURM itself, a run still ends with the embeddings of an undisturbed run."""

import os
import signal
import subprocess

import pytest
from slurm.cluster import wait_for
from slurm.conftest import FEW, GPUS, LONG, TWO, Prepared, SlurmWorkflow, assert_resumed, check


def test_the_shards_of_a_lost_node_run_on_the_other_node(
    shards: SlurmWorkflow, short: Prepared
) -> None:
    run = shards.start(**FEW)
    shards.wait_for_running(4)
    shards.cluster.kill_slurmd("node2", with_jobs=True)
    try:
        shards.finish(run)
        check(shards, short)
        assert len({attempt.comment for attempt in shards.attempts()}) == GPUS
        last = {attempt.comment: attempt for attempt in shards.attempts()}
        assert {attempt.state for attempt in last.values()} == {"COMPLETED"}
    finally:
        shards.cluster.start_slurmd("node2")
        wait_for(
            lambda: set(shards.cluster.node_states().values()) == {"idle"}, 120, "node2 is back"
        )


def test_a_preempted_shard_resumes_after_its_requeue(
    long_shard: SlurmWorkflow, long: Prepared
) -> None:
    run = long_shard.start(**LONG)
    (job,) = long_shard.wait_for_running().values()
    long_shard.wait_for_chunk()
    # A job that takes all GPUs until the shard is preempted.
    urgent = ("--partition=urgent", "--nodes=2", "--gpus-per-node=2", "--mem=100")
    blocker = long_shard.cluster.run(
        "sbatch", "--parsable", "--output=/dev/null", *urgent, "--wrap=sleep 600"
    ).strip()
    wait_for(lambda: not long_shard.running(), 60, "the shard is preempted")
    long_shard.cluster.run("scancel", blocker)
    output = long_shard.finish(run).output
    check(long_shard, long)
    assert "Error in rule" not in output
    assert {attempt.job for attempt in long_shard.attempts()} == {job}
    assert_resumed(long_shard)
    states = [attempt.state for attempt in long_shard.attempts()]
    assert states == ["PREEMPTED", "COMPLETED"]


@pytest.mark.parametrize("wait", [False, True], ids=["at once", "when the jobs are done"])
def test_snakemake_is_killed_and_restarted(
    shards: SlurmWorkflow, short: Prepared, wait: bool
) -> None:
    run = shards.start(**TWO)
    shards.wait_for_running(2)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert "its process is gone" in shards.status()
    if wait:
        wait_for(lambda: not shards.cluster.run("squeue", "--noheader"), 180, "the jobs are done")
        for piece in shards.pieces():
            piece.verify()
    unlock = subprocess.run(shards.command("--unlock"), env=shards.env, capture_output=True)
    assert unlock.returncode == 0, unlock.stderr
    shards.finish(shards.start(**TWO))
    assert "it succeeded" in shards.status()
    wait_for(lambda: not shards.cluster.run("squeue", "--noheader"), 180, "no job is left")
    check(shards, short)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_run_is_ended_from_the_terminal(
    shards: SlurmWorkflow, short: Prepared, number: signal.Signals
) -> None:
    """Ctrl-C cancels the jobs; a closed terminal does not. In both cases the next run completes."""
    run = shards.start(**TWO)
    shards.wait_for_running(2)
    run.send_signal(number)
    run.wait(timeout=120)
    assert run.returncode != 0
    if number == signal.SIGINT:
        assert "it failed or was stopped" in shards.status()
        wait_for(lambda: not shards.running(), 60, "the jobs are cancelled")
    else:
        wait_for(lambda: not shards.cluster.run("squeue", "--noheader"), 180, "the jobs are done")
        assert shards.pieces()
    unlock = subprocess.run(shards.command("--unlock"), env=shards.env, capture_output=True)
    assert unlock.returncode == 0, unlock.stderr
    shards.finish(shards.start(**TWO))
    check(shards, short)


def test_slurmctld_is_temporarily_unavailable(shards: SlurmWorkflow, short: Prepared) -> None:
    """The run continues, even if jobs that start in the meantime fail at their first step and are retried.

    slurmctld is frozen, not restarted: slurmctld 22.05 does not free the GPUs of jobs that ran during its restart.
    """
    run = shards.start(**TWO)
    shards.wait_for_running(2)
    shards.cluster.freeze_slurmctld()
    log = shards.folder / "run.log"
    try:
        wait_for(lambda: "squeue does not answer" in log.read_text(), 120, "Snakemake notices")
        assert run.poll() is None
    finally:
        shards.cluster.thaw_slurmctld()
    shards.finish(run)
    check(shards, short)
