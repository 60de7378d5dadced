"""From texts to token ids: with prompt and special tokens, truncated to the maximum length."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings

log = logging.getLogger(__name__)


class Tokenizer:
    """The tokenizer of a checkpoint, with the prompt and the maximum length of the encoder settings."""

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        """Load the tokenizer in ``folder``; ``settings`` must be resolved.

        Raises:
            InputError: it cannot be loaded, it takes fewer tokens than max_length, or the prompt leaves no
                room for a text.
        """
        self.settings = settings
        self._tokenizer = load_tokenizer(folder)
        self._prompt, self._max_length = settings.prompt, settings.max_length
        if settings.max_length > self._tokenizer.model_max_length:
            raise InputError(
                f"max_length is {settings.max_length}, but the checkpoint takes at most "
                f"{self._tokenizer.model_max_length} tokens. Lower max_length."
            )
        self._check_prompt()
        self._end_token = self._find_end_token() if settings.pooling == "last" else None

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of the prompt and each text, at most ``max_length`` per text.

        Texts are truncated at their end; the special tokens that the tokenizer adds are kept.

        Raises:
            InputError: a text has no tokens, or its last token is not the end token for last-token pooling.
        """
        ids: list[list[int]] = self._tokenizer(
            [self._prompt + text for text in texts],
            truncation=True,
            max_length=self._max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        for text, row in zip(texts, ids, strict=True):
            if not row:
                raise InputError(
                    f"The text {text[:50]!r} has no tokens, so it has no vector. "
                    "Remove the paper from the corpus, or choose another checkpoint."
                )
            if self._end_token is not None and row[-1] != self._end_token:
                raise InputError(
                    f"The tokens of {text[:50]!r} end with {row[-1]}, not with the end token "
                    f"{self._end_token} that last-token pooling needs. "
                    "Choose a checkpoint whose tokenizer keeps the end token."
                )
        return ids

    def _check_prompt(self) -> None:
        prompt = len(self._tokenizer(self._prompt)["input_ids"])
        if self._prompt and prompt >= self._max_length:
            raise InputError(
                f"The prompt alone has {prompt} tokens, but max_length is {self._max_length}, so no text "
                "would be read. Raise max_length or shorten the prompt."
            )

    def _find_end_token(self) -> int | None:
        """Return the token that the tokenizer adds at the end of every text; None if it adds none."""
        empty, some = (self._tokenizer(text)["input_ids"] for text in ("", "a"))
        if empty and empty[-1] == some[-1]:
            return int(empty[-1])
        log.warning(
            "The tokenizer adds no end token, so last-token pooling uses the last token of the text itself. "
            "Most checkpoints for last-token pooling are trained with an end token."
        )
        return None


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerBase:
    """Return the tokenizer of the checkpoint in ``folder``; it truncates texts at their end.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # A damaged file can make transformers raise any exception.
    except Exception as error:
        raise InputError(
            f"The tokenizer in {folder} cannot be loaded ({error}). "
            "Delete the folder and run snakemake again, or choose another checkpoint."
        ) from error
    # Keep the start of a text, whatever the checkpoint declares.
    tokenizer.truncation_side = "right"
    return tokenizer


def count_tokens(
    tokenizer: transformers.PreTrainedTokenizerBase, texts: Sequence[str], prompt: str
) -> np.ndarray:
    """Return the number of tokens of ``prompt`` and each text, int32 (texts,).

    Special tokens are included, and no text is truncated.
    """
    ids = tokenizer(
        [prompt + text for text in texts],
        truncation=False,
        # Otherwise it warns of every text that is too long for the model.
        verbose=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]
    return np.array([len(row) for row in ids], dtype=np.int32)
