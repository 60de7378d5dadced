"""Inputs and parameters of rules that follow from the config."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .check import find_input
from .derived import Snapshot, encoder_settings


def snapshot_argument(snapshot: Snapshot | None) -> str:
    """Return the value of ``--snapshot`` of ``filter_papers.py``: a path, or a JSON list of paths."""
    return json.dumps(list(map(str, snapshot))) if isinstance(snapshot, list) else str(snapshot)


def model_source(name: str, folders: Sequence[Path]) -> str:
    """Return where the checkpoint ``name`` comes from: the path of a local folder, else its Hugging Face id.

    Args:
        name: ``models[].name`` of the config.
        folders: where a relative path is searched, in this order.
    """
    return str(find_input(name, folders, Path.is_dir) or name)


def checkpoint_files(source: str) -> list[str]:
    """Return the files of a local checkpoint, sorted; none for a Hugging Face id."""
    return sorted(str(file) for file in Path(source).glob("*") if file.is_file())


def revision_option(model: dict[str, Any]) -> str:
    """Return the option of ``fetch_model.py`` for the model's revision, unquoted; none if it has no revision.

    The schema allows only hexadecimal digits in a revision.
    """
    return f"--revision {model['revision']}" if model["revision"] else ""


def encoder_json(model: dict[str, Any]) -> str:
    """Return the encoder settings of ``model``, an entry of ``models``, as one line of JSON."""
    return encoder_settings(model).to_json()


def shard_names(lookup: dict[str, Any]) -> list[str]:
    """Return the names of the shards that ``lookup`` plans: the record that ``find_vectors`` wrote."""
    return [f"{lookup['lookup']}-{number:05d}" for number in range(lookup["shards"])]


def shard_bounds(lookup: dict[str, Any], shard: str) -> tuple[int, int]:
    """Return where the rows of a shard begin and end among those of the missing texts."""
    start = int(shard.partition("-")[2]) * lookup["shard_size"]
    return start, min(start + lookup["shard_size"], lookup["missing"])


def paper_link(corpus_format: str) -> str:
    """Return the URL prefix of a paper's page; empty for a corpus other than arXiv's."""
    return "https://arxiv.org/abs/" if corpus_format == "arxiv" else ""
