"""The shipped profile works with the workflow itself and with the peculiarities of sites."""

import datetime
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from arxiv_embeddings.slurm import site
from slurm.conftest import TWO, Prepared, SlurmWorkflow, check, fill, mounted
from support.running import ROOT

# A submit filter of a site.
NO_MEM = """#!/bin/sh
case "$*" in *--mem*) echo "--mem is not allowed here" >&2; exit 1;; esac
exec /usr/bin/sbatch "$@"
"""


def test_gres_keeps_the_limit_of_gpu_jobs(shards: SlurmWorkflow) -> None:
    shards.env["EMBED_GRES"] = "gpu:a100:1"
    shards.finish(shards.start("--resources", "gpu_jobs=1", **TWO))
    attempts = shards.attempts()
    assert {attempt.gpus for attempt in attempts} == {1}
    assert len(attempts) == 2
    for before, after in itertools.pairwise(attempts):
        ended, started = map(datetime.datetime.fromisoformat, (before.end, after.start))
        # A run detects the end of a shard while SLURM still cleans up its job.
        assert (started - ended).total_seconds() > -3


@pytest.fixture(params=["read-only", "full"])
def unusable_home(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Path]:
    full = request.param == "full"
    with mounted(tmp_path_factory.mktemp("home"), "size=16k" if full else "ro") as home:
        if full:
            fill(home)
        yield home


def test_python_packages_of_a_site_and_an_unusable_home_have_no_effect(
    shards: SlurmWorkflow, short: Prepared, unusable_home: Path, tmp_path: Path
) -> None:
    """The run and its jobs use only the packages that they were installed with."""
    for name in ("numpy", "msgspec"):
        package = tmp_path / "foreign" / name / "__init__.py"
        package.parent.mkdir(parents=True)
        package.write_text("raise ImportError('this is the package of another Python')\n")
    start_up = tmp_path / "start-up.sh"
    start_up.write_text("export PATH=/usr/bin:/bin\n")
    shards.env |= {
        "PYTHONPATH": str(tmp_path / "foreign"),
        "BASH_ENV": str(start_up),
        "HOME": str(unusable_home),
    }
    command = shards.command
    # The same options as in the first line of .venv/bin/snakemake.
    shards.command = lambda *options: [sys.executable, "-Es", *command(*options)[1:]]  # type: ignore[method-assign]
    output = shards.finish(shards.start(**TWO)).output
    assert "Traceback" not in output
    assert [attempt.state for attempt in shards.attempts()] == ["COMPLETED"] * 2
    check(shards, short)


def test_an_input_dated_in_the_future_costs_nothing(shards: SlurmWorkflow) -> None:
    """Snakemake would compute every shard, judge it older than its input, and delete it, three times."""
    drawn = shards.results / "drawn.parquet"
    os.utime(drawn, (time.time() + 3600,) * 2)
    output = shards.finish(shards.start(**TWO)).output
    assert "1 results were dated in the future. Their times were set to now." in output
    assert [attempt.state for attempt in shards.attempts()] == ["COMPLETED"] * 2


@pytest.mark.parametrize("what", ["type of GPU", "feature"])
def test_an_unknown_type_or_feature_is_reported(what: str, shards: SlurmWorkflow) -> None:
    options = ["embed_shard:constraint='v100'"] if what == "feature" else []
    if what == "type of GPU":
        shards.env["EMBED_GRES"] = "gpu:v100:1"
    output = shards.finish(shards.start(*options, **TWO), code=1).output
    assert "No job was submitted:\nembed_shard: sbatch would refuse its jobs (" in output
    reasons = {
        "type of GPU": "Requested node configuration is not available",
        "feature": "Invalid feature",
    }
    assert reasons[what] in output
    assert shards.attempts() == []


def test_site_settings_are_detected_from_the_cluster(
    shards: SlurmWorkflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in shards.cluster.env.items():
        monkeypatch.setenv(name, value)
    entries = site.propose()
    assert entries == {"account": "root", "cpu_partition": "cpu", "gpu_partition": "cpu"}
    # --gpus may not be supported, as with select/linear.
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        '#!/bin/sh\ncase "$*" in *--gpus*) exit 1;; esac\nexec /usr/bin/sbatch "$@"\n'
    )
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    assert site.propose() == {**entries, "gres": "gpu:1"}
    sbatch.write_text(NO_MEM)
    assert site.propose() == {**entries, "no_mem": "yes"}


def test_a_site_that_refuses_mem(shards: SlurmWorkflow, short: Prepared, tmp_path: Path) -> None:
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(NO_MEM)
    sbatch.chmod(0o755)
    shards.env["PATH"] = f"{sbatch.parent}:{shards.env['PATH']}"
    output = shards.finish(shards.start(**TWO), code=1).output
    assert "sbatch would refuse its jobs (--mem is not allowed here)" in output
    shards.env["EMBED_NO_MEM"] = "yes"
    for partition in ("cpu", "gpu"):
        shards.cluster.run("scontrol", "update", f"PartitionName={partition}", "DefMemPerCPU=8000")
    try:
        output = shards.finish(shards.start(**TWO)).output
    finally:
        for partition in ("cpu", "gpu"):
            shards.cluster.run(
                "scontrol", "update", f"PartitionName={partition}", "DefMemPerCPU=500"
            )
    assert "No job memory information" not in output
    assert [attempt.state for attempt in shards.attempts()] == ["COMPLETED"] * 2
    check(shards, short)


def test_the_profile_reads_the_site_file(
    shards: SlurmWorkflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environment variables take precedence over the site file."""
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump({"account": "mine", "gpu_partition": "a100"}))
    monkeypatch.setattr(site, "SITE", file)
    monkeypatch.delenv("EMBED_ACCOUNT", raising=False)
    assert site.site("account") == "'mine'"
    assert site.site("gres") == ""
    monkeypatch.setenv("EMBED_ACCOUNT", "ours")
    assert site.site("account") == "'ours'"
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    assert all(f'site("{name}")' in text for name in ("account", "gpu_partition", "gres"))
