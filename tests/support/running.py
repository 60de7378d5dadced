"""Run the workflow in a working directory of its own, as a user would."""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from arxiv_embeddings.config.rule_values import shard_names
from arxiv_embeddings.embedding.store import Piece, pieces_in
from support.data.make_snapshot import make_snapshot

ROOT = Path(__file__).parents[2]
MINILM = ROOT / "resources/demo/all-MiniLM-L6-v2"
Jobs = dict[str, int]
# The jobs that embed a new corpus with one model, in one shard.
ONE_SHARD: Jobs = {
    "fetch_model": 1,
    "filter_papers": 1,
    "sample_papers": 1,
    "embed_shard": 1,
    "find_vectors": 1,
    "merge_vectors": 1,
}


@dataclass
class Finished:
    """A run of Snakemake that ended: its exit code, what it printed, and the jobs it finished."""

    code: int
    output: str

    @property
    def jobs(self) -> Jobs:
        """How many jobs of each rule were finished, without the target rule."""
        rules = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", self.output)
        return dict(collections.Counter(rule for rule in rules if rule != "all"))


class Workflow:
    """A working directory with a config file for a workflow, by default the one of this checkout."""

    def __init__(self, folder: Path, snakefile: Path = ROOT / "Snakefile") -> None:
        self.folder = folder
        self.snakefile = snakefile
        self.results = folder / "results/test"

    def configure(self, **changes: Any) -> None:
        """Write the config: that of the tests, with the given top-level keys replaced."""
        config = {
            "snapshot": "resources/snapshot.json",
            "corpus": {"name": "test"},
            "sample": {"size": 25},
            "shards": {"size": 10},
            "models": [model()],
            **changes,
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def command(self, *options: str) -> list[str]:
        """Return the command line of a run with two cores."""
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)),
            *("--directory", str(self.folder), "--cores", "2", "--set-threads", "embed_shard=1"),
            *("--configfile", str(self.folder / "config.yaml"), "--nocolor", *options),
        ]

    def run(self, *options: str, code: int = 0, **changes: Any) -> Finished:
        """Configure and run the workflow; fail the test if it does not end with ``code``."""
        self.configure(**changes)
        done = subprocess.run(
            self.command(*options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert done.returncode == code, done.stdout
        return Finished(done.returncode, done.stdout)

    def copy(self, folder: Path) -> "Workflow":
        """Copy the working directory, with the times of its files and Snakemake's records of them."""

        def link_weights(source: str, target: str) -> None:
            if source.endswith(".safetensors"):
                os.link(source, target)
            else:
                shutil.copy2(source, target)

        shutil.copytree(self.folder, folder, dirs_exist_ok=True, copy_function=link_weights)
        return Workflow(folder)

    def embeddings(self, label: str = "minilm") -> np.ndarray:
        """Return the merged matrix of a model."""
        matrix: np.ndarray = np.load(self.results / label / "embeddings.npy", allow_pickle=False)
        return matrix

    def shard_names(self, label: str = "minilm") -> list[str]:
        """Return the names of the shards that the last look-up planned for a model, in order."""
        return shard_names(json.loads((self.results / label / "lookup.json").read_text()))

    def pieces(self, label: str = "minilm") -> list[Piece]:
        """Return the pieces of a model's vector store."""
        return pieces_in(self.results / label / "vectors")


def model(label: str = "minilm", **settings: Any) -> dict[str, Any]:
    """Return an entry of ``models:``: all-MiniLM-L6-v2 with these settings."""
    defaults = {"pooling": "mean", "max_length": 64, "normalize": True, "dtype": "float32"}
    return {"label": label, "name": str(MINILM), **defaults, **settings}


def with_snapshot(folder: Path, records: int = 300) -> Workflow:
    """Return a working directory with a synthetic snapshot and no results; skip if the model is missing."""
    if not MINILM.is_dir():
        pytest.skip(f"{MINILM} is missing. Run: make install")
    make_snapshot(folder / "resources/snapshot.json", records=records)
    return Workflow(folder)
