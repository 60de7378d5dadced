"""Merge the vectors of a sample into one matrix with the papers of its rows; verify every vector used."""

import dataclasses
import logging
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import TextsHash
from ..common.matrices import MatrixWriter
from ..common.progress import Progress
from ..config.currency import corpus_of
from ..config.encoder_settings import RESOLVED_FIELDS, EncoderSettings
from ..corpus.papers import merged_columns, read_papers, repeated_columns
from .store import Piece, VectorStore, groups, pieces_in, set_aside_damaged
from .texts import read_keys

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 4_096
IDS_SHOWN = 5


def check_request(
    request: dict[str, Any],
    *,
    filtered: dict[str, Any],
    drawn: dict[str, Any],
    lookup: dict[str, Any],
    checkpoint: dict[str, Any],
) -> None:
    """Fail unless the data was computed with the config of this run.

    Args:
        request: as ``config.currency.request_of`` returns it.
        filtered: the record of filtering.
        drawn: the record of the drawn papers.
        lookup: the record of the look-up.
        checkpoint: the fetched checkpoint, as ``checkpoint.identity.checkpoint_identity`` returns it.

    Raises:
        InputError: the data differs from the config; the message says where, and which command recomputes it.
    """
    sample, model = request["sample"], request["model"]
    papers = drawn["papers"] if sample["size"] == "all" else sample["size"]
    used, requested = (
        dataclasses.asdict(EncoderSettings.from_dict(encoder))
        for encoder in (lookup["encoder"], model["encoder"])
    )
    facts = [
        ("filter_papers", "the corpus", corpus_of(filtered), request["corpus"]),
        ("sample_papers", "the corpus of the drawn papers", corpus_of(drawn), request["corpus"]),
        (
            "sample_papers",
            "the snapshot of the drawn papers",
            drawn["snapshot"]["sha256"],
            filtered["snapshot"]["sha256"],
        ),
        ("sample_papers", "the seed", drawn["seed"], sample["seed"]),
        ("sample_papers", "the order", drawn["order"], sample["order"]),
        ("fetch_model", "the revision", checkpoint["revision"], model["revision"]),
        ("find_vectors", "the size of the sample", lookup["papers"], papers),
        ("find_vectors", "the checkpoint", lookup["checkpoint"], checkpoint),
        *(
            ("find_vectors", f"the encoder's {name}", used[name], value)
            for name, value in requested.items()
            if value != "auto" and name not in RESOLVED_FIELDS
        ),
    ]
    for rule, name, actual, expected in facts:
        if actual != expected:
            raise InputError(
                f"The data does not match the config: {name} is {actual!r}, but the config asks for {expected!r}. "
                f"Run snakemake again with --forcerun {rule}."
            )


def merge_vectors(
    papers_path: Path,
    papers: int,
    *,
    store_folder: Path,
    checkpoint: dict[str, Any],
    encoder: EncoderSettings,
    embeddings_path: Path,
    merged_papers_path: Path,
) -> dict[str, Any]:
    """Write the vectors of a sample as one matrix with the papers of its rows; return the content of the manifest.

    A vector is found by the sha256 of its paper's text, so a row cannot hold another paper's vector. Every piece
    that is used is verified against its checksums, and every number must be finite. Memory grows by about 80 bytes
    per paper and per vector in the store.

    Args:
        papers_path: the drawn papers.
        papers: number of papers in the sample.
        store_folder: the folder of the store.
        checkpoint: the fetched checkpoint, as ``checkpoint.identity.checkpoint_identity`` returns it.
        encoder: the settings of the look-up; the dtype may be ``auto``.
        embeddings_path: the ``.npy`` file to write, float32 (papers, d).
        merged_papers_path: the Parquet file to write; row i describes row i of the matrix.

    Raises:
        InputError: a vector is missing or damaged; the message says which one, why, and what to do.
    """
    keys = read_keys(papers_path, np.arange(papers))
    store, positions = _complete_group(
        groups(pieces_in(store_folder), checkpoint, encoder), keys, store_folder
    )
    pieces = store.pieces_of(positions)
    _verify(pieces, store_folder)
    dimensions = pieces[0].manifest.dimensions
    drawn = pq.read_schema(papers_path)
    columns = merged_columns(drawn.names)
    schema = pa.schema([drawn.field(name).remove_metadata() for name in columns])
    options = {"compression": "zstd", "use_dictionary": repeated_columns(columns)}
    ids, texts = TextsHash(), TextsHash()
    tokens = start = 0
    with (
        Progress(papers, "papers") as progress,
        MatrixWriter(embeddings_path, papers, dimensions) as matrix,
        pq.ParquetWriter(merged_papers_path, schema, **options) as writer,
    ):
        for table in read_papers(
            papers_path, start=0, stop=papers, size=ROWS_AT_ONCE, columns=columns
        ):
            vectors, counts = store.gather(positions[start : start + len(table)])
            if not np.isfinite(vectors).all():
                names = table["id"].to_pylist()
                bad = [names[row] for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1))]
                raise InputError(
                    f"The vectors of {_some(bad)} contain NaN or infinite numbers. Set dtype to float32 or bfloat16 "
                    "for this model, then run snakemake again."
                )
            ids.update(table["id"].to_pylist())
            texts.update(table["topic"].to_pylist())
            writer.write_table(table)
            matrix.append(vectors)
            tokens += int(counts.sum())
            start += len(table)
            progress.advance(len(table))
    log.info(
        "Merged %s papers from %d verified pieces of the vector store.",
        f"{papers:,}",
        len(pieces),
    )
    return {
        "embeddings": {
            "shape": list(matrix.shape),
            "dtype": "float32",
            "vectors_sha256": matrix.sha256,
            "ids_sha256": ids.hexdigest(),
            "texts_sha256": texts.hexdigest(),
        },
        "checkpoint": checkpoint,
        "encoder": pieces[0].manifest.encoder,
        "tokens": tokens,
        "pieces": [{"piece": piece.name, **piece.manifest.to_dict()} for piece in pieces],
    }


def _complete_group(
    candidates: Sequence[list[Piece]], keys: np.ndarray, store_folder: Path
) -> tuple[VectorStore, np.ndarray]:
    """Return the store of the first group that has all vectors, and the positions of the vectors.

    Raises:
        InputError: no group has all vectors.
    """
    best = np.full(len(keys), -1, dtype=np.int64)
    for group in candidates:
        store = VectorStore(group)
        positions = store.find(keys)
        if (positions >= 0).all():
            return store, positions
        if (positions >= 0).sum() > (best >= 0).sum():
            best = positions
    lacking = int((best < 0).sum())
    dtypes = Counter[str]()
    for group in candidates:
        dtypes[str(group[0].manifest.encoder["dtype"])] += sum(p.manifest.papers for p in group)
    if len(dtypes) > 1:
        counts = ", ".join(f"{count:,} in {dtype}" for dtype, count in dtypes.most_common())
        raise InputError(
            f"The vectors in {store_folder} were computed with different dtypes ({counts}), so no dtype covers the "
            "whole sample: the machines of the cluster differ. Set the model's dtype to an explicit value, then run "
            "snakemake again."
        )
    raise InputError(
        f"{lacking:,} of {len(keys):,} papers have no vector in {store_folder}. Run snakemake again: it looks up "
        "and computes only the missing vectors."
    )


def _verify(pieces: Sequence[Piece], store_folder: Path) -> None:
    """Verify the pieces against their checksums; set damaged pieces aside, so that the next run replaces them.

    Raises:
        InputError: a piece is damaged.
    """
    damaged = set_aside_damaged(pieces)
    for error in damaged.values():
        log.error("%s", error)
    if damaged:
        files = shlex.join([f"{store_folder / name}.npy" for name in damaged])
        raise InputError(
            f"{len(damaged)} of {len(pieces)} pieces of the vector store do not match their checksums and were set "
            f"aside: {files}. Run snakemake again: it recomputes only their vectors."
        )


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:IDS_SHOWN])}{', …' * (len(names) > IDS_SHOWN)}"
