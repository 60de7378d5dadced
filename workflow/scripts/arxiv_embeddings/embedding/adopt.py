"""Move finished shards of version 0.1.0 into the vector store, so that they are not embedded again."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint.identity import checkpoint_identity
from ..common.errors import InputError
from ..common.files import TextsHash
from ..common.matrices import matrix_sha256, open_matrix
from ..config.encoder_settings import EncoderSettings
from .store import text_keys, write_piece
from .texts import read_texts

log = logging.getLogger(__name__)

PAPERS_AT_ONCE = 1_024


def adopt_shards(shards: Path, papers_path: Path, model_folder: Path, store_folder: Path) -> None:
    """Add the shards in ``shards`` to the store and remove them there.

    Version 0.1.0 wrote the vectors of the drawn papers ``start`` to ``stop - 1`` as ``00000.npy`` with a manifest
    ``00000.json``. A shard is moved if all its checksums match these papers and this checkpoint. Other shards stay
    where they are.

    Args:
        shards: the folder of a model's shards; it need not exist.
        papers_path: the drawn papers (see read_texts).
        model_folder: a checkpoint that ``fetch_model`` fetched.
        store_folder: the folder of the store.
    """
    checkpoint = checkpoint_identity(model_folder)
    for path in sorted(shards.glob("[0-9]" * 5 + ".json")):
        try:
            _adopt(path, papers_path, model_folder, checkpoint, store_folder)
        except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("The shard %s stays where it is: %s", path.with_suffix(".npy"), error)
            continue
        path.unlink()
        path.with_suffix(".npy").unlink()
        log.info("Moved the shard %s into the vector store.", path.with_suffix(".npy"))


def _adopt(
    path: Path,
    papers_path: Path,
    model_folder: Path,
    checkpoint: dict[str, Any],
    store_folder: Path,
) -> None:
    manifest = json.loads(path.read_text())
    vectors = open_matrix(path.with_suffix(".npy"))
    rows = np.arange(manifest["start"], manifest["stop"])
    if manifest["checkpoint"]["sha256"] != checkpoint["sha256"]:
        raise InputError("it was computed with another checkpoint.")
    if vectors.shape != (len(rows), manifest["dimensions"]):
        raise InputError(
            f"its matrix has the shape {vectors.shape}, but its manifest says otherwise."
        )
    if matrix_sha256(vectors) != manifest["vectors_sha256"]:
        raise InputError("it does not match its checksum.")
    # Imported here because transformers takes seconds to load and most runs have no old shards.
    from ..checkpoint.tokenizer import Tokenizer

    settings = EncoderSettings.from_dict(manifest["encoder"])
    tokenizer = Tokenizer(model_folder, settings)
    ids_hash, texts_hash = TextsHash(), TextsHash()
    keys, tokens = [], []
    for ids, texts in read_texts(papers_path, rows, PAPERS_AT_ONCE):
        ids_hash.update(ids)
        texts_hash.update(texts)
        keys.append(text_keys(texts))
        tokens += [len(row) for row in tokenizer.tokenize(texts)]
    if (ids_hash.hexdigest(), texts_hash.hexdigest()) != (
        manifest["ids_sha256"],
        manifest["texts_sha256"],
    ):
        raise InputError("it was computed from other papers.")
    if sum(tokens) != manifest["tokens"]:
        raise InputError("the tokenizer now splits its texts into a different number of tokens.")
    write_piece(
        store_folder,
        f"shard-{path.stem}",
        np.concatenate(keys),
        np.array(tokens),
        lambda: [vectors],
        checkpoint=checkpoint,
        encoder=settings.to_dict(),
        attention=manifest["attention"],
        # Version 0.1.0 measured only the last job, so the time of a resumed shard is unknown.
        seconds=0.0 if manifest["papers_resumed"] else float(manifest["seconds"]),
        device=manifest["device"],
        versions=manifest["versions"],
    )
