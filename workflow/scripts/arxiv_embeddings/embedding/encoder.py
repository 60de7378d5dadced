"""The encoder: a checkpoint on a device, and the loop that turns token ids into vectors."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ..checkpoint.declared import declared_dtype, resolve
from ..checkpoint.dense import check_dimensions, load_dense, pooled_size
from ..checkpoint.tokenizer import Tokenizer
from ..checkpoint.weights import check_sizes, in_float32, load_model, try_out
from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings
from . import compiled
from .batches import plan_batches, plan_rows
from .devices import choose_dtype
from .packed import TRIAL_LENGTHS, NotPackableError, PackedModel, Row, pack
from .pooling import finish, pool, pool_row
from .slots import Slots, copy_to_host

log = logging.getLogger(__name__)

# The defaults per type of device.
TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 32_768}
# Types of devices on which texts are computed in rows without padding, if the model can.
PACKED_ON = {"cuda"}
# Types of devices on which all rows have one shape.
ONE_SHAPE_ON = {"cuda"}
# A row of one shape has room for texts of at least this many tokens on average.
TOKENS_PER_TEXT = 16


def resolve_for(settings: EncoderSettings, folder: Path, device: torch.device) -> EncoderSettings:
    """Return ``settings`` with every ``auto`` resolved for the checkpoint in ``folder`` and the device.

    Raises:
        InputError: as resolve and choose_dtype.
    """
    return with_dtype(resolve(settings, folder), folder, device)


def with_dtype(settings: EncoderSettings, folder: Path, device: torch.device) -> EncoderSettings:
    """Return ``settings``, resolved apart from the dtype, with a dtype for the device.

    Raises:
        InputError: as choose_dtype.
    """
    dtype = choose_dtype(settings.dtype, device, declared_dtype(folder))
    return dataclasses.replace(settings, dtype=str(dtype).removeprefix("torch."))


class Encoder:
    """A checkpoint that turns texts into vectors.

    Attributes:
        dimensions: number of components of a vector.
    """

    def __init__(
        self,
        folder: Path,
        settings: EncoderSettings,
        device: torch.device,
        tokens_per_batch: int | None = None,
    ) -> None:
        """Load the checkpoint in ``folder``; ``settings`` must be resolved.

        Raises:
            InputError: the checkpoint cannot be loaded, or does not support the settings.
        """
        if device.type == "cuda":
            # On an H100, torch prefers cuDNN's attention, which makes a plan for each new shape of a batch, and most
            # batches have shapes of their own. A plan takes longer than a batch. Not run on a GPU so far.
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.device = device
        self.settings = settings
        dtype = getattr(torch, settings.dtype)
        self._lower = device.type == "cpu" and dtype != torch.float32
        self._threads = torch.get_num_threads()
        self._tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH[device.type]
        # A GPU computes everything in the dtype. A CPU uses it only for matrix products: this is equally fast and
        # closer to float32.
        self._model = load_model(folder, torch.float32 if device.type == "cpu" else dtype)
        check_sizes(self._model, settings)
        # On the CPU and in float32: in bfloat16, one rounding could make a causal model look like another one.
        with in_float32(self._model):
            self._causal, hidden_size = try_out(self._model)
        self._packed: PackedModel | None = None
        if device.type in PACKED_ON:
            try:
                self._packed = pack(self._model, self._longest, device)
            except NotPackableError as error:
                log.info("Texts are padded, because %s.", error)
        self._model.to(device)
        self._slots: Slots | None = None
        # Dense modules are small, so they are always computed in float32.
        dense = load_dense(folder, settings.dense, pooled_size(settings, hidden_size))
        self._dense = dense.to(device)
        self._skipped = 0 if settings.include_prompt else Tokenizer(folder, settings).prompt_tokens
        if self._lower:
            for module in self._model.modules():
                if isinstance(module, torch.nn.Linear):
                    module.to(dtype)
        self.dimensions = check_dimensions(settings, hidden_size, self._dense)

    @property
    def attention(self) -> str:
        """How attention ignores padding and other texts, and if layers are compiled, for the log and the manifest."""
        if self._packed is None:
            return "causal, unmasked" if self._causal else "masked where lengths differ"
        layers = ", compiled layers" if compiled.is_compiled(self._model) else ""
        return f"each text alone, without padding{layers}"

    @property
    def has_one_shape(self) -> bool:
        """Whether all texts are computed in rows of one shape, which layers can be compiled for."""
        return self._packed is not None and self.device.type in ONE_SHAPE_ON

    def compile_layers(self) -> None:
        """Compile the layers for rows of one shape; see compiled.py.

        If it fails, the log says why, and the encoder works as before. To be called before threads use the encoder.

        Raises:
            ValueError: the encoder has no rows of one shape.
        """
        packed, size = self._packed, self._row_size()
        if packed is None or not self.has_one_shape:
            raise ValueError("the layers can only be compiled for rows of one shape")
        # As many as fit, so that the kernels compute all parts of a row.
        times = min(size[0] // sum(TRIAL_LENGTHS), size[1] // len(TRIAL_LENGTHS))
        with torch.inference_mode(), self._autocast(), self._current():
            compiled.compile_layers(
                self._model, lambda: packed.trial_states(Row(*size, self._longest), times)
            )

    def encode(
        self, ids: Sequence[Sequence[int]], report: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Return the vectors (len(ids), dimensions), float32, of tokenized texts.

        Up to rounding, the vector of a text does not depend on the other texts. After every batch, ``report`` is
        called with the numbers of texts and of tokens in the batch.

        Raises:
            InputError: the memory is too small for a single text.
        """
        return self.begin(ids, report)()

    def begin(
        self, ids: Sequence[Sequence[int]], report: Callable[[int, int], None] | None = None
    ) -> Callable[[], np.ndarray]:
        """Begin what ``encode`` does, and return a function that waits for the vectors and returns them.

        On a GPU, all batches are queued on return, so the next texts can begin before the GPU is idle.

        Raises:
            InputError: as encode.
        """
        batches = self._plan([len(row) for row in ids])
        # The outputs stay on the device and are copied once at the end, so that a GPU does not wait.
        outputs = []
        with self._mapping() as each:
            vectors_of = each(self._encode_batch, ([ids[i] for i in batch] for batch in batches))
            for batch, output in zip(batches, vectors_of, strict=True):
                outputs.append(output)
                if report is not None:
                    report(len(batch), sum(len(ids[i]) for i in batch))
        with self._current():
            if not batches:
                return lambda: np.empty((0, self.dimensions), dtype=np.float32)
            on_host, ready = copy_to_host(torch.cat(outputs))

        def fetch() -> np.ndarray:
            ready()
            vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
            vectors[np.concatenate(batches)] = on_host.numpy()
            return vectors

        return fetch

    @contextlib.contextmanager
    def _mapping(self) -> Iterator[Callable[..., Iterable[torch.Tensor]]]:
        """Yield a function like ``map`` that computes batches on the device.

        A CPU computes one batch per thread at the same time: threads that share a matrix product wait for one
        another, and between the products most of the work runs on one thread. A GPU computes one batch after
        another.
        """
        if self.device.type == "cuda":
            yield map
            return
        with ThreadPoolExecutor(self._threads, "batch", torch.set_num_threads, (1,)) as pool:
            yield pool.map

    def _encode_batch(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the vectors (rows, dimensions) of a batch; split the batch if it does not fit in memory."""
        lengths = [len(row) for row in ids]
        parts = self._plan(lengths)
        # The batch was planned before memory ran out. Parts of sorted rows keep their order.
        if len(parts) > 1:
            return torch.cat([self._encode_batch([ids[i] for i in part]) for part in parts])
        try:
            return self._forward(ids)
        except torch.OutOfMemoryError:
            # Handled below, because the error keeps the tensors of the batch alive inside this block.
            pass
        self._halve_budget(rows=len(ids), longest=max(lengths))
        return self._encode_batch(ids)

    def _plan(self, lengths: Sequence[int]) -> list[np.ndarray]:
        """Return the positions of texts of these lengths, by batch."""
        if self._packed is None:
            return plan_batches(lengths, self._tokens_per_batch)
        return plan_rows(lengths, *self._row_size())

    @property
    def _longest(self) -> int:
        """Most tokens of a text."""
        return int(self.settings.max_length)

    def _row_size(self) -> tuple[int, int]:
        """Return the tokens and the texts of a row. A row has room for the longest text."""
        tokens = max(self._tokens_per_batch, self._longest)
        return tokens, max(1, tokens // TOKENS_PER_TEXT)

    def _forward(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the vectors (rows, dimensions), float32, of one batch."""
        with torch.inference_mode(), self._autocast(), self._current():
            if self._packed:
                vectors = self._row_vectors(self._packed, ids)
            else:
                vectors = self._padded_vectors(ids)
            if self._dense:
                with torch.autocast(self.device.type, enabled=False):
                    vectors = self._dense(vectors)
            return finish(vectors, self.settings.dimensions, bool(self.settings.normalize))

    def _row_vectors(self, model: PackedModel, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the pooled states (texts, d) of texts in one row."""
        if self.device.type in ONE_SHAPE_ON:
            size = self._row_size()
            if self._slots is None:
                self._slots = Slots(len(Row(*size, self._longest).numbers), self.device)
            slot = self._slots.next()
            row = Row(*size, self._longest, slot.array)
            row.fill(ids)
            numbers = slot.send()
        else:
            row = Row(sum(map(len, ids)), len(ids), self._longest)
            row.fill(ids)
            numbers = torch.from_numpy(row.numbers)
        tokens, positions, bounds = row.parts(numbers)
        hidden = model(tokens, positions, bounds)
        pooled = pool_row(hidden, positions, bounds, self.settings.pooling, self._skipped)
        return pooled[: len(ids)]

    def _padded_vectors(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the pooled states (rows, d) of texts in rows of their own, padded to the longest."""
        lengths = torch.tensor([len(row) for row in ids])
        longest = int(lengths.max())
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for row, own in zip(tokens, ids, strict=True):
            row[: len(own)] = torch.as_tensor(own)
        tokens, lengths = self._send(tokens), self._send(lengths)
        # Without a mask, attention can use its fastest kernel. The real tokens of a causal model never attend to
        # padding on the right; other models need a mask for rows of different lengths.
        mask = None
        if not self._causal and any(len(own) != longest for own in ids):
            mask = (torch.arange(longest, device=self.device) < lengths[:, None]).long()
        hidden = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        return pool(hidden, lengths, self.settings.pooling, self._skipped)

    def _send(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return ``tensor`` on the device. With pinned memory, the CPU does not wait for a GPU."""
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._lower)

    def _current(self) -> contextlib.AbstractContextManager[None]:
        """Make a GPU the current device of this thread, as kernels written in Triton require."""
        gpu = self.device.type == "cuda"
        return torch.cuda.device(self.device) if gpu else contextlib.nullcontext()

    def _halve_budget(self, rows: int, longest: int) -> None:
        whole = rows * longest
        least = longest
        if self._packed:
            whole, _ = self._row_size()
            least = self._longest
        if whole <= least:
            raise InputError(
                f"The memory of {self.device} is too small for one text of {least} tokens. "
                "Lower max_length, or use a GPU with more memory."
            )
        self._tokens_per_batch = whole // 2
        self._slots = None
        log.warning(
            "Out of memory: continuing with %d tokens per batch%s.",
            self._tokens_per_batch,
            " and uncompiled layers" if compiled.is_compiled(self._model) else "",
        )
        # They were compiled for the longer rows.
        compiled.uncompile(self._model)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
