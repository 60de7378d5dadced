"""FLOP of a model's forward pass, for estimates of cost and for the share of the hardware's peak."""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from ..common.errors import InputError


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """The matrix products of a forward pass; the FLOP of everything else are negligible.

    A text of L tokens takes 2 * L * sum(out * in) FLOP in the linear layers. Attention computes two products,
    queries by keys and weights by values. They take 4 * heads * head size FLOP per layer and pair of tokens;
    a causal model needs half of the L * L pairs. Source: Hoffmann et al. 2022 (arXiv:2203.15556),
    appendix F, forward pass, without embeddings and softmax.

    Attributes:
        matrices: maps each shape (out, in) of linear layers to the number of layers of that shape.
        flop_per_pair: FLOP of attention per pair of tokens, over all layers.
        hidden_size: dimensions of a token's hidden state.
    """

    matrices: dict[tuple[int, int], int]
    flop_per_pair: float
    hidden_size: int

    @property
    def flop_per_token(self) -> float:
        """FLOP of the linear layers per token."""
        return 2.0 * sum(rows * columns * count for (rows, columns), count in self.matrices.items())

    def flop(self, lengths: Sequence[int] | np.ndarray) -> float:
        """Return the FLOP for texts of these lengths in tokens, without padding."""
        tokens = np.asarray(lengths, dtype=np.float64)
        return float(self.flop_per_token * tokens.sum() + self.flop_per_pair * (tokens**2).sum())


def forward_pass(folder: Path) -> ForwardPass:
    """Return the forward pass of the checkpoint in ``folder``, from its config alone: no weights are read.

    Sliding windows are ignored, so the FLOP of attention are overestimated for models that have them.

    Raises:
        InputError: transformers cannot build the model, or the config does not give the shape of attention.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):
            model = transformers.AutoModel.from_config(config, trust_remote_code=False)
        heads = config.num_attention_heads
        head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
        layers, hidden_size = config.num_hidden_layers, config.hidden_size
    # A damaged config may raise almost any exception in transformers.
    except Exception as error:
        raise InputError(
            f"The FLOP of the model in {folder} cannot be counted ({error}). Check its config.json."
        ) from error
    matrices = collections.Counter(
        (module.out_features, module.in_features)
        for name, module in model.named_modules()
        # The pooler computes one token per text.
        if isinstance(module, torch.nn.Linear) and not name.startswith("pooler")
    )
    causal = any(getattr(module, "is_causal", False) for module in model.modules())
    flop_per_pair = 4.0 * heads * head_size * layers * (0.5 if causal else 1.0)
    return ForwardPass(dict(matrices), flop_per_pair, hidden_size)
