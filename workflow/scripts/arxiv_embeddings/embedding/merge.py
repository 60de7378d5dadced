"""Putting the shards together, trusting nothing that was not checked."""

import collections
import dataclasses
import hashlib
import json
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import TextsHash, json_sha256
from ..common.matrices import MatrixWriter, matrix_blocks, open_matrix
from ..common.progress import Progress
from ..config.derived import shard_ranges
from ..config.encoder_settings import EncoderSettings
from ..corpus.papers import read_papers

log = logging.getLogger(__name__)

COLUMNS = ("id", "topic", "category 0", "category 1")
SUMS = ("ids_sha256", "texts_sha256", "vectors_sha256")
# What is read of a shard's manifest, and the type it has there.
MANIFEST_KINDS: dict[str, type] = {
    **dict.fromkeys(("start", "stop", "dimensions", "tokens"), int),
    **dict.fromkeys(("encoder", "checkpoint"), dict),
    **dict.fromkeys(SUMS, str),
}
ROWS_AT_ONCE = 4_096


@dataclasses.dataclass(frozen=True)
class Shard:
    """A range of the drawn papers and the files that hold its vectors and its manifest."""

    name: str
    start: int
    stop: int
    vectors: Path
    manifest: Path


def shards_of(folder: Path, papers: int, size: int) -> list[Shard]:
    """Return the shards of ``size`` papers that a sample of ``papers`` has, in order."""
    return [
        Shard(name, start, stop, folder / f"{name}.npy", folder / f"{name}.json")
        for name, (start, stop) in shard_ranges(papers, size).items()
    ]


def merge_shards(
    drawn_path: Path,
    shards: list[Shard],
    settings: EncoderSettings,
    checkpoint: dict[str, Any],
    embeddings_path: Path,
    papers_path: Path,
) -> dict[str, Any]:
    """Write all vectors as one matrix with the papers of its rows; return what the manifest says.

    Every shard is checked against its manifest, the drawn papers, the wanted settings and the other shards
    before the outputs get their names. Memory does not grow with the number of papers.

    Args:
        drawn_path: the drawn papers.
        shards: in the order of their rows, without a gap.
        settings: the encoder settings as the config asks for them.
        checkpoint: the fetched checkpoint, as ``checkpoint_identity`` returns it.
        embeddings_path: the ``.npy`` file to write, float32 (n, d).
        papers_path: the Parquet file to write; row i describes row i of the matrix.

    Raises:
        InputError: a shard is not what it should be: which one, why, and how to mend it.
    """
    manifests = [_read_manifest(shard, settings, checkpoint) for shard in shards]
    # What most shards were made with is right, and the others are named.
    made_with = [(manifest["encoder"], manifest["dimensions"]) for manifest in manifests]
    kinds = [json_sha256(settings) for settings in made_with]
    most = collections.Counter(kinds).most_common(1)[0][0]
    encoder, dimensions = made_with[kinds.index(most)]
    for shard, (own_encoder, own_dimensions) in zip(shards, made_with, strict=True):
        differing = [
            f"{name} {value!r}" for name, value in own_encoder.items() if encoder.get(name) != value
        ]
        if own_dimensions != dimensions:
            differing.append(f"dimensions {own_dimensions}")
        if differing:
            raise _error(
                shard,
                f"was made with {', '.join(differing)}, unlike most shards; "
                "if the machines of the cluster differ, set dtype to an explicit value",
            )
    papers = shards[-1].stop
    options = {"compression": "zstd", "use_dictionary": ["category 0", "category 1"]}
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with (
        Progress(papers, "papers") as progress,
        MatrixWriter(embeddings_path, papers, dimensions) as matrix,
        pq.ParquetWriter(papers_path, schema, **options) as writer,
    ):
        for shard, manifest in zip(shards, manifests, strict=True):
            ids, texts, sha256 = TextsHash(), TextsHash(), hashlib.sha256()
            tables = read_papers(
                drawn_path,
                start=shard.start,
                stop=shard.stop,
                size=ROWS_AT_ONCE,
                columns=COLUMNS,
            )
            for table, block in zip(tables, _blocks(shard, manifest), strict=True):
                ids.update(table["id"].to_pylist())
                texts.update(table["topic"].to_pylist())
                sha256.update(block.data)
                writer.write_table(table)
                if not np.isfinite(block).all():
                    raise _error(shard, "holds NaN or infinite numbers")
                matrix.append(block)
                progress.advance(len(table))
            if sha256.hexdigest() != manifest["vectors_sha256"]:
                raise _error(
                    shard,
                    "does not match its checksum: bytes changed, or it is another shard's file",
                )
            if ids.hexdigest() != manifest["ids_sha256"]:
                raise _error(shard, "was made of other papers, or of the same in another order")
            if texts.hexdigest() != manifest["texts_sha256"]:
                raise _error(shard, "was made of other texts")
    log.info("Merged %s papers of %d shards, all checked.", f"{papers:,}", len(shards))
    return {
        "embeddings": {
            "shape": list(matrix.shape),
            "dtype": "float32",
            "vectors_sha256": matrix.sha256,
        },
        "checkpoint": checkpoint,
        "encoder": encoder,
        "tokens": sum(manifest["tokens"] for manifest in manifests),
        "shards": manifests,
    }


def _read_manifest(
    shard: Shard, settings: EncoderSettings, checkpoint: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a shard, checked against what was asked for."""
    try:
        manifest: dict[str, Any] = json.loads(shard.manifest.read_text())
        kinds = {name: type(manifest[name]) for name in MANIFEST_KINDS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _error(shard, f"has no sound manifest ({type(error).__name__}: {error})") from error
    if kinds != MANIFEST_KINDS:
        wrong = [name for name, kind in kinds.items() if kind != MANIFEST_KINDS[name]]
        raise _error(shard, f"has no sound manifest (values of {', '.join(wrong)})")
    if not all(manifest[name] for name in SUMS):
        raise _error(shard, "has a manifest without checksums")
    rows, encoder = (manifest["start"], manifest["stop"]), manifest["encoder"]
    made_of = manifest["checkpoint"]
    if rows != (shard.start, shard.stop):
        raise _error(
            shard, f"holds the papers {rows[0]} to {rows[1]}, not {shard.start} to {shard.stop}"
        )
    if made_of.get("sha256") != checkpoint["sha256"]:
        other = f"{made_of.get('name')} at {made_of.get('revision')}"
        raise _error(shard, f"was made with another checkpoint, {other}")
    for name, wanted in settings.to_dict().items():
        if wanted != "auto" and encoder.get(name) != wanted:
            raise _error(shard, f"was made with {name} {encoder.get(name)!r}, not {wanted!r}")
    return manifest


def _blocks(shard: Shard, manifest: dict[str, Any]) -> Iterator[np.ndarray]:
    """Yield a shard's vectors in runs of ``ROWS_AT_ONCE`` rows, after checking their shape."""
    try:
        shape = open_matrix(shard.vectors).shape
        blocks = matrix_blocks(shard.vectors, ROWS_AT_ONCE)
    except InputError as error:
        raise _error(shard, f"has no sound vectors ({error})") from error
    wanted = (shard.stop - shard.start, manifest["dimensions"])
    if shape != wanted:
        raise _error(shard, f"holds a matrix of shape {shape}, not {wanted}")
    yield from blocks


def _error(shard: Shard, what: str) -> InputError:
    repair = shlex.join(["rm", "-f", str(shard.vectors), str(shard.manifest)])
    return InputError(
        f"Shard {shard.name} {what}. Make it anew: {repair}, then run snakemake again."
    )
