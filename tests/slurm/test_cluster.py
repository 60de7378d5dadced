"""The temporary cluster behaves like a real cluster, and it leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm.cluster import (
    ACCOUNT,
    CGROUPS,
    NODES,
    PROGRAMS,
    Cluster,
    ClusterError,
    missing_packages,
    obstacle,
    wait_for,
)

ALL_IDLE = dict.fromkeys(NODES, "idle")
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"}
# It runs for ten minutes, but ends at once when SLURM restarts it.
SHORT_WHEN_REQUEUED = "[ $SLURM_RESTART_COUNT ] || sleep 600"

needs_cluster = pytest.mark.skipif(bool(obstacle()), reason=obstacle())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reasons := obstacle():
        pytest.skip(reasons)
    with Cluster() as running:
        yield running


def submit(cluster: Cluster, script: str, *options: str) -> str:
    """Submit a job that writes no log, and return its id."""
    command = ("sbatch", "--parsable", "--output=/dev/null", f"--wrap={script}")
    return cluster.run(*command, *options).strip()


def state(cluster: Cluster, job: str) -> str:
    """Return the state of a job as sacct reports it; "" while sacct does not list the job."""
    options = ("--allocations", "--noheader", "--parsable2", "--format=State")
    return (cluster.run("sacct", *options, f"--jobs={job}").split() or [""])[0]


def running(cluster: Cluster, job: str) -> str:
    """Wait until a job runs, and return its id."""
    wait_for(lambda: state(cluster, job) == "RUNNING", 60, f"job {job} runs")
    return job


def final_state(cluster: Cluster, job: str) -> str:
    """Wait until a job has ended, and return its final state."""
    wait_for(lambda: state(cluster, job) in FINAL, 120, f"job {job} ends")
    return state(cluster, job)


def processes_of(folder: Path) -> list[int]:
    """Return the processes that have the folder in their command line or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in text:
            found.append(int(entry.name))
    return found


def test_both_nodes_are_idle(cluster: Cluster) -> None:
    assert cluster.node_states() == ALL_IDLE


@pytest.mark.parametrize(("count", "devices"), [(1, "0"), (2, "0,1")])
def test_a_job_sees_the_gpus_it_asked_for(cluster: Cluster, count: int, devices: str) -> None:
    command = ("srun", "--partition=gpu", f"--gpus={count}", "printenv", "CUDA_VISIBLE_DEVICES")
    assert cluster.run(*command).strip() == devices


def test_four_jobs_get_a_gpu_each(cluster: Cluster, tmp_path: Path) -> None:
    script = f"""
        cd {tmp_path}
        echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > $SLURM_ARRAY_TASK_ID
        until [ -e go ]; do sleep 0.1; done"""
    submit(cluster, script, "--partition=gpu", "--gpus=1", "--array=0-3")

    def gpus() -> list[str]:
        return [file.read_text().strip() for file in tmp_path.iterdir() if file.read_text()]

    try:
        wait_for(lambda: len(gpus()) == 4, 60, "four jobs run at the same time")
        assert sorted(gpus()) == ["node1 0", "node1 1", "node2 0", "node2 1"]
    finally:
        (tmp_path / "go").touch()


@pytest.mark.parametrize(("script", "end"), [("true", "COMPLETED"), ("exit 3", "FAILED")])
def test_sacct_reports_how_a_job_ended(cluster: Cluster, script: str, end: str) -> None:
    assert final_state(cluster, submit(cluster, script)) == end


def test_memory_is_enforced(cluster: Cluster) -> None:
    if not cluster.cgroup:
        pytest.skip("SLURM cannot use cgroups here")
    script = f"{sys.executable} -c 'b\"x\" * (300 << 20)'"
    assert final_state(cluster, submit(cluster, script, "--mem=50")) == "OUT_OF_MEMORY"
    assert final_state(cluster, submit(cluster, script, "--mem=400")) == "COMPLETED"


def test_only_known_accounts_are_accepted(cluster: Cluster) -> None:
    assert final_state(cluster, submit(cluster, "true", f"--account={ACCOUNT}")) == "COMPLETED"
    with pytest.raises(ClusterError, match="Invalid account"):
        submit(cluster, "true", "--account=unheard-of")


def test_an_urgent_job_requeues_another(cluster: Cluster) -> None:
    whole_cluster = ("--nodes=2", "--exclusive")
    job = submit(cluster, SHORT_WHEN_REQUEUED, "--partition=gpu", *whole_cluster)
    running(cluster, job)
    urgent = submit(cluster, "true", "--partition=urgent", *whole_cluster)
    assert final_state(cluster, urgent) == "COMPLETED"
    assert final_state(cluster, job) == "COMPLETED"


def test_jobs_outlive_a_stop_of_slurmctld(cluster: Cluster, tmp_path: Path) -> None:
    job = running(cluster, submit(cluster, f"until [ -e {tmp_path}/go ]; do sleep 0.1; done"))
    cluster.stop_slurmctld()
    with pytest.raises(ClusterError, match="Unable to contact"):
        cluster.node_states()
    cluster.start_slurmctld()
    (tmp_path / "go").touch()
    assert final_state(cluster, job) == "COMPLETED"


def test_jobs_outlive_a_crash_of_slurmd(cluster: Cluster, tmp_path: Path) -> None:
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.1; done"
    job = running(cluster, submit(cluster, script, "--nodelist=node1"))
    cluster.kill_slurmd("node1")
    cluster.start_slurmd("node1")
    (tmp_path / "go").touch()
    assert final_state(cluster, job) == "COMPLETED"


def test_a_job_of_a_lost_node_is_requeued_on_the_other_node(cluster: Cluster) -> None:
    job = running(cluster, submit(cluster, SHORT_WHEN_REQUEUED))
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    cluster.kill_slurmd(node, with_jobs=True)
    wait_for(lambda: cluster.node_states()[node].startswith("down"), 90, "the node is down")
    # Its state is NODE_FAIL until it is restarted.
    assert final_state(cluster, job) == "COMPLETED"
    cluster.start_slurmd(node)
    wait_for(lambda: cluster.node_states() == ALL_IDLE, 60, "the node is back")


@needs_cluster
def test_down_leaves_nothing_behind() -> None:
    with Cluster() as cluster:
        running(cluster, submit(cluster, "sleep 600", "--export=NONE"))
        assert len(processes_of(cluster.folder)) > len(PROGRAMS)
    assert not cluster.folder.exists()
    assert not processes_of(cluster.folder)
    assert not list(CGROUPS.glob(f"*/*{cluster.folder.name}*"))
    cluster.down()


@needs_cluster
def test_a_cluster_is_removed_when_its_process_is_killed() -> None:
    program = """
import os, cluster
running = cluster.Cluster()
running.up()
print(running.folder, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    folder = Path(done.stdout.strip())
    wait_for(lambda: not folder.exists() and not processes_of(folder), 60, "nothing is left")


@needs_cluster
def test_up_replaces_a_killed_cluster(cluster: Cluster) -> None:
    with Cluster() as killed:
        running(killed, submit(killed, "sleep 600"))
        for pid in processes_of(killed.folder):
            os.kill(pid, signal.SIGKILL)
        killed.up()
        assert killed.node_states() == ALL_IDLE
    # Another running cluster is not affected.
    assert final_state(cluster, submit(cluster, "true")) == "COMPLETED"


@needs_cluster
def test_the_output_of_a_failed_daemon_is_reported_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slurm.cluster.GRES_CONF", "NoSuchSetting=1\n")
    cluster = Cluster()
    with pytest.raises(ClusterError, match=r"(?s)node1 exited with 1.*NoSuchSetting"):
        cluster.up()
    assert not cluster.folder.exists()
    assert not processes_of(cluster.folder)


@needs_cluster
def test_command_line() -> None:
    folder = Cluster().folder

    def call(command: str) -> subprocess.CompletedProcess[str]:
        program = Path(__file__).with_name("cluster.py")
        arguments = [sys.executable, str(program), command, "--folder", str(folder)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    try:
        assert call("up").returncode == 0
        lines = call("env").stdout.splitlines()
        assert lines[0] == f"export SLURM_CONF={folder}/slurm.conf"
        assert lines[1].startswith(f"export PATH={folder}/bin:")
        assert Cluster(folder).node_states() == ALL_IDLE
    finally:
        assert call("down").returncode == 0
    assert not processes_of(folder)
    assert call("down").returncode == 0
    assert "there is no cluster in" in call("env").stderr


def test_down_does_not_delete_a_folder_that_is_not_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").touch()
    with pytest.raises(ClusterError, match="is not the folder of a cluster"):
        Cluster(tmp_path).down()
    assert (tmp_path / "slurm.conf").exists()


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this is not Debian")
def test_missing_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurm.cluster.PACKAGES", ("dpkg", "no-such-package"))
    assert missing_packages() == ["no-such-package"]
    assert "missing packages: no-such-package" in obstacle()
