"""The encoder: a checkpoint on a device, and the hot loop that turns token ids into vectors."""

import contextlib
import copy
import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from .batches import plan_batches
from .declared import declared_dtype, resolve
from .devices import choose_dtype
from .errors import InputError
from .pooling import finish, pool
from .settings import EncoderSettings
from .tokenizing import Tokenizer
from .weights import is_causal, load_model

log = logging.getLogger(__name__)

TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 32_768}  # where the caller leaves it to us


class Encoder:
    """A checkpoint that turns texts into vectors.

    Attributes:
        settings: the encoder settings as resolved: nothing in them is ``auto``.
        dimensions: components of a vector.
        attention: how padding is kept out of attention, for the log and the manifest.
        tokenize: see Tokenizer.tokenize.
    """

    def __init__(
        self,
        folder: Path,
        settings: EncoderSettings,
        device: torch.device,
        tokens_per_batch: int | None = None,
    ) -> None:
        """Load the checkpoint in ``folder``.

        Raises:
            InputError: the checkpoint cannot be loaded, or cannot do what the settings ask.
        """
        self.device = device
        self._dtype = choose_dtype(settings.dtype, device, declared_dtype(folder))
        self._tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH[device.type]
        self.settings = dataclasses.replace(
            resolve(settings, folder), dtype=str(self._dtype).removeprefix("torch.")
        )
        self.tokenize = Tokenizer(folder, self.settings).tokenize
        # On a GPU the weights themselves are kept in the dtype. A CPU keeps them in float32 and only
        # multiplies in bfloat16: as fast there, and closer to float32.
        self._model = load_model(folder, self._dtype if device.type == "cuda" else torch.float32)
        self._check_sizes()
        self._model.to(device)
        self._causal = is_causal(self._model)
        self.attention = "causal, unmasked" if self._causal else "masked where lengths differ"
        self.dimensions = settings.dimensions or self._model.config.hidden_size

    def copy_on(self, device: torch.device) -> Self:
        """Return the same encoder on another device of the same kind, with weights of its own."""
        other = copy.copy(self)
        other.device, other._model = device, copy.deepcopy(self._model).to(device)
        return other

    def encode(
        self, ids: Sequence[Sequence[int]], report: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Return the vectors (len(ids), dimensions), float32, of tokenized texts.

        The vector of a text does not depend on the texts beside it, up to rounding. ``report`` is
        called after every batch with its numbers of texts and of tokens.

        Raises:
            InputError: the memory does not suffice for one text alone.
        """
        lengths = [len(row) for row in ids]
        done: list[np.ndarray] = []  # positions in ids, batch by batch,
        outputs: list[torch.Tensor] = []  # and their vectors, still on the device: see below
        # The batches of one call share autocast's copies of the weights.
        with torch.inference_mode(), self._autocast(), self._current():
            todo = plan_batches(lengths, self._tokens_per_batch)
            while todo:
                batch = todo.pop(0)
                out_of_memory = False
                try:
                    outputs.append(self._forward([ids[i] for i in batch]))
                except torch.OutOfMemoryError:
                    out_of_memory = True
                if out_of_memory:  # not in the handler: the error holds the batch's tensors
                    self._halve_budget(rows=len(batch), longest=lengths[batch[0]])
                    left = np.concatenate([batch, *todo])
                    plan = plan_batches([lengths[i] for i in left], self._tokens_per_batch)
                    todo = [left[rows] for rows in plan]
                    continue
                done.append(batch)
                if report is not None:
                    report(len(batch), sum(lengths[i] for i in batch))
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        if done:  # fetched once at the end, so that a GPU need not wait between two batches
            vectors[np.concatenate(done)] = torch.cat(outputs).cpu().numpy()
        return vectors

    def _forward(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the vectors (rows, dimensions), float32, of one batch."""
        lengths = torch.tensor([len(row) for row in ids])
        longest = int(lengths.max())
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for row, own in zip(tokens, ids, strict=True):
            row[: len(own)] = torch.as_tensor(own)
        tokens, lengths = self._send(tokens), self._send(lengths)
        # Without a mask attention may take its fastest kernel. Padding on the right is out of reach
        # for the real tokens of a causal model; elsewhere rows of different length need the mask.
        mask = None
        if not self._causal and any(len(own) != longest for own in ids):
            mask = (torch.arange(longest, device=self.device) < lengths[:, None]).long()
        hidden = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        vectors = pool(hidden, lengths, str(self.settings.pooling))
        return finish(vectors, self.settings.dimensions, bool(self.settings.normalize))

    def _send(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return ``tensor`` on the device. Out of pinned memory the CPU does not wait for a GPU."""
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _autocast(self) -> torch.autocast:
        lower = self.device.type == "cpu" and self._dtype != torch.float32
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower)

    def _current(self) -> contextlib.AbstractContextManager[None]:
        """Make a GPU the current one of this thread, as kernels written in Triton ask for."""
        gpu = self.device.type == "cuda"
        return torch.cuda.device(self.device) if gpu else contextlib.nullcontext()

    def _halve_budget(self, rows: int, longest: int) -> None:
        if rows == 1:
            raise InputError(
                f"The memory of {self.device} does not suffice for one text of {longest} tokens. "
                "Lower max_length, or use a GPU with more memory."
            )
        self._tokens_per_batch = rows * longest // 2
        log.warning("Out of memory: going on with %d tokens a batch.", self._tokens_per_batch)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_sizes(self) -> None:
        """Fail if max_length or dimensions is more than the checkpoint can do."""
        config, wanted = self._model.config, self.settings
        limit = getattr(config, "max_position_embeddings", None) or wanted.max_length
        if wanted.max_length > limit:
            raise InputError(
                f"max_length is {wanted.max_length}, but the checkpoint takes {limit} tokens at most."
            )
        if wanted.dimensions and wanted.dimensions > config.hidden_size:
            raise InputError(
                f"dimensions is {wanted.dimensions}, but the checkpoint's vectors have {config.hidden_size}."
            )
