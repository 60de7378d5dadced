"""Checks that results are what the config asks for: by their own records, never by times.

Snakemake judges by times and by what it remembers in ``.snakemake``. Both are lost or wrong when people copy, touch
or purge folders. The checks here read the files that describe the data: ``filter.json``, ``drawn.json``,
``checkpoint.json`` and ``manifest.json``.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import file_sha256, json_sha256, sums_sha256
from .derived import (
    Snapshot,
    category_prefixes,
    check_sample_size,
    encoder_settings,
    most_papers,
    snapshot_files,
    snapshot_name,
)

HASHED_ALWAYS = 1 << 29  # bytes of a snapshot that are read in about a second
ENDS = 1 << 20  # bytes read at each end of a larger one
SMALL_FILE = 1 << 26  # bytes of a checkpoint's file that is compared as a whole

Record = Mapping[str, Any]


def request_of(config: dict[str, Any], label: str) -> dict[str, Any]:
    """Return what the config asks of the model ``label``: all that decides its embeddings.

    The path of the snapshot is not part of it, nor the size of shards: they change no vector.
    """
    corpus, sample = config["corpus"], config["sample"]
    model = next(model for model in config["models"] if model["label"] == label)
    return {
        "corpus": corpus_request(corpus),
        "sample": {"size": sample["size"], "seed": sample["seed"], "order": sample["order"]},
        "model": {
            # A local checkpoint is known by its files (its sha256 is in the manifest), not by its path.
            "name": model["name"] if model["revision"] else None,
            "revision": model["revision"],
            "encoder": encoder_settings(model).to_dict(),
        },
    }


def corpus_request(corpus: dict[str, Any]) -> dict[str, Any]:
    """Return what decides which papers the filter keeps, apart from the snapshot itself."""
    return {
        "format": corpus["format"],
        "categories": category_prefixes(corpus),
        "columns": corpus.get("columns"),
    }


def outdated(
    config: dict[str, Any],
    *,
    snapshot: Snapshot | None,
    results: Path,
    models: Path,
    sources: Mapping[str, str],
) -> list[Path]:
    """Return the outputs that are there but are not what the config asks for: one of each job to run again.

    Args:
        config: with all defaults.
        snapshot: None if it is not there, and then any papers count as its own.
        results: the folder of the corpus's results.
        models: the folder of the fetched checkpoints.
        sources: label of each model to its local directory or Hugging Face id.
    """
    found = []
    filtered, drawn = read_record(results / "filter.json"), read_record(results / "drawn.json")
    wanted = corpus_request(config["corpus"])
    if filtered is not None and not (
        corpus_of(filtered) == wanted
        and (snapshot is None or _may_be_snapshot(filtered, snapshot, wanted["format"]))
    ):
        found.append(results / "papers.parquet")
    if (results / "drawn.parquet").exists() and not _is_drawn(drawn, filtered, config["sample"]):
        found.append(results / "drawn.parquet")
    for model in config["models"]:
        label = model["label"]
        checkpoint = models / label
        if checkpoint.exists() and not _is_checkpoint(
            checkpoint, sources[label], model["revision"]
        ):
            found.append(checkpoint)
        lookup = results / label / "lookup.json"
        if lookup.exists() and not is_merged(
            results / label, request_of(config, label), drawn, checkpoint
        ):
            found.append(lookup)
    return found


def check_size(
    size: int | None,
    snapshot: Snapshot | None,
    corpus_format: str,
    report: Path,
    outdated: list[Path],
) -> None:
    """Fail if it is already known that the corpus has fewer papers than the sample asks for.

    Args:
        size: of the sample; None for all papers.
        snapshot: None if it is not there.
        corpus_format: of the snapshot.
        report: the record of the filter; it need not exist.
        outdated: as ``outdated`` returns it.

    Raises:
        InputError: the snapshot is too small, or fewer papers passed the filter.
    """
    if size is None:
        return
    most = None
    if snapshot is not None:
        with contextlib.suppress(OSError):  # the filter says what is wrong with it
            most = most_papers(snapshot, corpus_format)
    if snapshot is not None and most is not None and size > most:
        raise InputError(
            f"sample.size asks for {size:,} papers, but {snapshot_name(snapshot)} cannot hold more than {most:,}: it is too small. "
            "Lower sample.size, set it to all, or set snapshot to a larger file."
        )
    filtered = read_record(report)
    if filtered is not None and report.with_name("papers.parquet") not in outdated:
        check_sample_size(size, filtered["records"]["kept"])


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def corpus_of(record: Record) -> dict[str, Any]:
    """Return what a record of the filter says of its request, in the form of ``corpus_request``.

    Records of version 0.1.0 name the categories only.
    """
    return {
        "format": record.get("format", "arxiv"),
        "categories": record.get("categories"),
        "columns": record.get("columns"),
    }


def snapshot_identity(snapshot: Snapshot, kind: str) -> dict[str, Any]:
    """Return what quickly distinguishes snapshots: size, time of change and, for a single file, a checksum of its ends."""
    files = snapshot_files(snapshot, kind)
    identity: dict[str, Any] = {
        "bytes": sum(file.stat().st_size for file in files),
        "mtime_ns": max(file.stat().st_mtime_ns for file in files),
    }
    if len(files) == 1:
        identity["ends_sha256"] = ends_sha256(files[0])
    return identity


def is_snapshot(record: Record, snapshot: Snapshot, kind: str) -> bool:
    """Return whether the filter's ``record`` describes the ``snapshot``. Its path itself does not count.

    Up to 512 MiB, the snapshot is compared by its sha256. A larger file is compared by its size and both ends, and
    also by its sha256 if its time of change differs from the recorded one.
    """
    known = record.get("snapshot", {})
    files = snapshot_files(snapshot, kind)
    if sum(file.stat().st_size for file in files) != known.get("bytes"):
        return False
    if known["bytes"] > HASHED_ALWAYS and len(files) == 1:
        identity = snapshot_identity(snapshot, kind)
        if identity["ends_sha256"] != known.get("ends_sha256", identity["ends_sha256"]):
            return False
        if identity["mtime_ns"] == known.get("mtime_ns"):
            return True
    return bool(files_sha256(files) == known.get("sha256"))


def _may_be_snapshot(record: Record, snapshot: Snapshot, corpus_format: str) -> bool:
    """Return ``is_snapshot``, or True if the snapshot cannot be read: only a job that needs it must fail."""
    try:
        return is_snapshot(record, snapshot, corpus_format)
    except OSError:
        return True


def ends_sha256(path: Path) -> str:
    """Return the sha256 of a file's first and last mebibyte."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        sha256.update(file.read(ENDS))
        file.seek(max(path.stat().st_size - ENDS, 0))
        sha256.update(file.read(ENDS))
    return sha256.hexdigest()


def files_sha256(files: list[Path]) -> str:
    """Return the sha256 of a file, or of the sums of several as ``sha256sum`` prints them."""
    if len(files) == 1:
        return file_sha256(files[0])
    return sums_sha256((file.name, file_sha256(file)) for file in files)


def _is_drawn(record: Record | None, filtered: Record | None, sample: Record) -> bool:
    """Return whether the drawn papers were drawn as the config asks, from the papers that the filter kept."""
    if record is None or (record.get("seed"), record.get("order")) != (
        sample["seed"],
        sample["order"],
    ):
        return False
    if filtered is None:
        return True
    sums = [one.get("snapshot", {}).get("sha256") for one in (record, filtered)]
    return sums[0] == sums[1] and corpus_of(record) == corpus_of(filtered)


def end_future(*folders: Path) -> int:
    """Set the time of results that are from the future to now, except vectors in a store; return how many.

    A wrong clock or a copy leaves such files, and Snakemake fails a job whose output is older than its input.
    """
    now = time.time()
    found = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.parent.name != "vectors" and path.exists() and path.stat().st_mtime > now:
                os.utime(path, (now, now))
                found += 1
    return found


def is_merged(folder: Path, request: Record, drawn: Record | None, checkpoint: Path) -> bool:
    """Return whether the embeddings in ``folder`` are complete and are what ``request`` asks for.

    Args:
        folder: of a model's results.
        request: as ``request_of`` returns it.
        drawn: the record of the drawn papers; None where it is purged.
        checkpoint: the folder of the fetched checkpoint; it may be purged.
    """
    manifest = read_record(folder / "manifest.json")
    files = (folder / "embeddings.npy", folder / "papers.parquet")
    if manifest is None or not all(file.is_file() for file in files):
        return False
    if manifest.get("request") != request:
        return False
    fetched = read_record(checkpoint / "checkpoint.json")
    if fetched is not None and json_sha256(fetched.get("files")) != (
        manifest.get("checkpoint", {}).get("sha256")
    ):
        return False
    return drawn is None or manifest.get("drawn") == drawn


def _is_checkpoint(folder: Path, source: str, revision: str | None) -> bool:
    """Tell whether the fetched checkpoint in ``folder`` is that of ``source``, a directory or a Hugging Face id."""
    record = read_record(folder / "checkpoint.json")
    if record is None:
        return False
    if not Path(source).is_dir():
        return (record.get("name"), record.get("revision")) == (source, revision)
    files = record.get("files")
    return isinstance(files, dict) and all(
        _is_file(Path(source) / name, facts) for name, facts in files.items()
    )


def _is_file(path: Path, facts: Record) -> bool:
    """Tell whether a file of a local checkpoint is the one that was fetched; a large one by its size alone."""
    if not path.is_file() or path.stat().st_size != facts["bytes"]:
        return False
    return bool(facts["bytes"] > SMALL_FILE or file_sha256(path) == facts["sha256"])
