"""Judging on the login node whether a checkpoint can give the vectors that the settings ask for."""

import inspect
import logging
from pathlib import Path

import numpy as np
import torch
import transformers

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings
from .declared import resolve
from .dense import check_dimensions, load_dense, pooled_size
from .tokenizer import Tokenizer
from .weights import check_sizes, load_model

log = logging.getLogger(__name__)


def judge(folder: Path, settings: EncoderSettings) -> EncoderSettings:
    """Return ``settings`` as resolved for the checkpoint in ``folder`` (dtype aside), or refuse them.

    Takes seconds: weights are mapped, not read, and the model runs once on zeros.

    Raises:
        InputError: an embedding job with this checkpoint and these settings would fail, or give vectors other
            than those of its authors.
    """
    resolved = resolve(settings, folder)
    tokenizer = Tokenizer(folder, resolved)
    model = load_model(folder)
    check_sizes(model, resolved)
    embeddings = model.get_input_embeddings().num_embeddings
    if tokenizer.highest_token >= embeddings:
        raise InputError(
            f"The tokenizer in {folder} has the token id {tokenizer.highest_token}, but the model has embeddings "
            f"for only {embeddings} tokens. Choose another checkpoint."
        )
    if (
        tokenizer.has_token_types
        and "token_type_ids" in inspect.signature(model.forward).parameters
    ):
        raise InputError(
            f"The tokenizer in {folder} gives tokens of one text several types (token_type_ids), which is not "
            "supported. Choose another checkpoint."
        )
    size = _hidden_size(folder, model)
    dense = load_dense(folder, resolved.dense, pooled_size(resolved, size))
    dimensions = check_dimensions(resolved, size, dense)
    log.info(
        "The checkpoint gives vectors of %d components with %s.", dimensions, resolved.to_json()
    )
    return resolved


def _hidden_size(folder: Path, model: transformers.PreTrainedModel) -> int:
    """Return the size of a hidden state of ``model``, without reading its weights."""
    # Zeros of numpy need no memory until something is written there. The meta device would not do: many models
    # look at numbers on their way.
    zeros = {
        name: torch.from_numpy(np.zeros(weight.nbytes, np.uint8))
        .view(weight.dtype)
        .view(weight.shape)
        for name, weight in model.named_parameters()
    }
    row = torch.zeros(1, 2, dtype=torch.long)
    try:
        with torch.inference_mode():
            output = torch.func.functional_call(model, zeros, kwargs={"input_ids": row})
        return int(output.last_hidden_state.shape[-1])
    except Exception as error:
        raise InputError(
            f"The model in {folder} has no hidden states of tokens ({error!r}), so it has no vectors. "
            "Choose another checkpoint."
        ) from error
