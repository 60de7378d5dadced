"""Look up which texts of a sample have no vector in the store yet, before a GPU is requested."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint.declared import resolve
from ..checkpoint.identity import checkpoint_identity
from ..common.files import json_sha256
from ..config.encoder_settings import EncoderSettings
from .store import Piece, VectorStore, first_of_each, groups, pieces_in
from .texts import read_keys

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Lookup:
    """What a sample still needs.

    Attributes:
        papers: number of papers in the sample.
        found: number of papers whose texts have a vector in the store.
        missing: rows of the drawn papers whose texts must be embedded, int64, ascending; one row per distinct text.
        texts_sha256: sha256 of the keys of the missing texts.
        encoder: the settings for the missing texts. If ``dtype: auto`` continues earlier work, it has the dtype
            of that work.
        checkpoint: as ``checkpoint.identity.checkpoint_identity`` returns it.
    """

    papers: int
    found: int
    missing: np.ndarray
    texts_sha256: str
    encoder: EncoderSettings
    checkpoint: dict[str, Any]

    def record(self, shard_size: int) -> dict[str, Any]:
        """Return the record for the jobs: a shard is a run of ``shard_size`` missing rows.

        The name of a shard begins with 8 digits of a hash of the texts and the settings, so shards of different
        look-ups are never confused.
        """
        hashed = [
            self.missing.tolist(),
            self.texts_sha256,
            self.encoder.to_dict(),
            self.checkpoint["sha256"],
            shard_size,
        ]
        return {
            "lookup": json_sha256(hashed)[:8],
            "papers": self.papers,
            "found": self.found,
            "missing": len(self.missing),
            "shard_size": shard_size,
            "shards": -(-len(self.missing) // shard_size),
            "encoder": self.encoder.to_dict(),
            "checkpoint": self.checkpoint,
        }


def find_vectors(
    papers_path: Path,
    papers: int,
    *,
    model_folder: Path,
    encoder: EncoderSettings,
    device: str,
    store_folder: Path,
) -> Lookup:
    """Look up the first ``papers`` drawn papers in a store.

    Memory grows by about 60 bytes per paper.

    Args:
        papers_path: the drawn papers (see read_texts).
        papers: number of papers in the sample.
        model_folder: a checkpoint that ``fetch_model`` fetched.
        encoder: settings as in the config.
        device: the device that will embed the missing texts, ``cuda`` or ``cpu``.
        store_folder: the folder of the store; it need not exist.

    Raises:
        InputError: as read_texts and resolve.
    """
    checkpoint = checkpoint_identity(model_folder)
    settings = resolve(encoder, model_folder)
    keys = read_keys(papers_path, np.arange(papers))
    absent = np.ones(papers, dtype=bool)
    chosen = settings
    for group in groups(pieces_in(store_folder), checkpoint, settings):
        lacking = VectorStore(group).find(keys) < 0
        # With dtype auto, vectors from another type of device are used only if they cover the whole sample.
        usable = settings.dtype != "auto" or _is_of(group, device) or not lacking.any()
        if usable and lacking.sum() < absent.sum():
            absent = lacking
            chosen = dataclasses.replace(settings, dtype=group[0].manifest.encoder["dtype"])
    missing = first_of_each(keys, np.flatnonzero(absent))
    found = papers - int(absent.sum())
    log.info(
        "%s of %s papers have a vector in the store; %s texts must be embedded.",
        f"{found:,}",
        f"{papers:,}",
        f"{len(missing):,}",
    )
    texts_sha256 = hashlib.sha256(np.ascontiguousarray(keys[missing]).data).hexdigest()
    return Lookup(papers, found, missing, texts_sha256, chosen, checkpoint)


def _is_of(group: Sequence[Piece], device: str) -> bool:
    return any(piece.manifest.device.get("type") == device for piece in group)
