"""The limits of a cluster, from what sinfo and sacctmgr print, and whether a request fits them."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from arxiv_embeddings.slurm import commands as slurm_commands
from arxiv_embeddings.slurm.limits import (
    NodeGroup,
    Request,
    accounts,
    parse_gpus,
    parse_minutes,
    parse_partitions,
    partitions,
)
from support.slurm_runs import SINFO, prints

Commands = Callable[..., None]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("infinite", math.inf),
        ("UNLIMITED", math.inf),
        ("n/a", math.inf),
        ("1-00:00:00", 1_440),
        ("7-12:30:00", 7 * 1_440 + 12 * 60 + 30),
        ("12:00:00", 720),
        ("1:00:00", 60),
        ("30:00", 30),
        ("0:30", 0.5),
        ("60", 60),
        ("1-0", 1_440),
        ("1-12:30", 1_440 + 12 * 60 + 30),
    ],
)
def test_time_limits_in_minutes(limit: str, minutes: float) -> None:
    assert parse_minutes(limit) == minutes


@pytest.mark.parametrize("limit", ["", "soon", "1:xx", "-", "1:2:3:4"])
def test_text_that_is_not_a_time_limit(limit: str) -> None:
    with pytest.raises(ValueError):
        parse_minutes(limit)


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", 0),
        ("", 0),
        ("gpu", 1),
        ("gpu:2", 2),
        ("gpu:a100:2", 2),
        ("gpu:a100", 1),
        ("gpu:a100:2(S:0-1),shard:4", 2),
        ("gpu:a100:4(S:0,2)", 4),
        ("gpu:a100:2(S:0),gpu:v100:1(S:1)", 3),
        ("gpu:1g.5gb:7,nvme:1", 7),
        ("gpu:tesla:no_consume:2", 2),
        ("mps:400,lustre:1", 0),
        ("shard:a100:8,gpu:8", 8),
    ],
)
def test_gpus_of_a_node(gres: str, gpus: int) -> None:
    assert parse_gpus(gres) == gpus


def test_partitions_of_sinfo() -> None:
    groups = parse_partitions(SINFO)
    assert len(groups) == 8
    assert groups[0] == NodeGroup("cpu", True, True, 1_440, 192_000, 48, 0)
    assert groups[3] == NodeGroup("gpu", False, True, 720, 1_031_000, 128, 2)
    # Without a visible node, nothing but the time limit is known.
    assert groups[7] == NodeGroup("empty", False, True, 1_440, math.inf, math.inf, math.inf)
    assert [group.partition for group in groups if not group.up] == ["old"]
    assert [group.partition for group in groups if group.default] == ["cpu", "cpu"]


def test_lines_of_sinfo_in_another_format_are_skipped() -> None:
    text = "CLUSTER: one\n\nshared|infinite|128000+|16+|(null)|up\nodd|never|1|1|(null)|up\n"
    assert parse_partitions(text) == [NodeGroup("shared", False, True, math.inf, 128_000, 16, 0)]


def test_a_node_fits_a_request_up_to_each_of_its_limits() -> None:
    group = NodeGroup("gpu", True, True, minutes=60, mem_mb=1000, cpus=8, gpus=2)
    most = Request("embed_shard", None, None, cpus=8, mem_mb=1000, minutes=60, gpus=2)
    assert group.fits(most)
    assert group.fits(replace(most, mem_mb=None, minutes=None))
    for name, value in (("cpus", 9), ("mem_mb", 1001), ("minutes", 61), ("gpus", 3)):
        assert not group.fits(replace(most, **{name: value}))  # type: ignore[arg-type]


# Commands that do not answer


def test_without_slurm(commands: Commands, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert partitions() is None
    assert accounts() is None
    reason = "could not be started (No such file or directory), so"
    assert caplog.messages == [
        f"sinfo {reason} partitions could not be checked.",
        f"sacctmgr {reason} accounts could not be checked.",
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo one >&2; echo two >&2; exit 1", "sinfo failed (one two), so"),
        ("exit 3", "sinfo failed (exit code 3), so"),
        ("exec /bin/sleep 60", "sinfo did not answer within 0.1 s, so"),
        ("exit 0", "sinfo lists no partition, so"),
        ("echo PARTITION AVAIL", "sinfo lists no partition, so"),
        ("printf '\\377\\n'", "sinfo lists no partition, so"),
    ],
)
def test_sinfo_that_fails(
    script: str,
    message: str,
    commands: Commands,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    if "sleep" in script:
        monkeypatch.setattr(slurm_commands, "TIMEOUT_SECONDS", 0.1)
    commands(sinfo=script)
    assert partitions() is None
    assert caplog.messages == [f"{message} partitions could not be checked."]


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 0", "sacctmgr lists no account of "), ("exit 1", "sacctmgr failed (exit code 1)")],
)
def test_sacctmgr_that_lists_no_account(
    script: str, message: str, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    commands(sacctmgr=script)
    assert accounts() is None
    (line,) = caplog.messages
    assert line.startswith(message)
    assert line.endswith(", so accounts could not be checked.")


def test_answers_of_sinfo_and_sacctmgr(
    commands: Commands, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked = tmp_path / "asked"
    commands(sinfo=prints(SINFO, asked), sacctmgr=prints("physics\nCS\ncs\n"))
    assert partitions() == parse_partitions(SINFO)
    options = ["--all", "--exact", "--noheader", "--format=%P|%l|%m|%c|%G|%a"]
    assert asked.read_text().split() == options
    assert accounts() == ["cs", "physics"]
    assert not caplog.messages
