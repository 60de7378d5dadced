"""Preflight predicts how a real cluster handles a request.

The two nodes differ: the first has more memory, the second more CPUs.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from arxiv_embeddings.slurm.limits import SINFO, Request
from arxiv_embeddings.slurm.preflight import find_problems
from slurm.cluster import ACCOUNT, NODES, SLURM_CONF, Cluster, ClusterError, obstacle, wait_for

REQUEST = Request("embed_shard", "gpu", ACCOUNT, cpus=8, mem_mb=10_000, minutes=1_440, gpus=2)

# Its node is switched off until a job needs it; until then sinfo does not list it.
CLOUD = """\
ResumeProgram=/bin/true
SuspendProgram=/bin/true
SuspendTime=60
NodeName=cloud1 State=CLOUD
PartitionName=cloud Nodes=cloud1 MaxTime=600
"""

Find = Callable[..., list[str]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reasons := obstacle():
        pytest.skip(reasons)
    with pytest.MonkeyPatch.context() as patch:
        conf = SLURM_CONF
        for node in ("NodeName=node1 RealMemory=20000", "NodeName=node2 RealMemory=10000 CPUs=8"):
            name = node.split()[0]
            assert f"{name} NodeHostname" in conf
            conf = conf.replace(f"{name} NodeHostname", f"{node} NodeHostname")
        conf = conf.replace(
            "PartitionName=DEFAULT Nodes=ALL",
            f"{CLOUD}PartitionName=DEFAULT Nodes={','.join(NODES)}",
        )
        patch.setattr("slurm.cluster.SLURM_CONF", conf)
        with Cluster() as running:
            yield running


@pytest.fixture
def find(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Run preflight for requests to the cluster; there are no other problems."""
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "snapshot.json").write_text("{}\n")

    def call(*requests: Request) -> list[str]:
        return find_problems(
            list(requests),
            snapshot_files=[tmp_path / "snapshot.json"],
            results=tmp_path / "results",
            model_sources={},
            models_folder=tmp_path / "models",
            bytes_needed=1_000,
            environment=Path("/usr"),
        )

    return call


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def submit(cluster: Cluster, request: Request, *options: str) -> str:
    """Submit a job that does nothing, and return the output of sbatch."""
    requested = {
        "partition": request.partition,
        "account": request.account,
        "cpus-per-task": request.cpus,
        "mem": request.mem_mb,
        "time": request.minutes,
        "gpus": request.gpus or None,
    }
    given = [f"--{name}={value}" for name, value in requested.items() if value is not None]
    fixed = ("--ntasks=1", "--output=/dev/null", "--wrap=true")
    return cluster.run("sbatch", *fixed, *given, *options)


def assert_waits_forever(cluster: Cluster, request: Request, reason: str) -> None:
    """Submit a job, check why SLURM holds it forever, and cancel it."""
    job = submit(cluster, request, "--parsable").strip()
    query = ("squeue", "--noheader", "--format=%r", f"--jobs={job}")
    try:
        wait_for(lambda: cluster.run(*query).strip() == reason, 60, f"job {job} waits: {reason}")
    finally:
        cluster.run("scancel", job)


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        replace(REQUEST, partition=None, account=None),
        replace(REQUEST, cpus=4, mem_mb=20_000),
        replace(REQUEST, partition="cpu,gpu", mem_mb=None, minutes=None, gpus=0),
    ],
)
def test_possible_requests_have_no_problem(request_: Request, find: Find, cluster: Cluster) -> None:
    assert find(request_) == []
    submit(cluster, request_, "--test-only")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cpus": 9}, "9 CPU(s), but partition gpu gives at most 8 CPU(s)"),
        ({"mem_mb": 20_001}, "20,001 MB of memory, but partition gpu gives at most 20,000 MB"),
        ({"mem_mb": 20_000}, "no node of partition gpu has everything that a job requests (8 CPU"),
        ({"gpus": 3}, "3 GPU(s), but partition gpu gives at most 2 GPU(s)"),
        ({"partition": "gpus"}, "no partition 'gpus'. Set slurm_partition in"),
        ({"partition": "gpus"}, "sinfo lists: cloud, cpu, gpu, urgent."),
        ({"account": "unheard-of"}, "you have no account 'unheard-of'."),
        ({"account": "unheard-of"}, f" Your accounts: {ACCOUNT}"),
        ({"partition": "$PARTITION"}, "the environment variable PARTITION is not set."),
        ({"partition": "$PARTITION"}, "sinfo lists: cloud, cpu, gpu, urgent."),
        ({"account": "${ACCOUNT}"}, "the environment variable ACCOUNT is not set."),
    ],
)
def test_requests_that_the_cluster_refuses_are_reported(
    changes: dict[str, object], problem: str, find: Find, cluster: Cluster
) -> None:
    request = replace(REQUEST, **changes)  # type: ignore[arg-type]
    line = only(find(request))
    assert line.startswith("embed_shard: ")
    assert problem in line
    with pytest.raises(ClusterError):
        submit(cluster, request, "--test-only")


def test_a_time_above_the_limit_is_reported(find: Find, cluster: Cluster) -> None:
    request = replace(REQUEST, minutes=1_441)
    assert "1,441 minutes, but partition gpu gives at most 1,440 minutes" in only(find(request))
    assert_waits_forever(cluster, request, "PartitionTimeLimit")


def test_a_partition_that_is_down_is_reported(find: Find, cluster: Cluster) -> None:
    request = replace(REQUEST, partition="urgent")
    cluster.run("scontrol", "update", "PartitionName=urgent", "State=DOWN")
    try:
        assert "partition urgent is not up" in only(find(request))
        assert_waits_forever(cluster, request, "PartitionDown")
    finally:
        cluster.run("scontrol", "update", "PartitionName=urgent", "State=UP")
    assert find(request) == []


def test_a_partition_whose_nodes_are_switched_off_is_accepted(find: Find, cluster: Cluster) -> None:
    request = replace(REQUEST, partition="cloud", cpus=4, minutes=600)
    assert "cloud|10:00:00|0|0|(null)|up\n" in cluster.run(*SINFO)
    assert find(request) == []
    submit(cluster, request, "--test-only")
    # Its time limit is known.
    assert "partition cloud gives at most 600 minutes" in only(find(replace(request, minutes=601)))


def test_hidden_partitions_are_found_and_empty_partitions_are_reported(
    find: Find, cluster: Cluster
) -> None:
    cluster.run("scontrol", "create", "PartitionName=secret", "Nodes=ALL", "Hidden=YES")
    cluster.run("scontrol", "create", "PartitionName=empty", "MaxTime=30")
    try:
        assert find(replace(REQUEST, partition="secret")) == []
        # Root sees the hidden partition in any case; other users see it only with --all.
        nobody = ("setpriv", "--reuid=65534", "--clear-groups")
        assert "secret|" in cluster.run(*nobody, *SINFO)
        assert "secret|" not in cluster.run(*nobody, *(word for word in SINFO if word != "--all"))
        assert "one where it fits: cpu, gpu, urgent, secret." in only(
            find(replace(REQUEST, partition="empty"))
        )
    finally:
        for name in ("secret", "empty"):
            cluster.run("scontrol", "delete", f"PartitionName={name}")
