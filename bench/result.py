"""Record how a benchmark was run, and write its table."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from arxiv_embeddings.common.commit import git_commit
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.common.versions import versions
from arxiv_embeddings.embedding.devices import describe


def about(options: argparse.Namespace, papers: int, packages: Sequence[str]) -> dict[str, Any]:
    """Return the inputs, machine, versions and command line of a run with ``options`` on ``papers`` papers."""
    return {
        "papers": papers,
        "papers_file": options.papers.name,
        "max_length": options.max_length,
        "model": options.model.name,
        "rounds": options.rounds,
        **machine(packages),
    }


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return the processor, the versions of ``packages``, the date, the commit and the command line."""
    return {
        "processor": describe(torch.device("cpu")),
        "versions": versions(*packages),
        "date": datetime.date.today().isoformat(),
        "commit": git_commit(Path(__file__).parent),
        "command": " ".join(["python", *sys.argv]),
    }


def save(table: Path, text: str, result: dict[str, Any]) -> None:
    """Print ``text``; write it to ``table`` with the ending ``.md``, and ``result`` with ``.json``."""
    print(f"\n{text}")
    table.parent.mkdir(parents=True, exist_ok=True)
    table.with_suffix(".md").write_text(f"{text}\n")
    write_json(table.with_suffix(".json"), result)
