"""From texts to token ids: with prompt and special tokens, truncated to the maximum length."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers
from tokenizers import normalizers

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings
from .json_files import read_transformer

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
        self._prompt, self._max_length = settings.prompt, int(settings.max_length)
        if settings.lower_case:
            prepend_lower_casing(self._tokenizer)
        self._appended = (
            [int(self._tokenizer.convert_tokens_to_ids(settings.end_token))]
            if settings.end_token
            else []
        )
        self._check_length(folder)
        self._check_prompt()
        last = "last" in settings.pooling.split("+")
        self._end_token = self._find_end_token() if last else None

    @property
    def prompt_tokens(self) -> int:
        """Number of tokens before the first token of a text, those that the tokenizer adds in front included."""
        ids = self._tokenizer(self._prompt)["input_ids"]
        # An end token stands behind the text, not behind the prompt.
        return len(ids) - (bool(ids) and ids[-1] in self._tokenizer.all_special_ids)

    @property
    def highest_token(self) -> int:
        """The highest token id that the tokenizer can return."""
        return max(int(token) for token in self._tokenizer.get_vocab().values())

    @property
    def has_token_types(self) -> bool:
        """Whether tokens of a single text have types other than 0, as those of XLNet."""
        return any(self._tokenizer("a").get("token_type_ids") or [])

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of the prompt and each text, at most ``max_length`` per text.

        Texts are truncated at their end; the special tokens that the tokenizer adds are kept.

        Raises:
            InputError: a text has no tokens, or its last token is not the end token for last-token pooling.
        """
        ids: list[list[int]] = self._tokenizer(
            [self._prompt + text for text in texts],
            truncation=True,
            max_length=self._max_length - len(self._appended),
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        if self._appended:
            ids = [row + self._appended for row in ids]
        fewest = 0 if self.settings.include_prompt else self.prompt_tokens
        for text, row in zip(texts, ids, strict=True):
            if len(row) <= fewest:
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

    def _check_length(self, folder: Path) -> None:
        """Fail if max_length is more than both the tokenizer and the Transformer module declare."""
        declared = read_transformer(folder)[1].get("max_seq_length")
        limit = max(declared or 0, self._tokenizer.model_max_length)
        if self._max_length > limit:
            raise InputError(
                f"max_length is {self._max_length}, but the checkpoint takes at most {limit} tokens. "
                "Lower max_length."
            )

    def _check_prompt(self) -> None:
        prompt = len(self._tokenizer(self._prompt)["input_ids"])
        if self._prompt and prompt >= self._max_length:
            raise InputError(
                f"The prompt alone has {prompt} tokens, but max_length is {self._max_length}, so no text "
                "would be read. Raise max_length or shorten the prompt."
            )

    def _find_end_token(self) -> int | None:
        """Return the token that the tokenizer adds at the end of every text; None if it adds none."""
        if self._appended:
            return self._appended[0]
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
            "Fetch the checkpoint again, or choose another one."
        ) from error
    # Keep the start of a text, whatever the checkpoint declares.
    tokenizer.truncation_side = "right"
    return tokenizer


def lower_cases(tokenizer: transformers.PreTrainedTokenizerBase) -> bool:
    """Return whether the tokenizer lower-cases texts itself.

    Raises:
        InputError: it does not come from the tokenizers library, so lower-casing cannot be added.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"The checkpoint declares do_lower_case, which is not supported for a {type(tokenizer).__name__}. "
            "Choose another checkpoint."
        )
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer is not None and normalizer.normalize_str("A") in ("a", "▁a")


def prepend_lower_casing(tokenizer: transformers.PreTrainedTokenizerBase) -> None:
    """Let the tokenizer lower-case texts before anything else, as sentence-transformers does for do_lower_case."""
    backend = tokenizer.backend_tokenizer
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])


def missing_end_token(tokenizer: transformers.PreTrainedTokenizerBase) -> str:
    """Return the declared end token if the tokenizer does not add it to texts, else an empty string.

    Since version 5, transformers takes what a tokenizer adds from tokenizer.json alone, whatever
    ``add_eos_token`` says.

    Raises:
        InputError: the tokenizer has no end token.
    """
    if tokenizer.eos_token is None:
        raise InputError(
            "The tokenizer declares add_eos_token but no eos_token. Choose another checkpoint."
        )
    ids = tokenizer("a")["input_ids"]
    return "" if ids[-1] == tokenizer.eos_token_id else str(tokenizer.eos_token)


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
