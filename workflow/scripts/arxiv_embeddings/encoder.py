"""The encoder: a checkpoint on a device, and the hot loop that turns token ids into vectors."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from .batches import plan_batches
from .devices import choose_dtype
from .errors import InputError
from .pooling import finish, pool, resolve
from .settings import EncoderSettings
from .tokens import load_tokenizer

log = logging.getLogger(__name__)

TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 32_768}  # where the caller leaves it to us


class Encoder:
    """A checkpoint that turns texts into vectors.

    Attributes:
        settings: the encoder settings as resolved: nothing in them is ``auto``.
        dimensions: components of a vector.
        attention: how padding is kept out of attention, for the log and the manifest.
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
        self._dtype = choose_dtype(settings.dtype, device)
        self._tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH[device.type]
        self.settings = dataclasses.replace(
            resolve(settings, folder), dtype=str(self._dtype).removeprefix("torch.")
        )
        self._tokenizer = load_tokenizer(folder)
        # On a GPU the weights themselves are kept in the dtype. A CPU keeps them in float32 and only
        # multiplies in bfloat16: as fast there, and closer to float32.
        self._model = _load_model(folder, self._dtype if device.type == "cuda" else torch.float32)
        self._model.to(device).eval()
        self._check_lengths()
        self._end_token = self._find_end_token()
        self._check_prompt()
        self._causal = self._is_causal()
        self.attention = "causal, unmasked" if self._causal else "masked where lengths differ"
        self.dimensions = settings.dimensions or self._model.config.hidden_size

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text behind the prompt, cut to ``max_length`` tokens.

        Cutting takes from the end of the text and keeps the special tokens the tokenizer adds.

        Raises:
            InputError: a text has no tokens, or last-token pooling would not see the end token.
        """
        prompt = self.settings.prompt
        ids: list[list[int]] = self._tokenizer(
            [prompt + text for text in texts] if prompt else list(texts),
            truncation=True,
            max_length=self.settings.max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        for text, row in zip(texts, ids, strict=True):
            if not row:
                raise InputError(f"The text {text[:50]!r} has no tokens, so it has no vector.")
            if self._end_token is not None and row[-1] != self._end_token:
                raise InputError(
                    f"The tokens of {text[:50]!r} end with {row[-1]}, not with the end token "
                    f"{self._end_token} that last-token pooling is trained on."
                )
        return ids

    def encode(
        self, ids: Sequence[Sequence[int]], report: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Return the vectors (len(ids), dimensions), float32, of tokenized texts.

        The vector of a text does not depend on the texts beside it, up to rounding. ``report`` is
        called after every batch with its numbers of texts and of tokens.

        Raises:
            InputError: the memory does not suffice for one text alone.
        """
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        lengths = [len(row) for row in ids]
        # The batches of one call share autocast's copies of the weights.
        with torch.inference_mode(), self._autocast():
            todo = plan_batches(lengths, self._tokens_per_batch)
            while todo:
                batch = todo.pop(0)
                out_of_memory = False
                try:
                    vectors[batch] = self._forward([ids[i] for i in batch]).cpu().numpy()
                except torch.OutOfMemoryError:
                    out_of_memory = True
                if (
                    out_of_memory
                ):  # not in the handler: until its end the error holds the batch's tensors
                    self._halve_budget(rows=len(batch), longest=lengths[batch[0]])
                    left = np.concatenate([batch, *todo])
                    plan = plan_batches([lengths[i] for i in left], self._tokens_per_batch)
                    todo = [left[rows] for rows in plan]
                elif report is not None:
                    report(len(batch), sum(lengths[i] for i in batch))
        return vectors

    def _forward(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the vectors (rows, dimensions), float32, of one batch."""
        lengths = torch.tensor([len(row) for row in ids])
        longest = int(lengths.max())
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for row, own in zip(tokens, ids, strict=True):
            row[: len(own)] = torch.as_tensor(own)
        tokens, lengths = tokens.to(self.device), lengths.to(self.device)
        # Without a mask attention may take its fastest kernel. Padding on the right is out of reach
        # for the real tokens of a causal model; elsewhere rows of different length need the mask.
        mask = None
        if not self._causal and any(len(own) != longest for own in ids):
            mask = (torch.arange(longest, device=self.device) < lengths[:, None]).long()
        hidden = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        vectors = pool(hidden, lengths, str(self.settings.pooling))
        return finish(vectors, self.settings.dimensions, bool(self.settings.normalize))

    def _autocast(self) -> torch.autocast:
        lower = self.device.type == "cpu" and self._dtype != torch.float32
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower)

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

    def _check_lengths(self) -> None:
        """Fail if max_length or dimensions is more than the checkpoint can do."""
        config, wanted = self._model.config, self.settings
        limit = min(
            getattr(config, "max_position_embeddings", None) or wanted.max_length,
            self._tokenizer.model_max_length,
        )
        if wanted.max_length > limit:
            raise InputError(
                f"max_length is {wanted.max_length}, but the checkpoint takes {limit} tokens at most."
            )
        if wanted.dimensions and wanted.dimensions > config.hidden_size:
            raise InputError(
                f"dimensions is {wanted.dimensions}, but the checkpoint's vectors have {config.hidden_size}."
            )

    def _find_end_token(self) -> int | None:
        """Return the token the tokenizer puts behind every text, if last-token pooling relies on it."""
        if self.settings.pooling != "last":
            return None
        empty, some = (self._tokenizer(text)["input_ids"] for text in ("", "a"))
        if empty and empty[-1] == some[-1]:
            return int(empty[-1])
        log.warning(
            "The tokenizer puts no end token behind a text, so last-token pooling takes the text's own "
            "last token. Most checkpoints for last-token pooling are trained on an end token."
        )
        return None

    def _check_prompt(self) -> None:
        """Fail if the prompt leaves no room for a text."""
        prompt = len(self._tokenizer(self.settings.prompt)["input_ids"])
        if self.settings.prompt and prompt >= self.settings.max_length:
            raise InputError(
                f"The prompt alone has {prompt} tokens, and max_length is {self.settings.max_length}: "
                "no text would be seen. Raise max_length or shorten the prompt."
            )

    def _is_causal(self) -> bool:
        """Tell by trial whether tokens never see the ones behind them.

        Configurations do not say it reliably (some decoders are run without the causal mask), so two
        texts that differ in their last token are compared: in a causal model the hidden states before
        it are the same. The tokens are spread over the vocabulary, as checkpoints have runs of tokens that
        they were never trained to tell apart.
        """
        vocabulary = self._model.get_input_embeddings().num_embeddings
        spread = torch.linspace(0, vocabulary - 1, 16, device=self.device).long()
        rows = spread[:8].repeat(8, 1)
        rows[:, -1] = spread[8:]
        with torch.inference_mode():
            hidden = self._model(input_ids=rows).last_hidden_state[:, :-1].float()
        return torch.allclose(hidden, hidden[:1], rtol=1e-3, atol=1e-3)


def _load_model(folder: Path, dtype: torch.dtype) -> transformers.PreTrainedModel:
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise InputError(
                f"The model in {folder} needs code of its own, and code in a checkpoint is never run. "
                "Choose a checkpoint that transformers can load by itself."
            ) from error
        raise InputError(f"The model in {folder} cannot be loaded: {error}") from error
    if model.config.is_encoder_decoder:
        raise InputError(
            f"The model in {folder} has an encoder and a decoder, which is not supported."
        )
    model.config.use_cache = False
    # The pooler is a head for BERT's first training task; none of the poolings here uses it.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(
            f"The weights in {folder} lack {len(missing)} tensors of the model, {missing[0]} among them; "
            "random numbers would stand in their place. Fetch the checkpoint again."
        )
    return model
