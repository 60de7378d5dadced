"""Tokenizers of checkpoints, and how many tokens texts have before they are cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from .errors import InputError


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
