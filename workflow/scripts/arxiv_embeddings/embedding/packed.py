"""Computing several texts as one row of tokens without padding.

The texts stand one behind the other, and each attends only to itself. This needs models of transformers that leave
attention to a registered function (https://huggingface.co/docs/transformers/attention_interface).
"""

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from ..checkpoint.weights import in_float32

try:
    from torch.nn.attention import varlen
except ImportError:
    # Older versions of torch.
    varlen = None  # type: ignore[assignment]

ATTENTION = "one_row_of_texts"
# Settings of windows in the configs of transformers. Attention of other kinds is found by the trial.
WINDOWS = (
    "sliding_window",
    "local_attention",
    "attention_window",
    "window_size",
    "attention_chunk_size",
)
TRIAL_LENGTHS = [3, 26, 11]
# Least cosine in the trial between the states of a text in a row of texts and alone. A model that ignores the bounds
# of texts had 0.98. On a CPU, the trial is in float32, so only rounding differs. A second trial on a GPU, in the dtype
# of the job, shows only that the kernel works.
LEAST_COSINE = {"cpu": 0.99999, "cuda": 0.95}


# One split: the sums of a text's attention must not depend on how many texts the row holds. Only the options that this
# version of torch has, found here because a compiled layer cannot look for them.
KERNEL_OPTIONS: dict[str, Any] = {
    name: value
    for name, value in {"enable_gqa": True, "num_splits": 1}.items()
    if varlen and name in inspect.signature(varlen.varlen_attn).parameters
}


class NotPackableError(Exception):
    """Texts cannot be computed in one row. The message says why."""


# A custom operator, so that it can be part of a compiled layer as varlen_attn can.
@torch.library.custom_op("arxiv_embeddings::attend_text_by_text", mutates_args=())
def _attend_text_by_text(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    causal: bool,
    scale: float,
) -> torch.Tensor:
    """Return attention within each text on a CPU, which varlen_attn does not support; see _attend."""
    output = query.new_zeros((*query.shape[:2], value.shape[2]))
    grouped = key.shape[1] != query.shape[1]
    for start, stop in itertools.pairwise(bounds.tolist()):
        if start < stop:
            q, k, v = (states[start:stop].transpose(0, 1)[None] for states in (query, key, value))
            output[start:stop] = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=causal, scale=scale, enable_gqa=grouped
            )[0].transpose(0, 1)
    return output


@_attend_text_by_text.register_fake
def _(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any) -> torch.Tensor:
    return query.new_empty((*query.shape[:2], value.shape[2]))


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    causal: bool,
    scale: float,
) -> torch.Tensor:
    """Return attention within each text, shaped as ``query``.

    Args:
        query: (tokens, heads, size); key and value may have fewer heads.
        key: as query.
        value: as query.
        bounds: int32 (texts + 1,): text i has the tokens from bounds[i] to bounds[i + 1].
        longest: most tokens of a text.
        causal: whether tokens attend only to earlier tokens.
        scale: factor of the products of queries and keys.
    """
    if query.device.type == "cpu":
        return _attend_text_by_text(query, key, value, bounds, causal, scale)  # type: ignore[no-any-return]
    # Not run on a GPU so far.
    if varlen is None:
        raise NotPackableError("this version of torch has no varlen_attn")
    window = (-1, 0) if causal else (-1, -1)
    return varlen.varlen_attn(  # type: ignore[return-value]
        query,
        key,
        value,
        bounds,
        bounds,
        longest,
        longest,
        scale=scale,
        window_size=window,
        **KERNEL_OPTIONS,
    )


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function for transformers; the states are (1, heads, tokens, size)."""
    if cu_seq_lens_q is None:
        raise NotPackableError("the model does not hand the bounds of texts to its attention")
    if softcap:
        raise NotPackableError("its attention limits logits (softcap)")
    if sliding_window and sliding_window < max_length_q:
        raise NotPackableError(f"a window of {sliding_window} tokens is shorter than the texts")
    if is_causal is None:
        is_causal = bool(getattr(module, "is_causal", False))
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _attend(q, k, v, cu_seq_lens_q, max_length_q, is_causal, scale)[None], None


# A name that the masks of transformers do not know, so they make none.
transformers.AttentionInterface.register(ATTENTION, _attention)


class PackedModel:
    """A model whose attention is limited to each text of a row. The given model is changed."""

    def __init__(self, model: transformers.PreTrainedModel, longest: int) -> None:
        """Switch ``model`` to rows of texts of at most ``longest`` tokens, after a trial on its device.

        The trial compares the states of three texts in one row with those of each text alone, as the model computes
        them by itself.

        Raises:
            NotPackableError: the model cannot do it; it is left as it was.
        """
        parameters = inspect.signature(model.forward).parameters
        if not model._supports_attention_backend or "position_ids" not in parameters:
            raise NotPackableError("transformers does not let it use another attention function")
        for name in WINDOWS:
            window = getattr(model.config, name, None)
            if isinstance(window, int) and 0 < window < longest:
                raise NotPackableError(f"{name} is {window}, shorter than max_length ({longest})")
        self.model = model
        self._longest = longest
        self._token_types = "token_type_ids" in parameters
        self._first_position = _first_position(model)
        own = model.config._attn_implementation
        alone = torch.cat([self._alone(tokens) for tokens in self._trial_texts()])
        try:
            model.set_attn_implementation(ATTENTION)
            self._compare(alone)
        except Exception as error:
            model.set_attn_implementation(own)
            if isinstance(error, NotPackableError | torch.OutOfMemoryError):
                raise
            # A model or kernel that does not know such rows may raise anything.
            raise NotPackableError(f"the trial failed ({error!r})") from error

    def __call__(
        self, tokens: torch.Tensor, positions: torch.Tensor, bounds: torch.Tensor
    ) -> torch.Tensor:
        """Return the hidden states (tokens, d) of a row.

        Args:
            tokens: int64 (tokens,).
            positions: int64 (tokens,), counted from 0 in each text.
            bounds: int32 (texts + 1,), see _attend.
        """
        options = {"token_type_ids": torch.zeros_like(tokens)[None]} if self._token_types else {}
        output = self.model(
            input_ids=tokens[None],
            position_ids=positions[None] + self._first_position,
            cu_seq_lens_q=bounds,
            max_length_q=self._longest,
            **options,
        )
        return output.last_hidden_state[0]  # type: ignore[no-any-return]

    def _trial_texts(self) -> Sequence[torch.Tensor]:
        """Return tokens spread over the vocabulary, because some checkpoints have ranges that were never trained."""
        count = sum(TRIAL_LENGTHS)
        highest = self.model.get_input_embeddings().num_embeddings - 1
        spread = torch.linspace(0, highest, count, device=self.model.device).long()
        # Padding tokens have the embedding 0 and other positions in RoBERTa's kind.
        padding = getattr(self.model.config, "pad_token_id", None)
        spread[spread == padding] = highest // 2
        # Neighbours get distant tokens.
        mixed = spread[torch.arange(count, device=spread.device) * 7 % count]
        return torch.split(mixed, TRIAL_LENGTHS)

    def _alone(self, tokens: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            states: torch.Tensor = self.model(input_ids=tokens[None]).last_hidden_state[0]
        return states.float()

    def _compare(self, alone: torch.Tensor) -> None:
        row = Row(sum(TRIAL_LENGTHS), len(TRIAL_LENGTHS), max(TRIAL_LENGTHS))
        packed = self.trial_states(row, 1).float()
        cosine = torch.nn.functional.cosine_similarity(packed, alone, dim=1).min()
        # A comparison with NaN is false.
        if not cosine >= LEAST_COSINE[self.model.device.type]:
            raise NotPackableError(
                f"in a trial, a text beside others had other states than alone (cosine {cosine:.4f})"
            )

    def trial_states(self, row: "Row", times: int) -> torch.Tensor:
        """Return the hidden states (tokens, d) of the texts of the trial, so many times in ``row``."""
        row.fill([tokens.tolist() for tokens in self._trial_texts()] * times)
        numbers = torch.from_numpy(row.numbers).to(self.model.device)
        with torch.inference_mode():
            return self(*row.parts(numbers))[: times * sum(TRIAL_LENGTHS)]


def pack(model: transformers.PreTrainedModel, longest: int, device: torch.device) -> PackedModel:
    """Move ``model`` from the CPU to ``device`` and return it for rows of texts; see PackedModel.

    The trial on the CPU is in float32, so that a difference is no rounding.

    Raises:
        NotPackableError: the model cannot do it; it is moved, and otherwise left as it was.
    """
    own = model.config._attn_implementation
    try:
        with in_float32(model):
            packed = PackedModel(model, longest)
    finally:
        model.to(device)
    if device.type == "cpu":
        return packed
    model.set_attn_implementation(own)
    return PackedModel(model, longest)


class Row:
    """The numbers that describe a row of texts, in one array, so that one copy brings them to a device.

    Attributes:
        numbers: int32: token ids (tokens,), positions (tokens,), bounds (at least texts + 1,).
    """

    def __init__(
        self, tokens: int, texts: int, longest: int, numbers: np.ndarray | None = None
    ) -> None:
        """Describe a row of up to ``tokens`` tokens and ``texts`` texts in ``numbers``, or in a new array.

        The bounds have room for further texts without meaning, of at most ``longest`` tokens, in the rest of the row.
        """
        self._longest = longest
        self._sizes = [tokens, tokens, texts + -(-tokens // longest) + 1]
        self.numbers = np.zeros(sum(self._sizes), np.int32) if numbers is None else numbers

    def fill(self, ids: Sequence[Sequence[int]]) -> None:
        """Describe a row with these texts, in this order."""
        tokens, positions, bounds = np.split(self.numbers, np.cumsum(self._sizes[:-1]))
        lengths = np.array([len(text) for text in ids])
        ends = lengths.cumsum()
        used = ends[-1]
        tokens[:used] = np.fromiter(itertools.chain.from_iterable(ids), np.int32, used)
        tokens[used:] = 0
        positions[:used] = np.arange(used) - np.repeat(ends - lengths, lengths)
        positions[used:] = 0
        bounds[0] = 0
        bounds[1 : len(ids) + 1] = ends
        rest = bounds[len(ids) + 1 :]
        rest[:] = np.minimum(used + self._longest * np.arange(1, len(rest) + 1), len(tokens))

    def parts(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return token ids and positions, int64, and bounds, int32, from a copy of ``numbers`` on a device."""
        tokens, positions, bounds = torch.split(numbers, self._sizes)
        return tokens.long(), positions.long(), bounds


def _first_position(model: transformers.PreTrainedModel) -> int:
    """Return the position id of a text's first token: the padding id + 1 in RoBERTa and its kind, else 0."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
