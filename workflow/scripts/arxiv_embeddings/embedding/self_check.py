"""Comparing the first vectors of a GPU with those of the CPU."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoint.dense import load_dense, pooled_size
from ..checkpoint.tokenizer import Tokenizer
from ..checkpoint.weights import in_float32, load_model
from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings
from .pooling import finish, pool

log = logging.getLogger(__name__)

# Texts that are computed again, and the tokens that they have at most, so that the check takes seconds.
TEXTS = 4
MOST_TOKENS = 512
# Vectors in bfloat16 have a cosine of 0.9999 to those in float32; a wrong kernel or damaged memory gives far less.
LEAST_COSINE = 0.999


class SelfCheck:
    """Computes some texts again on the CPU, in float32, each alone and without the code for batches.

    The checkpoint is loaded once more, when the first vectors are compared. The threads of a job may share a check.
    """

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        """Check vectors of the checkpoint in ``folder`` with resolved ``settings``."""
        self._folder = folder
        self._settings = settings
        self._lock = threading.Lock()

    def compare(
        self,
        device: dict[str, Any],
        ids: Sequence[str],
        tokens: Sequence[Sequence[int]],
        vectors: np.ndarray,
    ) -> dict[str, Any]:
        """Return the number of compared texts and their least cosine, for the manifest.

        Args:
            device: that computed the vectors, as devices.describe returns it.
            ids: of the papers.
            tokens: of each paper.
            vectors: of each paper, (papers, d).

        Raises:
            InputError: a vector differs; the message has the facts of both.
        """
        rows = _chosen([len(row) for row in tokens])
        with self._lock:
            expected = self._vectors([tokens[row] for row in rows])
        cosines = _cosines(vectors[rows], expected)
        # A comparison with NaN is false.
        for row, own, other, cosine in zip(rows, vectors[rows], expected, cosines, strict=True):
            if not cosine >= LEAST_COSINE:
                raise InputError(
                    f"Self-check failed: the vector of paper {ids[row]} ({len(tokens[row])} tokens) from {device} "
                    f"in {self._settings.dtype} has a cosine of {cosine:.5f} to that of the CPU in float32, less than "
                    f"{LEAST_COSINE}. Device: {_facts(own)}; CPU: {_facts(other)}. No vector of this device was saved. "
                    "Exclude the node if others work; if none does, set dtype to float32."
                )
        least = float(cosines.min())
        log.info(
            "Self-check: %d texts again on the CPU, least cosine %.6f (at least %g is required).",
            len(rows),
            least,
            LEAST_COSINE,
        )
        return {"texts": len(rows), "least_cosine": round(least, 6)}

    def _vectors(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        settings = self._settings
        model = load_model(self._folder, getattr(torch, settings.dtype))
        skipped = 0
        if not settings.include_prompt:
            skipped = Tokenizer(self._folder, settings).prompt_tokens
        vectors = []
        with torch.inference_mode(), in_float32(model):
            for row in tokens:
                hidden = model(input_ids=torch.tensor([row])).last_hidden_state
                vectors.append(pool(hidden, torch.tensor([len(row)]), settings.pooling, skipped))
            size = pooled_size(settings, hidden.shape[-1])
            pooled: torch.Tensor = load_dense(self._folder, settings.dense, size)(
                torch.cat(vectors)
            )
            finished = finish(pooled, settings.dimensions, bool(settings.normalize))
        return np.asarray(finished.numpy())


def _chosen(lengths: Sequence[int]) -> np.ndarray:
    """Return the positions of a few texts of different lengths, none very long unless all are."""
    order = np.argsort(lengths, kind="stable")
    within = int((np.asarray(lengths) <= MOST_TOKENS).sum())
    chosen = np.unique(np.linspace(0, max(within, 1) - 1, TEXTS).round().astype(int))
    return np.asarray(order[chosen])


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    sizes = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / sizes)


def _facts(vector: np.ndarray) -> str:
    return (
        f"length {np.linalg.norm(vector):.4g}, first components {np.round(vector[:4], 4).tolist()}"
    )
