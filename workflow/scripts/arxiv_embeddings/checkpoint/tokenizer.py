"""From texts to token ids, cut to length, with the tokens the checkpoint was trained to see."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings

log = logging.getLogger(__name__)


class Tokenizer:
    """The tokenizer of a checkpoint, with the prompt and the length of the encoder settings."""

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        """Load the tokenizer in ``folder``; ``settings`` are resolved.

        Raises:
            InputError: it cannot be loaded, or takes fewer tokens than max_length, or the prompt leaves
                no room for a text.
        """
        self.settings = settings
        self._tokenizer = load_tokenizer(folder)
        self._prompt, self._max_length = settings.prompt, settings.max_length
        if settings.max_length > self._tokenizer.model_max_length:
            raise InputError(
                f"max_length is {settings.max_length}, but the checkpoint takes "
                f"{self._tokenizer.model_max_length} tokens at most."
            )
        self._check_prompt()
        self._end_token = self._find_end_token() if settings.pooling == "last" else None

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text behind the prompt, cut to ``max_length`` tokens.

        Cutting takes from the end of the text and keeps the special tokens the tokenizer adds.

        Raises:
            InputError: a text has no tokens, or last-token pooling would not see the end token.
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
                raise InputError(f"The text {text[:50]!r} has no tokens, so it has no vector.")
            if self._end_token is not None and row[-1] != self._end_token:
                raise InputError(
                    f"The tokens of {text[:50]!r} end with {row[-1]}, not with the end token "
                    f"{self._end_token} that last-token pooling is trained on."
                )
        return ids

    def _check_prompt(self) -> None:
        prompt = len(self._tokenizer(self._prompt)["input_ids"])
        if self._prompt and prompt >= self._max_length:
            raise InputError(
                f"The prompt alone has {prompt} tokens, and max_length is {self._max_length}: "
                "no text would be seen. Raise max_length or shorten the prompt."
            )

    def _find_end_token(self) -> int | None:
        """Return the token the tokenizer puts behind every text, if it does."""
        empty, some = (self._tokenizer(text)["input_ids"] for text in ("", "a"))
        if empty and empty[-1] == some[-1]:
            return int(empty[-1])
        log.warning(
            "The tokenizer puts no end token behind a text, so last-token pooling takes the text's own "
            "last token. Most checkpoints for last-token pooling are trained on an end token."
        )
        return None


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerBase:
    """Return the tokenizer of the checkpoint in ``folder``, which cuts texts at their end.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (
        Exception
    ) as error:  # transformers raises whatever the damaged file makes it stumble over
        raise InputError(f"The tokenizer in {folder} cannot be loaded: {error}") from error
    tokenizer.truncation_side = "right"  # whatever it declares: the head of a text is kept
    return tokenizer


def count_tokens(
    tokenizer: transformers.PreTrainedTokenizerBase, texts: Sequence[str], prompt: str
) -> np.ndarray:
    """Return the tokens of each text behind ``prompt``, int32 (texts,), special ones included, none cut."""
    ids = tokenizer(
        [prompt + text for text in texts],
        truncation=False,
        verbose=False,  # it would warn of every text that is too long for the model
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]
    return np.array([len(row) for row in ids], dtype=np.int32)
