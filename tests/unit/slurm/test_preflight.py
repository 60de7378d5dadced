"""What would stop a run is found before it starts: on this machine, and in the limits of the cluster."""

import logging
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from arxiv_embeddings.slurm import preflight
from arxiv_embeddings.slurm.limits import Request
from arxiv_embeddings.slurm.preflight import (
    bytes_needed,
    file_system,
    find_problems,
    unpacked_bytes,
)
from support.slurm_runs import SINFO, prints

PROFILE = "profiles/slurm/config.yaml"
REQUEST = Request("embed_shard", "gpu", None, cpus=8, mem_mb=16_000, minutes=120, gpus=1)
HUB_ID = "owner/model"
MEMORY = Path("/dev/shm")  # noqa: S108 (nothing is written there)

Find = Callable[..., list[str]]
Commands = Callable[..., None]


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Call ``find_problems`` on a run without any; a test changes what it is about."""
    for name in os.environ:
        if name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text('{"id": "0704.0001"}\n')

    def call(*requests: Request, **changes: object) -> list[str]:
        arguments = {
            "snapshot_files": [snapshot],
            "results": tmp_path / "results" / "arxiv",
            "model_sources": {"small": HUB_ID},
            "models_folder": tmp_path / "models",
            "bytes_needed": 1_000,
            "environment": Path("/usr"),
        }
        found: list[str] = find_problems(list(requests), **(arguments | changes))  # type: ignore[arg-type]
        assert not any("\n" in line for line in found)
        return found

    return call


@pytest.fixture
def sinfo(commands: Commands) -> None:
    """A sinfo that prints SINFO, and no sacctmgr."""
    commands(sinfo=prints(SINFO))


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_nothing_is_wrong(find: Find, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert find() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_all_problems_are_reported_at_once(find: Find, tmp_path: Path) -> None:
    assert len(find(snapshot_files=[tmp_path / "absent"], bytes_needed=10**18)) == 2


# The snapshot


def test_missing_snapshot(find: Find, tmp_path: Path) -> None:
    path = tmp_path / "absent.json"
    line = only(find(snapshot_files=[path]))
    assert line == (
        f"The snapshot {path} does not exist. Put it there, or set 'snapshot' in the config to its path."
    )


def test_empty_snapshot(find: Find, tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    assert "is empty. Download it again." in only(find(snapshot_files=[tmp_path / "empty.json"]))


def test_snapshot_that_is_not_a_regular_file(find: Find, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert "is not a regular file" in only(find(snapshot_files=[path]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_snapshot_without_permission(find: Find, tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    path.chmod(0)
    assert "cannot be read (Permission denied)" in only(find(snapshot_files=[path]))


def test_snapshot_on_a_broken_disk(find: Find) -> None:
    # The file opens, but its first byte cannot be read.
    assert "cannot be read (Input/output error)" in only(
        find(snapshot_files=[Path("/proc/self/mem")])
    )


# The results folder


def test_full_disk(find: Find, tmp_path: Path) -> None:
    line = only(find(bytes_needed=10**18))
    expected = r"has [\d.]+ GB free, but this run may write 1000000000\.0 GB more\. Free space, or "
    assert re.search(expected, line)
    assert str(tmp_path / "results" / "arxiv") in line


def test_what_is_in_the_results_needs_no_more_space(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results" / "arxiv"
    folder.mkdir(parents=True)

    class Usage:
        free = 1_000

    monkeypatch.setattr("arxiv_embeddings.slurm.preflight.shutil.disk_usage", lambda path: Usage)
    assert find(bytes_needed=1_000) == []
    assert "GB more" in only(find(bytes_needed=11_000))
    (folder / "shard.npy").write_bytes(bytes(10_000))
    assert find(bytes_needed=11_000) == []


def test_results_folder_where_nothing_can_be_written(find: Find, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for results in (tmp_path / "file" / "results", Path("/proc/results")):
        line = only(find(results=results))
        assert line.startswith(f"The results folder {results} cannot be written (")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_results_folder_without_permission(find: Find, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    line = only(find(results=tmp_path / "closed" / "results"))
    assert "cannot be written (Permission denied)" in line


def test_relative_results_folder(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(results=Path("results/arxiv")) == []
    assert str(tmp_path / "results/arxiv") in only(
        find(results=Path("results/arxiv"), bytes_needed=10**18)
    )


def test_bytes_needed() -> None:
    corpus = bytes_needed(5_000_000_000, 0, [])
    assert corpus == 5_500_000_000
    assert bytes_needed(5_000_000_000, 30_000, [384, None]) - corpus == 30_000 * 12 * (384 + 1_024)
    everything = bytes_needed(1_400_000, None, [10]) - bytes_needed(1_400_000, 0, [])
    assert everything == 1_000 * 10 * 12


@pytest.mark.parametrize(
    ("start", "factor"),
    [
        *((b'{"id"', 1), (b"", 1), (b"\x1f\x8b", 4)),
        *((b"\x28\xb5\x2f\xfd", 4), (b"PK\x03\x04", 4), (b"PAR1", 4)),
    ],
)
def test_packed_snapshots_count_four_times(start: bytes, factor: int, tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(start + bytes(100 if start else 0))
    assert unpacked_bytes(path) == path.stat().st_size * factor


# The models


def test_model_that_can_be_fetched(find: Find) -> None:
    assert find() == []
    assert find(model_sources={}) == []


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("0", False)])
def test_missing_model_while_offline(
    name: str, value: str, offline: bool, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    found = find()
    assert len(found) == offline
    assert not found or re.match(f"Model small: {HUB_ID} is .*Unset the variable, or", found[0])


def test_local_and_fetched_models_while_offline(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "local").mkdir()
    assert find(model_sources={"local": str(tmp_path / "local")}) == []

    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    assert "Model small" in only(find())
    (folder / "checkpoint.json").touch()
    assert find() == []


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("HF_HOME", "hub"),
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HOME", ".cache/huggingface/hub"),
    ],
)
def test_cached_model_while_offline(
    variable: str, folder: str, find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(variable, str(tmp_path / "cache"))
    assert str(tmp_path / "cache" / folder) in only(find())
    model = tmp_path / "cache" / folder / "models--owner--model" / "snapshots" / ("0" * 40)
    model.mkdir(parents=True)
    assert "Model small" in only(find())
    (model / "config.json").touch()
    assert find() == []


# The Python environment


def test_environment_in_memory(find: Find, caplog: pytest.LogCaptureFixture) -> None:
    if file_system(MEMORY, Path("/proc/mounts").read_text()) != "tmpfs":
        pytest.skip(f"{MEMORY} is not a memory file system here")
    line = only(find(environment=MEMORY / "venv"))
    assert line == (
        f"The Python environment {MEMORY}/venv is in the memory of this machine (tmpfs), which "
        "compute nodes cannot read. Install it in a folder that all nodes share."
    )
    assert not caplog.records


def test_environment_behind_a_link(find: Find, tmp_path: Path) -> None:
    if file_system(MEMORY, Path("/proc/mounts").read_text()) != "tmpfs":
        pytest.skip(f"{MEMORY} is not a memory file system here")
    (tmp_path / "venv").symlink_to(MEMORY)
    assert "(tmpfs)" in only(find(environment=tmp_path / "venv"))


@pytest.mark.parametrize("folder", preflight.NODE_FOLDERS)
def test_environment_in_a_folder_of_the_node(
    folder: Path, find: Find, caplog: pytest.LogCaptureFixture
) -> None:
    if file_system(folder.resolve(), Path("/proc/mounts").read_text()) == "tmpfs":
        pytest.skip(f"{folder} is a memory file system here")
    assert find(environment=folder / "venv") == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
ramfs /home/a\\040user/ram ramfs rw 0 0
/dev/sdb1 /scratch ext4 rw 0 0
tmpfs /scratch tmpfs rw 0 0

odd line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/opt/venv", "ext4"),
        ("/run", "tmpfs"),
        ("/run/user/1000/venv", "tmpfs"),
        ("/running/venv", "ext4"),
        ("/home/me/venv", "nfs4"),
        ("/home/a user/ram/venv", "ramfs"),
        ("/scratch/venv", "tmpfs"),
    ],
)
def test_file_system_of_the_longest_mount_point(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_file_system_that_is_unknown() -> None:
    assert file_system(Path("/opt"), "") is None


# Requests to a cluster


@pytest.mark.usefixtures("sinfo")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mem_mb": 515_000, "gpus": 4, "cpus": 64, "minutes": 720},
        {"mem_mb": 1_031_000, "gpus": 2, "cpus": 128},
        {"partition": None, "gpus": 0},
        {"partition": "cpu", "gpus": 0, "mem_mb": None, "minutes": None},
        {"partition": "hidden", "gpus": 8, "minutes": 10**6},
        {"partition": "short,gpu"},
        {"partition": "old,gpu"},
        # Its nodes are hidden, so only its time limit is known.
        {"partition": "empty", "gpus": 0},
        {"partition": "empty", "gpus": 8, "cpus": 200, "mem_mb": 2_000_000, "minutes": 1_440},
        {"partition": "short,empty"},
    ],
)
def test_requests_that_fit(changes: dict[str, object], find: Find) -> None:
    assert find(replace(REQUEST, **changes)) == []  # type: ignore[arg-type]


@pytest.mark.usefixtures("sinfo")
@pytest.mark.parametrize(
    ("changes", "requests", "fit"),
    [
        (
            {"mem_mb": 2_000_000},
            "2,000,000 MB of memory, but partition gpu gives at most 1,031,000",
            "",
        ),
        ({"minutes": 721}, "721 minutes, but partition gpu gives at most 720 minutes", "hidden"),
        ({"gpus": 5}, "5 GPU(s), but partition gpu gives at most 4 GPU(s)", "hidden"),
        ({"cpus": 200}, "200 CPU(s), but partition gpu gives at most 128 CPU(s)", ""),
        ({"partition": None}, "1 GPU(s), but partition cpu gives at most 0 GPU(s)", "gpu, hidden"),
        ({"partition": "short"}, "1 GPU(s), 120 minutes, but partition short gives", "gpu, hidden"),
        (
            {"partition": "empty", "minutes": 1_441},
            "requests 1,441 minutes, but partition empty gives at most 1,440 minutes",
            "hidden",
        ),
        (
            {"partition": "short,empty", "minutes": 1_441},
            "requests 1,441 minutes, but partition short,empty gives at most 1,440 minutes",
            "hidden",
        ),
    ],
)
def test_requests_that_fit_nowhere(
    changes: dict[str, object], requests: str, fit: str, find: Find
) -> None:
    line = only(find(replace(REQUEST, **changes)))  # type: ignore[arg-type]
    assert line.startswith("embed_shard: a job requests ")
    assert requests in line
    end = f"to one where it fits: {fit}." if fit else "it fits no partition of this cluster."
    assert line.endswith(end)
    assert PROFILE in line


@pytest.mark.usefixtures("sinfo")
def test_a_request_must_fit_one_node(find: Find) -> None:
    line = only(find(replace(REQUEST, gpus=4, mem_mb=1_000_000)))
    assert "no node of partition gpu has everything that a job requests" in line
    assert "8 CPU(s), 1,000,000 MB of memory, 4 GPU(s), 120 minutes" in line


@pytest.mark.usefixtures("sinfo")
def test_unknown_and_closed_partitions(find: Find) -> None:
    shown = "sinfo lists: cpu, gpu, hidden, old, short, empty."
    for partition in ("gpus", "gpu,gpus", "gpu, gpus"):
        line = only(find(replace(REQUEST, partition=partition)))
        assert "there is no partition 'gpus'" in line
        assert shown in line
    assert "partition old is not up" in only(find(replace(REQUEST, partition="old")))


@pytest.mark.usefixtures("sinfo")
def test_rules_share_a_line(find: Find) -> None:
    rules = ("filter_papers", "embed_shard", "filter_papers")
    found = find(*(replace(REQUEST, rule=rule, partition="no") for rule in rules))
    assert only(found).startswith("filter_papers, embed_shard: there is no partition 'no'.")


def test_no_default_partition(find: Find, commands: Commands) -> None:
    commands(sinfo="echo 'a|infinite|1000|4|(null)|up'")
    line = only(find(Request("filter_papers", None, None, 1, 100, 10, 0)))
    assert "no partition is set, and the cluster has no default partition" in line
    assert "sinfo lists: a." in line


@pytest.mark.usefixtures("sinfo")
@pytest.mark.parametrize("value", ["$GPU_PARTITION", "${GPU_PARTITION}", "cpu,$GPU_PARTITION"])
def test_variable_that_is_not_set(value: str, find: Find) -> None:
    assert only(find(replace(REQUEST, partition=value))) == (
        f"embed_shard: its partition is {value!r}: the environment variable GPU_PARTITION is not set. "
        f"Export it, or set slurm_partition in {PROFILE}. "
        "sinfo lists: cpu, gpu, hidden, old, short, empty."
    )


def test_variables_that_are_not_set_are_reported_without_slurm(
    find: Find, commands: Commands
) -> None:
    found = find(replace(REQUEST, partition="$P", account="$A"), replace(REQUEST, account="$"))
    assert [re.findall("variable (.) is", line) for line in found] == [["P"], ["A"], []]
    assert "names no environment variable" in found[2]


# Accounts


def test_accounts_of_the_user(find: Find, commands: Commands, tmp_path: Path) -> None:
    commands(sacctmgr=f'echo "$@" > {tmp_path}/asked; echo physics; echo cs; echo cs')
    assert find(replace(REQUEST, account="physics")) == []
    assert find(replace(REQUEST, account="CS")) == []
    user = pwd.getpwuid(os.getuid()).pw_name
    assert (tmp_path / "asked").read_text().split() == [
        *("--noheader", "--parsable2", "show", "associations", f"user={user}", "format=account")
    ]
    line = only(find(replace(REQUEST, account="maths")))
    assert "you have no account 'maths'." in line
    assert "Your accounts: cs, physics." in line
    assert "Your accounts: cs, physics." in only(find(replace(REQUEST, account="$ACCOUNT")))


def test_sacctmgr_is_asked_only_about_accounts(
    find: Find, commands: Commands, tmp_path: Path
) -> None:
    commands(sacctmgr=f"echo > {tmp_path}/asked")
    assert find(REQUEST) == []
    assert not (tmp_path / "asked").exists()


def test_slurm_is_not_asked_without_requests(
    find: Find, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert find() == []
    assert not caplog.messages


@pytest.mark.parametrize("commands_that_fail", [{}, {"sinfo": "exit 1", "sacctmgr": "exit 1"}])
def test_what_slurm_does_not_answer_is_not_a_problem(
    commands_that_fail: dict[str, str],
    find: Find,
    commands: Commands,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    commands(**commands_that_fail)
    assert find(replace(REQUEST, account="cs")) == []
    assert [line.rpartition(", so ")[2] for line in caplog.messages] == [
        "partitions could not be checked.",
        "accounts could not be checked.",
    ]


def test_nothing_heavy_is_imported() -> None:
    # It runs in Snakemake's environment, which may lack torch and huggingface_hub.
    code = "import sys; from arxiv_embeddings.slurm import preflight; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(preflight.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "huggingface_hub", "numpy", "pyarrow", "snakemake"} & set(
        done.stdout.split()
    )
